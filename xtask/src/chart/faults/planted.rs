//! The faults, and what each must be refused with.

use super::Fault;
use super::Plant::{Template, Values};

pub(super) const FAULTS: &[Fault] = &[
    // Objects that some version of Kubernetes does not know.
    Fault {
        name: "an unknown field",
        base: "public",
        plant: Template("_pod.tpl", "terminationGracePeriodSeconds:", "terminationGraceSeconds:"),
        names: &["Kubernetes 1.37", "DaemonSet relay-turnd", "terminationGraceSeconds"],
    },
    Fault {
        name: "a value of the wrong type",
        base: "stun",
        plant: Template(
            "_container.tpl",
            "readOnlyRootFilesystem: true",
            "readOnlyRootFilesystem: \"yes\"",
        ),
        names: &["Deployment relay-stund", "readOnlyRootFilesystem", "'yes' is not of type"],
    },
    Fault {
        name: "an API that was removed",
        base: "stun",
        plant: Template(
            "poddisruptionbudget.yaml",
            "apiVersion: policy/v1",
            "apiVersion: policy/v1beta1",
        ),
        names: &[
            "policy/v1beta1 PodDisruptionBudget is deprecated in v1.21+, unavailable in v1.25+",
        ],
    },
    Fault {
        name: "an API that Helm knows nothing of",
        base: "stun",
        plant: Template(
            "networkpolicy.yaml",
            "apiVersion: networking.k8s.io/v1",
            "apiVersion: networking.k8s.io/v1beta2",
        ),
        names: &["Kubernetes 1.30 has no networking.k8s.io/v1beta2 NetworkPolicy"],
    },
    Fault {
        name: "a key that stands twice",
        base: "stun",
        plant: Template(
            "_pod.tpl",
            "enableServiceLinks: false",
            "automountServiceAccountToken: true",
        ),
        names: &["the key automountServiceAccountToken stands twice"],
    },
    Fault {
        name: "a free form value with an unknown field",
        base: "public",
        plant: Values(
            "affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: \
             [{topologyKey: zone, topologyKee: zone}]}}",
        ),
        names: &["DaemonSet relay-turnd", "podAntiAffinity", "topologyKee"],
    },
    // Promises that a template breaks.
    Fault {
        name: "h43 a capability",
        base: "public",
        plant: Template("_container.tpl", "drop: [ALL]", "add: [NET_BIND_SERVICE]"),
        names: &["DaemonSet relay-turnd", "/securityContext/capabilities", "NET_BIND_SERVICE"],
    },
    Fault {
        name: "h43 root",
        base: "stun",
        plant: Template("_pod.tpl", "runAsNonRoot: true", "runAsNonRoot: false"),
        names: &["Deployment relay-stund", "/securityContext/runAsNonRoot is false"],
    },
    Fault {
        name: "a pod for each version of the chart",
        base: "public",
        plant: Template(
            "_pod.tpl",
            "include \"causeway.selector\" .",
            "include \"causeway.labels\" .",
        ),
        names: &["DaemonSet relay-turnd", "helm.sh/chart", "would restart every pod"],
    },
    Fault {
        name: "a secret in the ConfigMap",
        base: "public",
        plant: Template(
            "_config.tpl",
            "password_file = \"/etc/causeway/auth/{{ $key }}\"",
            "password = \"not-to-be-seen-{{ $key }}\"",
        ),
        names: &["a rendered object contains the secret alice"],
    },
    // Configurations that the binary refuses.
    Fault {
        name: "h44 an unknown key in the configuration",
        base: "public",
        plant: Template(
            "_config.tpl",
            "scope = {{ toJson $values.relay",
            "scop = {{ toJson $values.relay",
        ),
        names: &["relay.scop", "did you mean relay.scope?"],
    },
    Fault {
        name: "a private address on a public relay",
        base: "public",
        plant: Values("relay: {addresses: nodes, nodes: {relay-1: {addresses: [10.0.0.8]}}}"),
        names: &["turnd on relay-1", "10.0.0.8 (private) cannot be reached"],
    },
    Fault {
        name: "a private address in NAT discovery",
        base: "stun-nat-discovery",
        plant: Values(
            "{listeners: [{address: 10.0.0.7, port: 3478}], stun: {natDiscovery: \
             {alternateAddresses: [10.0.0.8]}}}",
        ),
        names: &["stund on node-1", "10.0.0.7", "nat_discovery"],
    },
    Fault {
        name: "relay ports below 1024",
        base: "public",
        plant: Values("relay: {ports: 1000-2000}"),
        names: &["relay.ports", "1000 is a well-known port"],
    },
    Fault {
        name: "rules that allow everything",
        base: "public",
        plant: Values("peers: {rules: [allow 0.0.0.0/0]}"),
        names: &["peers.rules", "0.0.0.0/0"],
    },
    Fault {
        name: "a limit of the other mode",
        base: "stun",
        plant: Values("limits: {allocationsPerUser: 5}"),
        names: &["limits.allocations_per_user", "unknown key"],
    },
    Fault {
        name: "a store whose server has no name",
        base: "public-redis",
        plant: Template("_container.tpl", "TURND_STORE__NODE_ID", "OTHER_STORE__NODE_ID"),
        names: &["turnd on node-1", "store.node_id"],
    },
    // Secrets that are missing.
    Fault {
        name: "no Secret named",
        base: "public",
        plant: Values("auth: {existingSecret: \"\"}"),
        names: &["auth.existingSecret is empty", "open relay"],
    },
    Fault {
        name: "a Secret that is not there",
        base: "public",
        plant: Values("auth: {existingSecret: forgotten}"),
        names: &["Secret forgotten is mounted but does not exist"],
    },
    Fault {
        name: "a key that the Secret does not have",
        base: "public",
        plant: Values("auth: {users: {carol: carol-password}}"),
        names: &["Secret turn-users has no key carol-password"],
    },
    Fault {
        name: "a fleet key that the Secret does not have",
        base: "public-redis",
        plant: Values("store: {secretKeys: {fleetKey: fleet}}"),
        names: &["Secret turn-redis has no key fleet"],
    },
    Fault {
        name: "a Secret that is read and not mounted",
        base: "public",
        plant: Template(
            "_container.tpl",
            "mountPath: /etc/causeway/{{ .name }}",
            "mountPath: /etc/elsewhere/{{ .name }}",
        ),
        names: &["auth.users.alice", "password_file", "cannot read"],
    },
    Fault {
        name: "h41 an open admin port without a token",
        base: "stun",
        plant: Values("admin: {address: 0.0.0.0}"),
        names: &["admin.existingSecret is empty", "0.0.0.0"],
    },
    // Values that the schema refuses.
    Fault {
        name: "an unknown value",
        base: "public",
        plant: Values("relay: {portz: 1-2}"),
        names: &["/relay", "portz"],
    },
    Fault {
        name: "an unknown mode",
        base: "public",
        plant: Values("mode: gateway"),
        names: &["/mode", "'public', 'stun'"],
    },
    Fault {
        name: "relay ports of one port",
        base: "public",
        plant: Values("relay: {ports: \"49152\"}"),
        names: &["/relay/ports", "49152"],
    },
    Fault {
        name: "relay ports as a number",
        base: "public",
        plant: Values("relay: {ports: 49152}"),
        names: &["/relay/ports", "want string"],
    },
    Fault {
        name: "a password among the values",
        base: "public",
        plant: Values("auth: {users: {alice: {password: wonderland}}}"),
        names: &["/auth/users/alice", "want string"],
    },
    Fault {
        name: "a port that needs a capability",
        base: "public",
        plant: Values("listeners: [{address: 0.0.0.0, port: 443}]"),
        names: &["/listeners/0/port", "443"],
    },
    Fault {
        name: "a rule that is none",
        base: "public",
        plant: Values("peers: {rules: [permit 10.0.0.0/8]}"),
        names: &["/peers/rules/0", "permit 10.0.0.0/8"],
    },
    // Values that contradict each other.
    Fault {
        name: "no image",
        base: "public",
        plant: Values("image: {repository: \"\"}"),
        names: &["image.repository is empty"],
    },
    Fault {
        name: "no realm",
        base: "public",
        plant: Values("realm: \"\""),
        names: &["realm is empty"],
    },
    Fault {
        name: "no user may relay",
        base: "stun",
        plant: Values("{mode: public, realm: example.org, auth: {existingSecret: turn-users}}"),
        names: &["auth.users", "auth.secretKeys.restSecret"],
    },
    Fault {
        name: "nodes without a table",
        base: "public",
        plant: Values("relay: {addresses: nodes}"),
        names: &["relay.nodes is empty"],
    },
    Fault {
        name: "a node whose name is too long for a store",
        base: "public",
        plant: Values(
            "{store: {existingSecret: turn-redis}, relay: {addresses: nodes, nodes: \
             {node-of-a-cluster-whose-names-are-far-longer-than-a-node-id-may-be.example.org: \
             {addresses: [10.0.0.7]}}}}",
        ),
        names: &["relay.nodes: node-of-a-cluster", "64 letters"],
    },
    Fault {
        name: "users of a store that is not there",
        base: "public",
        plant: Values("auth: {fromStore: sealed}"),
        names: &["auth.fromStore", "store.existingSecret"],
    },
    Fault {
        name: "a store for stund",
        base: "stun",
        plant: Values("store: {existingSecret: turn-redis}"),
        names: &["store.existingSecret", "stund keeps no allocations"],
    },
    Fault {
        name: "NAT discovery behind a Service",
        base: "stun",
        plant: Values("stun: {natDiscovery: {alternateAddresses: [203.0.113.8]}}"),
        names: &["stun.natDiscovery", "stun.hostNetwork"],
    },
    // Empty values that would stand for everything, and nulls that would remove a default (H56).
    Fault {
        name: "h56 a relay on every node",
        base: "stun",
        plant: Values(
            "{mode: public, realm: example.org, auth: {existingSecret: turn-users, users: {alice: \
             alice}}}",
        ),
        names: &["nodeSelector is empty", "every node of the cluster", "kubernetes.io/os: linux"],
    },
    Fault {
        name: "h56 an affinity that requires nothing",
        base: "stun",
        plant: Values(
            "{mode: public, realm: example.org, auth: {existingSecret: turn-users, users: {alice: \
             alice}}, affinity: {nodeAffinity: {preferredDuringSchedulingIgnoredDuringExecution: \
             []}}}",
        ),
        names: &["nodeSelector is empty"],
    },
    Fault {
        name: "h56 a relay with no profile",
        base: "public",
        plant: Values("seccompProfile: null"),
        names: &["missing property 'seccompProfile'"],
    },
    Fault {
        name: "h56 a Service that hides the client",
        base: "stun",
        plant: Values("service: {externalTrafficPolicy: null}"),
        names: &["/service", "missing property 'externalTrafficPolicy'"],
    },
    Fault {
        name: "h56 no policy without saying so",
        base: "stun",
        plant: Values("networkPolicy: {enabled: null}"),
        names: &["/networkPolicy", "missing property 'enabled'"],
    },
    Fault {
        name: "h56 no limit of memory without saying so",
        base: "public",
        plant: Values("resources: null"),
        names: &["missing property 'resources'"],
    },
    Fault {
        name: "h56 a toleration of nothing",
        base: "public",
        plant: Values("tolerations: [{effect: NoExecute}]"),
        names: &["/tolerations/0", "missing property"],
    },
    Fault {
        name: "h56 a client without a selector",
        base: "stun",
        plant: Values("networkPolicy: {clients: [{}]}"),
        names: &["/networkPolicy/clients/0", "minProperties"],
    },
    Fault {
        name: "h56 a login without a name",
        base: "public",
        plant: Values("imagePullSecrets: [{name: \"\"}]"),
        names: &["/imagePullSecrets/0/name"],
    },
    Fault {
        name: "h56 a source range that is empty",
        base: "stun",
        plant: Values("service: {loadBalancerSourceRanges: [\"\"]}"),
        names: &["/service/loadBalancerSourceRanges/0"],
    },
    Fault {
        name: "h56 a profile without a path",
        base: "public",
        plant: Values("seccompProfile: {type: Localhost}"),
        names: &["seccompProfile.localhostProfile is missing"],
    },
    Fault {
        name: "h56 a NAT discovery on any node",
        base: "stun",
        plant: Values(
            "{listeners: [{address: 203.0.113.7, port: 3478}], stun: {replicas: 1, hostNetwork: \
             true, natDiscovery: {alternateAddresses: [203.0.113.8]}}}",
        ),
        names: &["nodeSelector is empty", "stun.natDiscovery"],
    },
    // Keys that would not be read.
    Fault {
        name: "h56 a misspelled limit",
        base: "public",
        plant: Values("resources: {limit: {memory: 1Gi}}"),
        names: &["/resources", "limit"],
    },
    Fault {
        name: "h56 a misspelled toleration",
        base: "public",
        plant: Values("tolerations: [{kee: relay, operator: Exists}]"),
        names: &["/tolerations/0", "kee"],
    },
    Fault {
        name: "h56 a user of no Redis",
        base: "public",
        plant: Values("store: {username: turnd}"),
        names: &["store.username is given", "store.existingSecret is empty"],
    },
    Fault {
        name: "h56 a Secret whose keys are not named",
        base: "public-redis-users",
        plant: Values("auth: {existingSecret: turn-users}"),
        names: &["neither auth.users nor auth.secretKeys.restSecret"],
    },
    Fault {
        name: "h56 a policy for the host network",
        base: "public",
        plant: Values("networkPolicy: {clients: [{ipBlock: {cidr: 192.0.2.0/24}}]}"),
        names: &["networkPolicy.clients is given", "nodes' firewall"],
    },
    Fault {
        name: "h56 a policy that is turned off",
        base: "stun",
        plant: Values(
            "networkPolicy: {enabled: false, clients: [{ipBlock: {cidr: 192.0.2.0/24}}]}",
        ),
        names: &["networkPolicy.clients is given", "networkPolicy.enabled is false"],
    },
    Fault {
        name: "h56 source ranges of a NodePort",
        base: "stun",
        plant: Values("service: {type: NodePort, loadBalancerSourceRanges: [192.0.2.0/24]}"),
        names: &["service.loadBalancerSourceRanges is given", "LoadBalancer"],
    },
    Fault {
        name: "h56 users of stund",
        base: "stun",
        plant: Values("auth: {existingSecret: turn-users, users: {alice: alice}}"),
        names: &["auth.existingSecret is given", "mode is \"stun\""],
    },
    Fault {
        name: "h56 rules of stund",
        base: "stun",
        plant: Values("peers: {rules: [deny 198.51.100.0/24]}"),
        names: &["peers.rules is given"],
    },
    Fault {
        name: "h56 replicas of a relay",
        base: "public",
        plant: Values("stun: {replicas: 3}"),
        names: &["stun.replicas is given", "mode is \"public\""],
    },
    Fault {
        name: "h56 a key of no certificate",
        base: "public",
        plant: Values("tls: {secretKeys: {key: private.pem}}"),
        names: &["tls.secretKeys.key is given", "tls.existingSecret is empty"],
    },
    Fault {
        name: "how many of one",
        base: "public-full",
        plant: Values("{updateStrategy: RollingUpdate, maxUnavailable: 2}"),
        names: &["maxUnavailable", "a DaemonSet of its own"],
    },
    Fault {
        name: "a label of the chart's",
        base: "public",
        plant: Values("podLabels: {app.kubernetes.io/name: other}"),
        names: &["podLabels", "app.kubernetes.io/name"],
    },
    // Memory and further settings.
    Fault {
        name: "less memory than its sockets may take",
        base: "public",
        plant: Values("net: {workers: 64}"),
        names: &["resources.limits.memory: 1Gi is too little", "2048 MiB", "at least 2112Mi"],
    },
    Fault {
        name: "a secret among the settings",
        base: "public",
        plant: Values("settings: {auth.rest_secret: hush}"),
        names: &["settings: auth.rest_secret", "would show a secret"],
    },
    Fault {
        name: "a setting that has a value",
        base: "public",
        plant: Values("settings: {admin.listen: \"0.0.0.0:9641\"}"),
        names: &["settings: admin.listen", "values of its own"],
    },
    Fault {
        name: "h44 an unknown setting",
        base: "public",
        plant: Values("settings: {limits.allocation_per_user: 5}"),
        names: &["limits.allocation_per_user", "did you mean limits.allocations_per_user?"],
    },
];

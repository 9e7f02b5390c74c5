//! Faults planted into the values or the templates, each of which must be refused by a message that names it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::case::{Case, write};
use super::{chart, fixtures, output};

struct Fault {
    name: &'static str,
    /// The values file, of those that are good, that it is planted into.
    base: &'static str,
    plant: Plant,
    /// What the message must hold.
    names: &'static [&'static str],
}

enum Plant {
    /// YAML that goes over the values.
    Values(&'static str),
    /// In this template, the first text becomes the second.
    Template(&'static str, &'static str, &'static str),
}

use Plant::{Template, Values};

const FAULTS: &[Fault] = &[
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
        plant: Template("_container.tpl", "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: \"yes\""),
        names: &["Deployment relay-stund", "readOnlyRootFilesystem", "'yes' is not of type"],
    },
    Fault {
        name: "an API that was removed",
        base: "stun",
        plant: Template("poddisruptionbudget.yaml", "apiVersion: policy/v1", "apiVersion: policy/v1beta1"),
        names: &["policy/v1beta1 PodDisruptionBudget is deprecated in v1.21+, unavailable in v1.25+"],
    },
    Fault {
        name: "an API that Helm knows nothing of",
        base: "stun",
        plant: Template("networkpolicy.yaml", "apiVersion: networking.k8s.io/v1", "apiVersion: networking.k8s.io/v1beta2"),
        names: &["Kubernetes 1.30 has no networking.k8s.io/v1beta2 NetworkPolicy"],
    },
    Fault {
        name: "a key that stands twice",
        base: "stun",
        plant: Template("_pod.tpl", "enableServiceLinks: false", "automountServiceAccountToken: true"),
        names: &["the key automountServiceAccountToken stands twice"],
    },
    Fault {
        name: "a free form value with an unknown field",
        base: "public",
        plant: Values("tolerations: [{kee: relay, operator: Exists}]"),
        names: &["DaemonSet relay-turnd", "tolerations", "kee"],
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
        name: "a secret in the ConfigMap",
        base: "public",
        plant: Template("_config.tpl", "password_file = \"/etc/causeway/auth/{{ $key }}\"", "password = \"not-to-be-seen-{{ $key }}\""),
        names: &["the secret alice stands in a rendered object"],
    },
    // Configurations that the binary refuses.
    Fault {
        name: "h44 an unknown key in the configuration",
        base: "public",
        plant: Template("_config.tpl", "scope = ", "scop = "),
        names: &["relay.scop", "did you mean relay.scope?"],
    },
    Fault {
        name: "a private address on a public relay",
        base: "public",
        plant: Values("relay: {addresses: nodes, nodes: {relay-1: {addresses: [10.0.0.8]}}}"),
        names: &["turnd on relay-1", "10.0.0.8 (private) cannot be reached"],
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
        names: &["Secret forgotten is mounted, and is not there"],
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
        plant: Template("_container.tpl", "mountPath: /etc/causeway/{{ .name }}", "mountPath: /etc/elsewhere/{{ .name }}"),
        names: &["auth.users.alice", "password_file", "cannot read"],
    },
    Fault {
        name: "h41 an open admin port without a token",
        base: "stun",
        plant: Values("admin: {address: 0.0.0.0}"),
        names: &["admin.existingSecret is empty", "0.0.0.0"],
    },
    // Values that the schema refuses.
    Fault { name: "an unknown value", base: "public", plant: Values("relay: {portz: 1-2}"), names: &["/relay", "portz"] },
    Fault { name: "an unknown mode", base: "public", plant: Values("mode: gateway"), names: &["/mode", "'public', 'stun'"] },
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
    Fault { name: "no image", base: "public", plant: Values("image: {repository: \"\"}"), names: &["image.repository is empty"] },
    Fault { name: "no realm", base: "public", plant: Values("realm: \"\""), names: &["realm is empty"] },
    Fault {
        name: "nobody may relay",
        base: "stun",
        plant: Values("{mode: public, realm: example.org, auth: {existingSecret: turn-users}}"),
        names: &["auth.users", "auth.secretKeys.restSecret"],
    },
    Fault { name: "nodes without a table", base: "public", plant: Values("relay: {addresses: nodes}"), names: &["relay.nodes is empty"] },
    Fault {
        name: "a node whose name is too long for a store",
        base: "public-redis",
        plant: Values(
            "relay: {addresses: nodes, nodes: {node-of-a-cluster-whose-names-are-far-longer-than-anybody-reads.example.org: {addresses: [10.0.0.7]}}}",
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
];

/// Plants each of the faults.
///
/// # Errors
/// One is accepted, or refused by a message that does not name it.
pub(super) fn check_all() -> Result<()> {
    let mut complaints = Vec::new();
    for fault in FAULTS {
        match fault.check() {
            Ok(()) => causeway_cli::print_line(format_args!("{:44} refused", fault.name))?,
            Err(error) => complaints.push(format!("{}: {error:#}", fault.name)),
        }
    }
    ensure!(complaints.is_empty(), "{} of {} planted faults:\n{}", complaints.len(), FAULTS.len(), complaints.join("\n"));
    Ok(())
}

impl Fault {
    fn check(&self) -> Result<()> {
        let said = self.refusal(&output().join("faults").join(self.name.replace(' ', "-")))?;
        for name in self.names {
            ensure!(said.contains(name), "the refusal does not say {name:?}:\n{said}");
        }
        Ok(())
    }

    /// What the case with the fault in it is refused with.
    fn refusal(&self, folder: &Path) -> Result<String> {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let good = fixtures().join("values").join(self.base).with_extension("yaml");
        let name = Path::new("faults").join(self.name.replace(' ', "-")).join("rendered");
        let mut case = Case { name: name.display().to_string(), ..Case::of_values(&good)? };
        match self.plant {
            Values(text) => case.values.push(write(folder, "values.yaml", text)?),
            Template(file, good, bad) => case.chart = planted(folder, file, good, bad)?,
        }
        match case.check() {
            Ok(_) => bail!("it was accepted"),
            Err(error) => Ok(format!("{error:#}")),
        }
    }
}

/// A copy of our chart with the fault in one of its templates.
fn planted(folder: &Path, file: &str, good: &str, bad: &str) -> Result<PathBuf> {
    let copy = folder.join("causeway");
    copy_folder(&chart(), &copy)?;
    let template = copy.join("templates").join(file);
    let text = std::fs::read_to_string(&template).with_context(|| template.display().to_string())?;
    ensure!(text.contains(good), "{file} does not hold {good:?}: plant the fault elsewhere");
    write(&copy.join("templates"), file, &text.replacen(good, bad, 1))?;
    Ok(copy)
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to).with_context(|| to.display().to_string())?;
    for entry in std::fs::read_dir(from).with_context(|| from.display().to_string())? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy_folder(&entry.path(), &target)?,
            false => drop(std::fs::copy(entry.path(), &target).with_context(|| target.display().to_string())?),
        }
    }
    Ok(())
}

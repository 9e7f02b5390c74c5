{{/*
Values that the schema cannot refuse: those that contradict each other, those that nothing would read, and empty ones that would stand for
everything. Each refusal says what to write instead. Renders nothing.
*/}}
{{- define "causeway.refusals" -}}
{{- $values := .Values -}}
{{- if eq $values.mode "public" }}{{ include "causeway.refusals.public" . }}{{ else }}{{ include "causeway.refusals.stun" . }}{{ end -}}
{{- include "causeway.refusals.unread" . -}}
{{- include "causeway.refusals.pods" . -}}
{{- include "causeway.memory.refusal" . -}}
{{- $secure := false -}}
{{- range $values.listeners }}{{ if or (has "tls" (.transports | default list)) (has "dtls" (.transports | default list)) }}{{ $secure = true }}{{ end }}{{ end -}}
{{- if and $secure (not $values.tls.existingSecret) }}{{ fail "tls.existingSecret is empty: TLS and DTLS need a certificate" }}{{ end -}}
{{- if and $values.tls.existingSecret (include "causeway.natDiscovery" .) -}}
{{- fail "stun.natDiscovery with tls: this chart opens no second pair of ports for TLS; leave one of the two out" -}}
{{- end -}}
{{- if and (include "causeway.adminOpen" .) (not $values.admin.existingSecret) -}}
{{- fail (printf "admin.existingSecret is empty: %s can be reached from other hosts, and there every request must show a token" $values.admin.address) -}}
{{- end -}}
{{- end }}

{{- define "causeway.refusals.public" -}}
{{- $values := .Values -}}
{{- $_ := required "realm is empty: users belong to a realm, usually your domain" $values.realm -}}
{{- $named := or $values.auth.users $values.auth.secretKeys.restSecret -}}
{{- if and $values.auth.fromStore (not $values.store.existingSecret) }}{{ fail "auth.fromStore: there is no store to take users from; set store.existingSecret" }}{{ end -}}
{{- if or $named (not $values.auth.fromStore) -}}
{{- $_ := required "auth.existingSecret is empty: name the Secret that holds the passwords or the REST secret; an open relay lets any client into your network" $values.auth.existingSecret -}}
{{- end -}}
{{- if and (not $named) (or $values.auth.existingSecret (not $values.auth.fromStore)) -}}
{{- fail "neither auth.users nor auth.secretKeys.restSecret says who may relay: name at least one key of the Secret" -}}
{{- end -}}
{{- if eq $values.relay.addresses "nodes" -}}
{{- include "causeway.refusals.nodes" . -}}
{{- else -}}
{{- if $values.relay.nodes -}}
{{- fail (printf "relay.nodes is given, and relay.addresses is %q: set it to \"nodes\"" $values.relay.addresses) -}}
{{- end -}}
{{- $required := dig "nodeAffinity" "requiredDuringSchedulingIgnoredDuringExecution" "nodeSelectorTerms" list $values.affinity -}}
{{- if not (or $values.nodeSelector $required) -}}
{{- fail "nodeSelector is empty: every node of the cluster would run a public relay on its own network; name the label of those that shall, such as nodeSelector: {example.org/turn: \"true\"}, or {kubernetes.io/os: linux} for all of them" -}}
{{- end -}}
{{- end -}}
{{- if and (eq $values.updateStrategy "OnDelete") (ne (toString $values.maxUnavailable) "1") -}}
{{- fail "maxUnavailable is given, and updateStrategy is \"OnDelete\": Kubernetes then replaces no pod by itself; leave one of the two out" -}}
{{- end -}}
{{- end }}

{{- define "causeway.refusals.nodes" -}}
{{- $values := .Values -}}
{{- if not $values.relay.nodes }}{{ fail "relay.nodes is empty, and relay.addresses says that the addresses stand there" }}{{ end -}}
{{- if $values.affinity.nodeAffinity }}{{ fail "affinity.nodeAffinity: with relay.addresses \"nodes\" the table relay.nodes says where servers run" }}{{ end -}}
{{- if ne (toString $values.maxUnavailable) "1" -}}
{{- fail "maxUnavailable: with relay.addresses \"nodes\" each node has a DaemonSet of its own, and Kubernetes counts within one; leave it out, and set updateStrategy: OnDelete to replace the pods one after the other yourself" -}}
{{- end -}}
{{- range $name, $_ := $values.relay.nodes -}}
{{- $id := printf "%s.%s" $.Release.Name $name -}}
{{- if and $values.store.existingSecret (gt (len $id) 64) -}}
{{- fail (printf "relay.nodes: %s makes the store's node id %s, which has more than 64 letters; the maximum is 64 letters" $name $id) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "causeway.refusals.stun" -}}
{{- $stun := .Values.stun -}}
{{- if .Values.store.existingSecret }}{{ fail "store.existingSecret: stund keeps no allocations; leave it out in mode stun" }}{{ end -}}
{{- if $stun.natDiscovery.alternateAddresses -}}
{{- if not $stun.hostNetwork }}{{ fail "stun.natDiscovery needs two addresses of a node: set stun.hostNetwork" }}{{ end -}}
{{- if ne (int $stun.replicas) 1 }}{{ fail "stun.natDiscovery names addresses of one node: set stun.replicas to 1, and nodeSelector to that node" }}{{ end -}}
{{- if not (or .Values.nodeSelector .Values.affinity.nodeAffinity) -}}
{{- fail "nodeSelector is empty, and stun.natDiscovery names addresses of one node: name that node, such as nodeSelector: {kubernetes.io/hostname: stun-1}" -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* What is given and would not be read, because another value says that it does not apply: the defaults are what may stand there. */}}
{{- define "causeway.refusals.unread" -}}
{{- $unread := list -}}
{{- if eq .Values.mode "public" -}}
{{- $why := "mode is \"public\"" -}}
{{- $unread = append $unread (list "stun.replicas" 2 $why) -}}
{{- $unread = append $unread (list "stun.hostNetwork" false $why) -}}
{{- $unread = append $unread (list "stun.natDiscovery.alternateAddresses" list $why) -}}
{{- $unread = append $unread (list "topologySpreadConstraints" nil $why) -}}
{{- $unread = append $unread (list "podDisruptionBudget.maxUnavailable" 1 $why) -}}
{{- if not .Values.store.existingSecret -}}
{{- range list "username" "lockHostPath" "restorePatience" "secretKeys.password" -}}
{{- $unread = append $unread (list (printf "store.%s" .) "" "store.existingSecret is empty, so that there is no store") -}}
{{- end -}}
{{- end -}}
{{- else -}}
{{- $why := "mode is \"stun\"" -}}
{{- range list "realm" "auth.existingSecret" "auth.secretKeys.restSecret" "auth.fromStore" "auth.expiryGrace" -}}
{{- $unread = append $unread (list . "" $why) -}}
{{- end -}}
{{- range list "auth.users" "relay.nodes" "protocol" "accounting" -}}
{{- $unread = append $unread (list . dict $why) -}}
{{- end -}}
{{- $unread = append $unread (list "peers.rules" list $why) -}}
{{- $unread = append $unread (list "relay.addresses" "hostIP" $why) -}}
{{- $unread = append $unread (list "relay.ports" "49152-65535" $why) -}}
{{- $unread = append $unread (list "relay.scope" "public" $why) -}}
{{- $unread = append $unread (list "updateStrategy" "RollingUpdate" $why) -}}
{{- $unread = append $unread (list "maxUnavailable" 1 $why) -}}
{{- $unread = append $unread (list "podDisruptionBudget.minAvailable" nil $why) -}}
{{- if not .Values.stun.natDiscovery.alternateAddresses -}}
{{- $why := "stun.natDiscovery.alternateAddresses is empty" -}}
{{- $unread = append $unread (list "stun.natDiscovery.alternatePort" 3479 $why) -}}
{{- $unread = append $unread (list "stun.natDiscovery.external" dict $why) -}}
{{- $unread = append $unread (list "stun.natDiscovery.scope" "public" $why) -}}
{{- end -}}
{{- end -}}
{{- if include "causeway.hostNetwork" . -}}
{{- $why := "the pods are on the nodes' network, where they have no Service and Kubernetes applies no policy; use the nodes' firewall" -}}
{{- $unread = append $unread (list "networkPolicy.clients" list $why) -}}
{{- $unread = append $unread (list "networkPolicy.metricsFrom" list $why) -}}
{{- $unread = append $unread (list "service.type" "LoadBalancer" $why) -}}
{{- $unread = append $unread (list "service.annotations" dict $why) -}}
{{- $unread = append $unread (list "service.externalTrafficPolicy" "Local" $why) -}}
{{- $unread = append $unread (list "service.ipFamilyPolicy" "PreferDualStack" $why) -}}
{{- $unread = append $unread (list "service.ipFamilies" list $why) -}}
{{- else if not .Values.networkPolicy.enabled -}}
{{- $unread = append $unread (list "networkPolicy.clients" list "networkPolicy.enabled is false") -}}
{{- $unread = append $unread (list "networkPolicy.metricsFrom" list "networkPolicy.enabled is false") -}}
{{- end -}}
{{- if or (include "causeway.hostNetwork" .) (ne .Values.service.type "LoadBalancer") -}}
{{- $why := "only a Service of type LoadBalancer has it" -}}
{{- $unread = append $unread (list "service.loadBalancerClass" "" $why) -}}
{{- $unread = append $unread (list "service.loadBalancerSourceRanges" list $why) -}}
{{- end -}}
{{- if not .Values.tls.existingSecret -}}
{{- $unread = append $unread (list "tls.secretKeys.certificate" "tls.crt" "tls.existingSecret is empty") -}}
{{- $unread = append $unread (list "tls.secretKeys.key" "tls.key" "tls.existingSecret is empty") -}}
{{- end -}}
{{- if not .Values.admin.existingSecret -}}
{{- $unread = append $unread (list "admin.secretKeys.token" "token" "admin.existingSecret is empty") -}}
{{- end -}}
{{- range $unread -}}
{{- $value := $.Values -}}
{{- range splitList "." (first .) }}{{ $value = get ($value | default dict) . }}{{ end -}}
{{- /* A missing key reads as "", and a default of null leaves none. */ -}}
{{- $default := kindIs "invalid" (index . 1) | ternary "" (index . 1) -}}
{{- if ne (toJson (kindIs "invalid" $value | ternary "" $value)) (toJson $default) -}}
{{- fail (printf "%s is given, and nothing would read it: %s; leave it out" (first .) (last .)) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Labels, annotations and the profile that the chart itself writes, or that would take the pods out of the hands of their owner. */}}
{{- define "causeway.refusals.pods" -}}
{{- range list "app.kubernetes.io/name" "app.kubernetes.io/instance" "causeway-node" -}}
{{- if hasKey $.Values.podLabels . }}{{ fail (printf "podLabels: the chart itself gives %s, by which pods are found; choose another label" .) }}{{ end -}}
{{- end -}}
{{- if hasKey .Values.podAnnotations "checksum/config" }}{{ fail "podAnnotations: the chart itself gives checksum/config; choose another name" }}{{ end -}}
{{- $profile := .Values.seccompProfile -}}
{{- if and (eq $profile.type "Localhost") (not $profile.localhostProfile) -}}
{{- fail "seccompProfile.localhostProfile is missing: the type Localhost needs the profile's path on the node" -}}
{{- end -}}
{{- if and (ne $profile.type "Localhost") $profile.localhostProfile -}}
{{- fail (printf "seccompProfile.localhostProfile is given, and the type is %s: set the type to Localhost" $profile.type) -}}
{{- end -}}
{{- end }}

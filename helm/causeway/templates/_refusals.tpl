{{/* What the schema cannot say: values that contradict each other, refused with the remedy. Renders nothing. */}}
{{- define "causeway.refusals" -}}
{{- $values := .Values -}}
{{- if eq $values.mode "public" }}{{ include "causeway.refusals.public" . }}{{ else }}{{ include "causeway.refusals.stun" . }}{{ end -}}
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
{{- $_ := required "auth.existingSecret is empty: name the Secret that holds the passwords or the REST secret; an open relay is anybody's way into your network" $values.auth.existingSecret -}}
{{- end -}}
{{- if not (or $named $values.auth.fromStore) -}}
{{- fail "neither auth.users nor auth.secretKeys.restSecret says who may relay: name at least one key of the Secret" -}}
{{- end -}}
{{- if eq $values.relay.addresses "nodes" -}}
{{- if not $values.relay.nodes }}{{ fail "relay.nodes is empty, and relay.addresses says that the addresses stand there" }}{{ end -}}
{{- if $values.affinity.nodeAffinity }}{{ fail "affinity.nodeAffinity: with relay.addresses \"nodes\" the table relay.nodes says where servers run" }}{{ end -}}
{{- range $name, $_ := $values.relay.nodes -}}
{{- $id := printf "%s.%s" $.Release.Name $name -}}
{{- if and $values.store.existingSecret (gt (len $id) 64) -}}
{{- fail (printf "relay.nodes: %s makes the store's node id %s, which has more than 64 letters; the maximum is 64 letters" $name $id) -}}
{{- end -}}
{{- end -}}
{{- else if $values.relay.nodes -}}
{{- fail (printf "relay.nodes is given, and relay.addresses is %q: set it to \"nodes\"" $values.relay.addresses) -}}
{{- end -}}
{{- end }}

{{- define "causeway.refusals.stun" -}}
{{- $stun := .Values.stun -}}
{{- if .Values.store.existingSecret }}{{ fail "store.existingSecret: stund keeps no allocations; leave it out in mode stun" }}{{ end -}}
{{- if $stun.natDiscovery.alternateAddresses -}}
{{- if not $stun.hostNetwork }}{{ fail "stun.natDiscovery needs two addresses of a node: set stun.hostNetwork" }}{{ end -}}
{{- if ne (int $stun.replicas) 1 }}{{ fail "stun.natDiscovery names addresses of one node: set stun.replicas to 1, and nodeSelector to that node" }}{{ end -}}
{{- end -}}
{{- end }}

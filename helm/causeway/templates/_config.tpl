{{/*
The configuration of one server, in TOML; `node` is its entry of relay.nodes, if it has one. Strings are written as JSON,
which TOML reads alike. Secrets are files: this text holds their paths.
*/}}
{{- define "causeway.config" -}}
{{- $values := .root.Values -}}
{{- $public := eq $values.mode "public" -}}
{{- if $public }}
realm = {{ toJson $values.realm }}
{{- end }}
{{- range $values.listeners }}

[[listen]]
address = {{ include "causeway.endpoint" . | quote }}
transports = {{ .transports | default (list "udp" "tcp") | toJson }}
{{- end }}
{{- if $values.tls.existingSecret }}

[tls]
certificate = "/etc/causeway/tls/{{ $values.tls.secretKeys.certificate }}"
key = "/etc/causeway/tls/{{ $values.tls.secretKeys.key }}"
{{- end }}
{{- if $public }}
{{ include "causeway.config.public" . }}
{{- else if include "causeway.natDiscovery" .root }}

[nat_discovery]
alternate_address = {{ toJson $values.stun.natDiscovery.alternateAddresses }}
alternate_port = {{ int $values.stun.natDiscovery.alternatePort }}
scope = {{ toJson $values.stun.natDiscovery.scope }}
{{- with $values.stun.natDiscovery.external }}

[nat_discovery.external]
{{- range $bound, $advertised := . }}
{{ toJson $bound }} = {{ toJson $advertised }}
{{- end }}
{{- end }}
{{- end }}
{{- include "causeway.config.section" (dict "name" "limits" "values" $values.limits) }}

[admin]
listen = {{ include "causeway.endpoint" (dict "address" $values.admin.address "port" (include "causeway.adminPort" .root)) | quote }}
{{- with $values.admin.existingSecret }}
token_file = "/etc/causeway/admin/{{ $values.admin.secretKeys.token }}"
{{- end }}
{{- include "causeway.config.section" (dict "name" "log" "values" $values.log) }}
{{- include "causeway.config.section" (dict "name" "net" "values" $values.net) }}
{{- end }}

{{/* The sections that turnd alone has. */}}
{{- define "causeway.config.public" -}}
{{- $values := .root.Values }}
[relay]
{{- with .node }}
addresses = {{ toJson .addresses }}
{{- end }}
ports = {{ toJson $values.relay.ports }}
scope = {{ toJson $values.relay.scope }}
{{- with (.node | default dict).external }}

[relay.external]
{{- range $bound, $advertised := . }}
{{ toJson $bound }} = {{ toJson $advertised }}
{{- end }}
{{- end }}

[auth]
{{- with $values.auth.secretKeys.restSecret }}
rest_secret_file = "/etc/causeway/auth/{{ . }}"
{{- end }}
{{- with $values.auth.fromStore }}
from_store = {{ toJson . }}
{{- end }}
{{- with $values.auth.restName }}
rest_name = {{ toJson . }}
{{- end }}
{{- with $values.auth.expiryGrace }}
expiry_grace = {{ toJson . }}
{{- end }}
{{- range $name, $key := $values.auth.users }}

[auth.users.{{ toJson $name }}]
password_file = "/etc/causeway/auth/{{ $key }}"
{{- end }}
{{- if $values.store.existingSecret }}
{{- $keys := $values.store.secretKeys }}

[store]
url_file = "/etc/causeway/store/{{ $keys.url }}"
fleet_key_file = "/etc/causeway/store/{{ $keys.fleetKey }}"
{{- with $keys.password }}
password_file = "/etc/causeway/store/{{ . }}"
{{- end }}
{{- with $values.store.username }}
username = {{ toJson . }}
{{- end }}
lock_directory = "/run/causeway"
{{- with $values.store.restorePatience }}
restore_patience = {{ toJson . }}
{{- end }}
{{- end }}

[peers]
rules = {{ toJson $values.peers.rules }}
{{- with $values.peers.denied }}
denied = {{ toJson . }}
{{- end }}
{{- include "causeway.config.section" (dict "name" "protocol" "values" $values.protocol) }}
{{- include "causeway.config.section" (dict "name" "accounting" "values" $values.accounting) }}
{{- end }}

{{/* A section of plain keys: allocationsPerUser here is allocations_per_user there. */}}
{{- define "causeway.config.section" -}}
{{- if .values }}

[{{ .name }}]
{{- range $key, $value := .values }}
{{ snakecase $key }} = {{ or (kindIs "string" $value) (kindIs "bool" $value) | ternary (toJson $value) (printf "%d" (int64 $value)) }}
{{- end }}
{{- end }}
{{- end }}

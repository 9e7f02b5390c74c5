{{/* "true" where pods share the node's network. */}}
{{- define "causeway.hostNetwork" -}}
{{- if or (eq .Values.mode "public") .Values.stun.hostNetwork }}true{{ end }}
{{- end }}

{{/* The ports that clients use, each once: JSON of [{name, protocol, port}]. */}}
{{- define "causeway.ports" -}}
{{- $listeners := .Values.listeners -}}
{{- if not $listeners -}}
{{- $listeners = list (dict "port" 3478) -}}
{{- if .Values.tls.existingSecret }}{{ $listeners = append $listeners (dict "port" 5349 "transports" (list "tls" "dtls")) }}{{ end -}}
{{- end -}}
{{- $names := list -}}
{{- $ports := list -}}
{{- range $listener := $listeners -}}
{{- $numbers := list (int $listener.port) -}}
{{- if include "causeway.natDiscovery" $ }}{{ $numbers = append $numbers (int $.Values.stun.natDiscovery.alternatePort) }}{{ end -}}
{{- range $number := $numbers -}}
{{- range $transport := $listener.transports | default (list "udp" "tcp") -}}
{{- $protocol := has $transport (list "udp" "dtls") | ternary "udp" "tcp" -}}
{{- $name := printf "%s-%d" $protocol $number -}}
{{- if not (has $name $names) -}}
{{- $names = append $names $name -}}
{{- $ports = append $ports (dict "name" $name "protocol" (upper $protocol) "port" $number) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{ toJson $ports }}
{{- end }}

{{/* "true" where stund answers RFC 5780's questions. */}}
{{- define "causeway.natDiscovery" -}}
{{- if and (eq .Values.mode "stun") .Values.stun.natDiscovery.alternateAddresses }}true{{ end }}
{{- end }}

{{- define "causeway.adminPort" -}}
{{ .Values.admin.port | default (eq .Values.mode "public" | ternary 9641 9642) | int }}
{{- end }}

{{/* "true" where other hosts reach the admin listener: then it asks for a token. */}}
{{- define "causeway.adminOpen" -}}
{{- if not (or (hasPrefix "127." .Values.admin.address) (eq "::1" .Values.admin.address)) }}true{{ end }}
{{- end }}

{{/* ADDRESS:PORT, with the brackets that IPv6 asks for. */}}
{{- define "causeway.endpoint" -}}
{{- if contains ":" .address }}[{{ .address }}]{{ else }}{{ .address }}{{ end }}:{{ int .port }}
{{- end }}

{{/*
How the kubelet asks a pod how it is; `path` is /healthz or /readyz.

On the host network the kubelet shares the pod's loopback, and asks the admin listener there. Where that listener asks for a
token, which has no place in a pod's specification, or is on the loopback of a network of the pod's own, it connects to the
clients' TCP port: that is open when the server serves, but says nothing of workers that hang.
*/}}
{{- define "causeway.probe" -}}
{{- $root := .root -}}
{{- if and (include "causeway.hostNetwork" $root) (not (include "causeway.adminOpen" $root)) (not $root.Values.admin.existingSecret) -}}
httpGet:
  host: {{ $root.Values.admin.address | quote }}
  port: {{ include "causeway.adminPort" $root }}
  path: {{ .path }}
{{- else -}}
{{- $tcp := dict -}}
{{- range $root.Values.listeners | default (list (dict "address" "0.0.0.0" "port" 3478 "transports" (list "tcp"))) -}}
{{- if and (not $tcp) (has "tcp" (.transports | default (list "udp" "tcp"))) }}{{ $tcp = . }}{{ end -}}
{{- end -}}
tcpSocket:
  {{- if not $tcp }}
  {{- if not (include "causeway.adminOpen" $root) }}
  {{- fail "listeners has no TCP listener: then the kubelet needs admin.address to be one that it reaches, with a token" }}
  {{- end }}
  port: {{ include "causeway.adminPort" $root }}
  {{- else }}
  {{- if not (has $tcp.address (list "0.0.0.0" "::")) }}
  host: {{ $tcp.address | quote }}
  {{- end }}
  port: {{ int $tcp.port }}
  {{- end }}
{{- end -}}
{{- end }}

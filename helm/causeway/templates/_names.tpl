{{/* The program that the mode runs, and the prefix of its environment variables. */}}
{{- define "causeway.program" -}}
{{ eq .Values.mode "public" | ternary "turnd" "stund" }}
{{- end }}

{{/* The name of every object: the release's, with the program's unless it is in there already. */}}
{{- define "causeway.name" -}}
{{- $program := include "causeway.program" . -}}
{{- contains $program .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $program) | trunc 52 | trimSuffix "-" -}}
{{- end }}

{{/* The labels by which pods are selected: they never change between versions. */}}
{{- define "causeway.selector" -}}
app.kubernetes.io/name: {{ include "causeway.program" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "causeway.labels" -}}
{{ include "causeway.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: causeway
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{/*
The servers that have pods of their own: JSON of [{name, labels, node, config}]. One for the release, or with relay.nodes one for each
node, so that a change of one node's entry replaces that node's pod and no other.
*/}}
{{- define "causeway.servers" -}}
{{- $name := include "causeway.name" . -}}
{{- $servers := list -}}
{{- if include "causeway.byNode" . -}}
{{- range $node, $entry := .Values.relay.nodes -}}
{{- $slug := include "causeway.slug" $node -}}
{{- $config := include "causeway.config" (dict "root" $ "node" $entry) | trim -}}
{{- $servers = append $servers (dict "name" (printf "%s-%s" $name $slug) "labels" (dict "causeway-node" $slug) "node" $node "config" $config) -}}
{{- end -}}
{{- else -}}
{{- $servers = list (dict "name" $name "labels" dict "node" "" "config" (include "causeway.config" (dict "root" .) | trim)) -}}
{{- end -}}
{{ toJson $servers }}
{{- end }}

{{/* "true" where each node of relay.nodes has a DaemonSet and a configuration of its own. */}}
{{- define "causeway.byNode" -}}
{{- if and (eq .Values.mode "public") (eq .Values.relay.addresses "nodes") }}true{{ end }}
{{- end }}

{{/* A node's name, shortened for names and labels; two nodes never share one. */}}
{{- define "causeway.slug" -}}
{{- if regexMatch "^[-a-z0-9]{1,40}$" . }}{{ . }}
{{- else }}{{ replace "." "-" . | trunc 31 | trimSuffix "-" }}-{{ sha256sum . | trunc 8 }}{{ end }}
{{- end }}

{{- define "causeway.serviceAccount" -}}
{{- $account := .Values.serviceAccount -}}
{{- if $account.create }}{{ $account.name | default (include "causeway.name" .) }}
{{- else }}{{ $account.name | default "default" }}{{ end }}
{{- end }}

{{/* The image by digest, or else by tag. */}}
{{- define "causeway.image" -}}
{{- $image := .Values.image -}}
{{- $repository := required (printf "image.repository is empty: name the image of %s that you have built" (include "causeway.program" .)) $image.repository -}}
{{- if $image.registry }}{{ trimSuffix "/" $image.registry }}/{{ end }}{{ $repository }}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

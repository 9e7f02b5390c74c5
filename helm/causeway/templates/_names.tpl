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

{{/* The pod of either mode: not root, nothing writable, no capability, no token of the API server (H43). */}}
{{- define "causeway.pod" -}}
{{- $host := include "causeway.hostNetwork" . -}}
metadata:
  labels:
    {{- include "causeway.labels" . | nindent 4 }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    # Another configuration makes other pods.
    checksum/config: {{ include "causeway.configs" . | sha256sum }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "causeway.serviceAccount" . }}
  automountServiceAccountToken: false
  # A Service called turnd would set TURND_PORT, which looks like a key of the configuration.
  enableServiceLinks: false
  {{- if $host }}
  hostNetwork: true
  dnsPolicy: ClusterFirstWithHostNet
  {{- end }}
  terminationGracePeriodSeconds: {{ int .Values.terminationGracePeriodSeconds }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    # Makes the Secrets' files readable.
    fsGroup: 65532
    seccompProfile:
      {{- toYaml .Values.seccompProfile | nindent 6 }}
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with include "causeway.affinity" . }}
  affinity:
    {{- . | nindent 4 }}
  {{- end }}
  {{- if eq .Values.mode "stun" }}
  topologySpreadConstraints:
    {{- include "causeway.spread" . | nindent 4 }}
  {{- end }}
  containers:
    - {{ include "causeway.container" . | nindent 6 | trim }}
  volumes:
    {{- include "causeway.volumes" . | nindent 4 }}
{{- end }}

{{/* The nodes of relay.nodes and no others, beside what the values ask for. */}}
{{- define "causeway.affinity" -}}
{{- $affinity := deepCopy .Values.affinity -}}
{{- if and (eq .Values.mode "public") (eq .Values.relay.addresses "nodes") -}}
{{- $terms := list -}}
{{- range $name, $_ := .Values.relay.nodes -}}
{{- $field := dict "key" "metadata.name" "operator" "In" "values" (list $name) -}}
{{- $terms = append $terms (dict "matchFields" (list $field)) -}}
{{- end -}}
{{- $required := dict "nodeSelectorTerms" $terms -}}
{{- $_ := set $affinity "nodeAffinity" (dict "requiredDuringSchedulingIgnoredDuringExecution" $required) -}}
{{- end -}}
{{- if $affinity }}{{ toYaml $affinity }}{{ end }}
{{- end }}

{{- define "causeway.spread" -}}
{{- if kindIs "slice" .Values.topologySpreadConstraints -}}
{{ toYaml .Values.topologySpreadConstraints }}
{{- else -}}
{{- range $index, $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
{{- if $index }}
{{ end -}}
- topologyKey: {{ $key }}
  maxSkew: 1
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "causeway.selector" $ | nindent 6 }}
{{- end }}
{{- end }}
{{- end }}

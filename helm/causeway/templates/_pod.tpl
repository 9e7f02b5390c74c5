{{/*
The pod of one of "causeway.servers": not root, nothing writable, no capability, no token of the API server (H43).

Kubernetes replaces a pod when anything in here changes, and that ends calls. So nothing belongs here that a pod does not depend on: not the
chart's version, and not what is said of another node.
*/}}
{{- define "causeway.pod" -}}
{{- $server := .server -}}
{{- with .root -}}
{{- $host := include "causeway.hostNetwork" . -}}
metadata:
  labels:
    {{- include "causeway.selector" . | nindent 4 }}
    {{- with merge (dict) $server.labels .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    # Another configuration makes another pod; comments and empty lines do not count.
    checksum/config: {{ regexReplaceAll "(?m)^[ \\t]*(#.*)?\\n" $server.config "" | sha256sum }}
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
  {{- with include "causeway.affinity" (dict "root" . "node" $server.node) }}
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
    {{- include "causeway.volumes" (dict "root" . "name" $server.name) | nindent 4 }}
{{- end }}
{{- end }}

{{/* A server of relay.nodes runs on its node and no other, beside what the values ask for. */}}
{{- define "causeway.affinity" -}}
{{- $affinity := deepCopy .root.Values.affinity -}}
{{- with .node -}}
{{- $field := dict "key" "metadata.name" "operator" "In" "values" (list .) -}}
{{- $required := dict "nodeSelectorTerms" (list (dict "matchFields" (list $field))) -}}
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

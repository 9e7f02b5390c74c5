{{- define "causeway.container" -}}
{{- $program := include "causeway.program" . -}}
name: {{ $program }}
image: {{ include "causeway.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args:
  - --config=/etc/causeway/config/{{ $program }}.toml
  {{- range include "causeway.settings" . | fromJsonArray }}
  - {{ . | quote }}
  {{- end }}
{{- if eq $program "turnd" }}
env:
  - name: NODE_NAME
    valueFrom: {fieldRef: {fieldPath: spec.nodeName}}
  {{- if not (include "causeway.byNode" .) }}
  - name: TURND_RELAY__ADDRESSES
    valueFrom: {fieldRef: {fieldPath: status.{{ .Values.relay.addresses }}}}
  {{- end }}
  {{- if .Values.store.existingSecret }}
  - name: TURND_STORE__NODE_ID
    # Two releases on one node are two servers, also where they share a Redis.
    value: {{ .Release.Name }}.$(NODE_NAME)
  {{- end }}
{{- end }}
ports:
  {{- range include "causeway.ports" . | fromJsonArray }}
  - {name: {{ .name }}, containerPort: {{ int .port }}, protocol: {{ .protocol }}}
  {{- end }}
  - {name: admin, containerPort: {{ include "causeway.adminPort" . }}, protocol: TCP}
{{- /* Not /readyz: a server that restored more allocations than new ones fit beside is healthy, and must not be restarted for it. */}}
{{- /* A relay answers once it has its name (22 s at most) and has read the store, or store.restore_patience (60 s at most) is over. */}}
startupProbe:
  {{- include "causeway.probe" (dict "root" . "path" "/healthz") | nindent 2 }}
  timeoutSeconds: 2
  periodSeconds: 1
  failureThreshold: 90
livenessProbe:
  {{- include "causeway.probe" (dict "root" . "path" "/healthz") | nindent 2 }}
  periodSeconds: 10
  timeoutSeconds: 2
readinessProbe:
  {{- include "causeway.probe" (dict "root" . "path" "/readyz") | nindent 2 }}
  periodSeconds: 5
  timeoutSeconds: 2
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- with .Values.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumeMounts:
  - {name: config, mountPath: /etc/causeway/config, readOnly: true}
  {{- range include "causeway.secrets" . | fromJsonArray }}
  - {name: {{ .name }}, mountPath: /etc/causeway/{{ .name }}, readOnly: true}
  {{- end }}
  {{- if and (eq $program "turnd") .Values.store.existingSecret }}
  - {name: lock, mountPath: /run/causeway}
  {{- end }}
{{- end }}

{{/* The Secrets that are mounted, each with the keys that are read: JSON of [{name, secret, keys}]. */}}
{{- define "causeway.secrets" -}}
{{- $values := .Values -}}
{{- $secrets := list -}}
{{- if eq $values.mode "public" -}}
{{- $keys := append (values $values.auth.users) $values.auth.secretKeys.restSecret | compact | uniq | sortAlpha -}}
{{- if $keys -}}
{{- $secrets = append $secrets (dict "name" "auth" "secret" $values.auth.existingSecret "keys" $keys) -}}
{{- end -}}
{{- if $values.store.existingSecret -}}
{{- $keys := list $values.store.secretKeys.url $values.store.secretKeys.fleetKey $values.store.secretKeys.password | compact -}}
{{- $secrets = append $secrets (dict "name" "store" "secret" $values.store.existingSecret "keys" $keys) -}}
{{- end -}}
{{- end -}}
{{- with $values.tls.existingSecret -}}
{{- $secrets = append $secrets (dict "name" "tls" "secret" . "keys" (list $values.tls.secretKeys.certificate $values.tls.secretKeys.key)) -}}
{{- end -}}
{{- with $values.admin.existingSecret -}}
{{- $secrets = append $secrets (dict "name" "admin" "secret" . "keys" (list $values.admin.secretKeys.token)) -}}
{{- end -}}
{{ toJson $secrets }}
{{- end }}

{{/* The volumes of the server that is called `name`. */}}
{{- define "causeway.volumes" -}}
{{- $name := .name -}}
{{- with .root -}}
- name: config
  configMap:
    name: {{ $name }}
{{- range include "causeway.secrets" . | fromJsonArray }}
- name: {{ .name }}
  secret:
    secretName: {{ .secret }}
    defaultMode: 0440
    items:
      {{- range .keys }}
      - {key: {{ . | quote }}, path: {{ . | quote }}}
      {{- end }}
{{- end }}
{{- if and (eq .Values.mode "public") .Values.store.existingSecret }}
- name: lock
  {{- if .Values.store.lockHostPath }}
  hostPath: {path: {{ .Values.store.lockHostPath | quote }}, type: Directory}
  {{- else }}
  emptyDir: {}
  {{- end }}
{{- end }}
{{- end }}
{{- end }}

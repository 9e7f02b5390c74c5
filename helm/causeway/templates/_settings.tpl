{{/* The arguments that `settings` makes: JSON of ["--set=KEY=VALUE"]. The kubelet expands $(NAME) in arguments, and takes $$ for $. */}}
{{- define "causeway.settings" -}}
{{- $arguments := list -}}
{{- range $key, $value := .Values.settings -}}
{{- $name := splitList "." $key | last -}}
{{- if regexMatch "(^|_)(password|secrets?|token|key|url)$" $name -}}
{{- fail (printf "settings: %s would show a secret in the pod's specification; the chart reads secrets from Secrets, by the existingSecret values" $key) -}}
{{- end -}}
{{- if regexMatch "^(realm|listen|tls|admin|store|auth\\.users|relay\\.(addresses|external|ports|scope)|peers\\.rules)(\\.|$)" $key -}}
{{- fail (printf "settings: %s has values of its own in this chart, which ports, probes and mounts follow; use those" $key) -}}
{{- end -}}
{{- $text := toString $value -}}
{{- if kindIs "slice" $value -}}
{{- $text = join "," $value -}}
{{- else if kindIs "float64" $value -}}
{{- $text = int64 $value | toString -}}
{{- end -}}
{{- $arguments = append $arguments (printf "--set=%s=%s" $key $text | replace "$" "$$") -}}
{{- end -}}
{{ toJson $arguments }}
{{- end }}

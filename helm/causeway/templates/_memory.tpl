{{/*
What the kernel may keep in the buffers of listening UDP sockets, for one worker, in bytes. It takes twice of what a program asks for, and
counts it towards the memory limit.
*/}}
{{- define "causeway.memory.worker" -}}
{{- $net := .Values.net -}}
{{- $receive := include "causeway.memory.bytes" ($net.receiveBuffer | default "4 MiB") | int64 -}}
{{- $send := include "causeway.memory.bytes" ($net.sendBuffer | default "4 MiB") | int64 -}}
{{- $sockets := 0 -}}
{{- range .Values.listeners -}}
{{- $transports := .transports | default (list "udp" "tcp") -}}
{{- if or (has "udp" $transports) (has "dtls" $transports) }}{{ $sockets = add1 $sockets }}{{ end -}}
{{- else -}}
{{- /* Port 3478 of both families, and with a certificate 5349. */ -}}
{{- $sockets = empty .Values.tls.existingSecret | ternary 2 4 -}}
{{- end -}}
{{- if include "causeway.natDiscovery" . }}{{ $sockets = mul 4 $sockets }}{{ end -}}
{{- mul 2 (add $receive $send) $sockets -}}
{{- end }}

{{/* What resources.limits.memory leaves for these buffers, in bytes; nothing where there is no limit or its form is an unusual one. */}}
{{- define "causeway.memory.room" -}}
{{- $limit := dig "limits" "memory" "" .Values.resources | toString -}}
{{- with include "causeway.memory.bytes" $limit }}{{ max 0 (sub (int64 .) (include "causeway.memory.process" $ | int64)) }}{{ end -}}
{{- end }}

{{/* What the process takes without its socket buffers and without clients, rounded up. */}}
{{- define "causeway.memory.process" -}}
{{ mul 64 1024 1024 }}
{{- end }}

{{/* Bytes of "4 MiB" as in the configuration, or of a quantity of Kubernetes such as 1Gi, 512M; nothing if it is neither. */}}
{{- define "causeway.memory.bytes" -}}
{{- $text := toString . | replace " " "" -}}
{{- $units := dict "" 1 "k" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- if regexMatch "^[0-9]+([kMGT]|[KMGT]iB?)?$" $text -}}
{{- mul (regexFind "^[0-9]+" $text | int64) (get $units (regexReplaceAll "^[0-9]+|B$" $text "") | int64) -}}
{{- end -}}
{{- end }}

{{/* With a number of workers given, the buffers must fit the limit: the kernel would end the server under a flood. */}}
{{- define "causeway.memory.refusal" -}}
{{- $room := include "causeway.memory.room" . -}}
{{- $worker := include "causeway.memory.worker" . | int64 -}}
{{- if and $room .Values.net.workers (gt (mul .Values.net.workers $worker) ($room | int64)) -}}
{{- $needed := div (add (mul .Values.net.workers $worker) (include "causeway.memory.process" . | int64) 1048575) 1048576 -}}
{{- fail (printf "resources.limits.memory: %v is too little: the socket buffers of %v workers may take %d MiB (net.workers, net.receiveBuffer, net.sendBuffer, listeners), and the server 64 MiB; give at least %dMi, or make the buffers smaller"
    .Values.resources.limits.memory .Values.net.workers (div (mul .Values.net.workers $worker) 1048576) $needed) -}}
{{- end -}}
{{- end }}

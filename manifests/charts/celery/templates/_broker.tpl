{{/* Where the broker is. */}}

{{- define "celery.brokerInCluster" -}}
{{- if .Values.redis.enabled }}redis{{ else if .Values.rabbitmq.enabled }}rabbitmq{{ end -}}
{{- end }}

{{- define "celery.brokerName" -}}
{{ include "celery.fullname" . }}-{{ .Values.broker.type }}
{{- end }}

{{- define "celery.brokerHost" -}}
{{ include "celery.brokerName" . }}.{{ .Release.Namespace }}.svc
{{- end }}

{{/* Secret that holds the broker's URL. In the cluster it is the broker's own, which the chart makes unless there is one. */}}
{{- define "celery.brokerSecret" -}}
{{- $inside := include "celery.brokerInCluster" . -}}
{{- if $inside -}}
{{ index .Values $inside "existingSecret" | default (include "celery.brokerName" .) }}
{{- else -}}
{{ .Values.broker.existingSecret }}
{{- end -}}
{{- end }}

{{- define "celery.brokerSecretKey" -}}
{{ ternary .Values.broker.key "url" (empty (include "celery.brokerInCluster" .)) }}
{{- end }}

{{- define "celery.brokerPort" -}}
{{- $own := index (dict "redis" 6379 "rabbitmq" 5672) .Values.broker.type -}}
{{ ternary (.Values.broker.port | default $own) $own (empty (include "celery.brokerInCluster" .)) | int }}
{{- end }}

{{/* Egress rules of what talks to the broker: names, the broker, and what the values add. */}}
{{- define "celery.egress" -}}
- to: {{ toYaml .Values.networkPolicy.dns | nindent 4 }}
  ports:
    - {port: 53, protocol: UDP}
    - {port: 53, protocol: TCP}
- to:
  {{- if include "celery.brokerInCluster" . }}
    - podSelector:
        matchLabels: {{ include "celery.selectorLabels" (dict "root" . "component" .Values.broker.type) | nindent 10 }}
  {{- else }}
    {{- toYaml .Values.networkPolicy.broker | nindent 4 }}
  {{- end }}
  ports:
    - {port: {{ include "celery.brokerPort" . }}, protocol: TCP}
{{- with .Values.networkPolicy.egress }}
{{ toYaml . }}
{{- end }}
{{- end }}

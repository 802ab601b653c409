{{/* What the two brokers for teaching have in common. */}}

{{/* From whom a broker in the cluster takes connections: everything of this release that runs the application, and who the values say. */}}
{{- define "celery.brokerClients" -}}
- podSelector:
    matchLabels:
      app.kubernetes.io/name: {{ .Chart.Name }}
      app.kubernetes.io/instance: {{ .Release.Name }}
    matchExpressions:
      - {key: app.kubernetes.io/component, operator: In, values: [worker, beat, exporter, flower]}
{{- with .Values.networkPolicy.producers }}
{{ toYaml . }}
{{- end }}
{{- if has "broker" (include "celery.usedTriggers" . | fromYamlArray) }}
{{ toYaml .Values.networkPolicy.keda }}
{{- end }}
{{- end }}

{{/* A broker's disk: its `persistence` values. */}}
{{- define "celery.volumeClaimTemplates" -}}
volumeClaimTemplates:
  - metadata: {name: data}
    spec:
      accessModes: [ReadWriteOnce]
      {{- with .storageClass }}
      storageClassName: {{ . }}
      {{- end }}
      resources:
        requests: {storage: {{ .size }}}
{{- end }}

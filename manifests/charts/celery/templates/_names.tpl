{{/* Names. Each is made in one place, so that selectors, policies and autoscalers cannot disagree. */}}

{{/* Root of all names; short enough for "-worker-" and a pool's name of 20 characters in a label of 63. */}}
{{- define "celery.fullname" -}}
{{- $name := .Values.fullnameOverride | default (eq .Release.Name .Chart.Name | ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name)) -}}
{{- $name | trunc 34 | trimSuffix "-" -}}
{{- end }}

{{/* Name of a pool's objects: dict "root" $ "pool" NAME. */}}
{{- define "celery.poolName" -}}
{{ include "celery.fullname" .root }}-worker-{{ .pool }}
{{- end }}

{{/* Beginning of the node names of a pool's workers; the exporter knows them by it. */}}
{{- define "celery.nodes" -}}
{{ include "celery.fullname" .root }}-{{ .pool }}@
{{- end }}

{{/* What a selector matches; it never changes: dict "root" $ "component" NAME, and "pool" for workers. */}}
{{- define "celery.selectorLabels" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- with .pool }}
celery/pool: {{ . }}
{{- end }}
{{- end }}

{{- define "celery.labels" -}}
{{ include "celery.selectorLabels" . }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{- define "celery.serviceAccountName" -}}
{{ .Values.serviceAccount.name | default (include "celery.fullname" .) }}
{{- end }}

{{/* Reference to an image: dict "repository" "tag" "digest". */}}
{{- define "celery.image" -}}
{{ .repository }}{{ with .tag }}:{{ . }}{{ end }}{{ with .digest }}@{{ . }}{{ end }}
{{- end }}

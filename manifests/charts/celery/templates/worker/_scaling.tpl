{{/* What KEDA asks; docs/adr/0015 of the project says why. */}}

{{/* How long the load must have been lower: a broker's list says nothing of tasks that run, so there a worker keeps its longest task's time. */}}
{{- define "celery.scaleDownSeconds" -}}
{{- $scaling := .pool.autoscaling -}}
{{- if not (kindIs "invalid" $scaling.scaleDownSeconds) -}}
{{ int $scaling.scaleDownSeconds }}
{{- else if eq $scaling.trigger "broker" -}}
{{ min 3600 (max 60 (int .pool.longestTaskSeconds)) }}
{{- else -}}
60
{{- end -}}
{{- end }}

{{/* `triggers`, and the formula where there are several: dict "root" $ "name" POOL "pool" VALUES. */}}
{{- define "celery.triggers" -}}
{{- $target := include "celery.targetLoad" .pool -}}
{{- $queues := .pool.queues -}}
{{- $broker := eq .pool.autoscaling.trigger "broker" -}}
{{- if and $broker (gt (len $queues) 1) }}
{{- /* Several triggers would scale for the longest queue, not for all of them. */}}
  scalingModifiers:
    formula: {{ range $i, $queue := $queues }}{{ if $i }} + {{ end }}queue{{ $i }}{{ end }}
    target: {{ $target | quote }}
    activationTarget: "0"
    metricType: AverageValue
{{- end }}
triggers:
  {{- if eq .pool.autoscaling.trigger "exporter" }}
  - type: metrics-api
    metricType: AverageValue
    metadata:
      url: http://{{ include "celery.fullname" .root }}-exporter.{{ .root.Release.Namespace }}.svc:{{ int .root.Values.exporter.port }}/load/{{ include "celery.poolName" (dict "root" .root "pool" .name) }}
      valueLocation: load
      targetValue: {{ $target | quote }}
      activationTargetValue: "0"
  {{- else if eq .pool.autoscaling.trigger "prometheus" }}
  - type: prometheus
    metricType: AverageValue
    metadata:
      serverAddress: {{ .root.Values.scaling.prometheus.serverAddress }}
      query: max(celery_pool_load{pool="{{ include "celery.poolName" (dict "root" .root "pool" .name) }}",namespace="{{ .root.Release.Namespace }}"})
      threshold: {{ $target | quote }}
      activationThreshold: "0"
      # No answer is not zero.
      ignoreNullValues: "false"
      {{- with .root.Values.scaling.prometheus.authModes }}
      authModes: {{ . }}
      {{- end }}
    {{- if .root.Values.scaling.prometheus.secretTargetRef }}
    authenticationRef: {name: {{ include "celery.fullname" .root }}-scaling}
    {{- end }}
  {{- else }}
  {{- range $i, $queue := $queues }}
  - type: {{ $.root.Values.broker.type }}
    name: queue{{ $i }}
    metricType: AverageValue
    metadata:
      {{- if eq $.root.Values.broker.type "redis" }}
      {{- if include "celery.brokerInCluster" $.root }}
      address: {{ include "celery.brokerHost" $.root }}:{{ include "celery.brokerPort" $.root }}
      {{- else }}
      address: {{ $.root.Values.scaling.redis.address }}
      databaseIndex: {{ int $.root.Values.scaling.redis.database | quote }}
      enableTLS: {{ $.root.Values.scaling.redis.tls | quote }}
      {{- end }}
      listName: {{ $queue | quote }}
      listLength: {{ ceil (float64 $target) | int | quote }}
      activationListLength: "0"
      {{- else }}
      protocol: amqp
      queueName: {{ $queue | quote }}
      mode: QueueLength
      value: {{ $target | quote }}
      activationValue: "0"
      {{- end }}
    authenticationRef: {name: {{ include "celery.fullname" $.root }}-scaling}
  {{- end }}
  {{- end }}
{{- end }}

{{/* Names of the triggers that scaled pools use, as a list in YAML. */}}
{{- define "celery.usedTriggers" -}}
{{- $used := list -}}
{{- range $name, $own := .Values.workers -}}
{{- $scaling := (include "celery.pool" (dict "root" $ "pool" $name) | fromYaml).autoscaling -}}
{{- if $scaling.enabled }}{{ $used = append $used $scaling.trigger }}{{ end -}}
{{- end -}}
{{- uniq $used | toYaml -}}
{{- end }}

{{/* What KEDA reads out of Secrets; `parameter` is its own word for it. */}}
{{- define "celery.triggerSecrets" -}}
{{- $used := include "celery.usedTriggers" . | fromYamlArray -}}
{{- $references := list -}}
{{- if has "prometheus" $used }}{{ $references = concat $references .Values.scaling.prometheus.secretTargetRef }}{{ end -}}
{{- if has "broker" $used -}}
{{- if eq .Values.broker.type "rabbitmq" -}}
{{- $references = append $references (dict "parameter" "host" "name" (include "celery.brokerSecret" .) "key" (include "celery.brokerSecretKey" .)) -}}
{{- else if include "celery.brokerInCluster" . -}}
{{- $references = append $references (dict "parameter" "password" "name" (include "celery.brokerSecret" .) "key" "password") -}}
{{- else -}}
{{- $references = concat $references .Values.scaling.redis.secretTargetRef -}}
{{- end -}}
{{- end -}}
{{- toYaml $references -}}
{{- end }}

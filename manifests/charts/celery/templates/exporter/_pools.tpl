{{/* The pools as the exporter reads them, in JSON. */}}
{{- define "celery.exporterPools" -}}
{{- $pools := dict -}}
{{- range $name, $own := .Values.workers -}}
{{- $pool := include "celery.pool" (dict "root" $ "pool" $name) | fromYaml -}}
{{- $_ := set $pools (include "celery.poolName" (dict "root" $ "pool" $name)) (dict "nodes" (include "celery.nodes" (dict "root" $ "pool" $name)) "queues" $pool.queues) -}}
{{- end -}}
{{- toJson (mergeOverwrite $pools .Values.exporter.pools) -}}
{{- end }}

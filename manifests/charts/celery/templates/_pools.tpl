{{/* What is derived from a pool's values. */}}

{{/* A pool's values over workerDefaults, as YAML: dict "root" $ "pool" NAME. `replicas` is absent where KEDA scales. */}}
{{- define "celery.pool" -}}
{{- $own := index .root.Values.workers .pool | default dict -}}
{{- $pool := mustMergeOverwrite (deepCopy .root.Values.workerDefaults) (deepCopy $own) -}}
{{- if $pool.autoscaling.enabled }}{{ $_ := unset $pool "replicas" }}{{ end -}}
{{- toYaml $pool -}}
{{- end }}

{{/* Seconds that a worker has to stop: its longest task, or the soft shutdown where that ends earlier, and the margin. */}}
{{- define "celery.graceSeconds" -}}
{{- $wait := kindIs "invalid" .softShutdownSeconds | ternary .longestTaskSeconds .softShutdownSeconds -}}
{{ add (int $wait) (int .stopMarginSeconds) }}
{{- end }}

{{/* The longest of all pools. */}}
{{- define "celery.longestGraceSeconds" -}}
{{- $longest := 0 -}}
{{- range $name, $own := .Values.workers -}}
{{- $longest = max $longest (include "celery.graceSeconds" (include "celery.pool" (dict "root" $ "pool" $name) | fromYaml) | int) -}}
{{- end -}}
{{ $longest }}
{{- end }}

{{/* CPUs that a quantity is, rounded up, as Celery's `auto` rounds a cgroup's quota. */}}
{{- define "celery.wholeCpus" -}}
{{- $quantity := toString . -}}
{{- if hasSuffix "m" $quantity -}}
{{ ceil (divf (trimSuffix "m" $quantity | float64) 1000.0) | int }}
{{- else -}}
{{ ceil (float64 $quantity) | int }}
{{- end -}}
{{- end }}

{{/* How many tasks one worker runs at once. */}}
{{- define "celery.slots" -}}
{{- if eq .poolType "solo" -}}
1
{{- else if eq (toString .concurrency) "auto" -}}
{{ include "celery.wholeCpus" .resources.limits.cpu }}
{{- else -}}
{{ int .concurrency }}
{{- end -}}
{{- end }}

{{/* Load at which one replica is enough. */}}
{{- define "celery.targetLoad" -}}
{{ mulf (include "celery.slots" . | float64) (float64 .autoscaling.loadPerSlot) }}
{{- end }}

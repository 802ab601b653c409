{{/* Arguments of `celery`: dict "root" $ "name" POOL "pool" VALUES. Celery's own words. */}}
{{- define "celery.workerArgs" -}}
- --app={{ .root.Values.app }}
- worker
- --hostname={{ include "celery.nodes" (dict "root" .root "pool" .name) }}%h
- --loglevel={{ .pool.logLevel }}
- --queues={{ join "," .pool.queues }}
- --pool={{ .pool.poolType }}
{{- if ne .pool.poolType "solo" }}
- --concurrency={{ .pool.concurrency }}
{{- end }}
- --prefetch-multiplier={{ int .pool.prefetchMultiplier }}
{{- if .pool.disablePrefetch }}
- --disable-prefetch
{{- end }}
{{- if .pool.taskEvents }}
- --task-events
{{- end }}
{{- range $option, $key := dict "soft-time-limit" "softTimeLimitSeconds" "time-limit" "timeLimitSeconds" "max-tasks-per-child" "maxTasksPerChild" "max-memory-per-child" "maxMemoryPerChildKiB" }}
{{- with index $.pool $key }}
- --{{ $option }}={{ int . }}
{{- end }}
{{- end }}
{{- range .pool.extraArgs }}
- {{ . | quote }}
{{- end }}
{{- if not (kindIs "invalid" .pool.softShutdownSeconds) }}
- worker.soft_shutdown_timeout={{ int .pool.softShutdownSeconds }}
- worker.enable_soft_shutdown_on_idle={{ .pool.softShutdownOnIdle }}
{{- end }}
{{- end }}

{{- define "celery.workerEnv" -}}
- {name: CELERY_WORKER_HEARTBEAT_FILE, value: /run/celery/heartbeat}
- {name: CELERY_WORKER_CONSUMING_FILE, value: /run/celery/consuming}
- {name: CELERY_WORKER_WATCHDOG_SECONDS, value: {{ int .probes.watchdogSeconds | quote }}}
{{- if eq .logFormat "json" }}
- {name: CELERY_WORKER_LOG_FORMAT, value: json}
{{- end }}
{{- if not (kindIs "invalid" .softShutdownSeconds) }}
- {name: REMAP_SIGTERM, value: SIGQUIT}
{{- end }}
{{- end }}

{{/* No probe asks the broker: when it is away, workers wait for it and are not restarted. */}}
{{- define "celery.workerProbes" -}}
{{- $python := .root.Values.python -}}
{{- $alive := list $python "-IS" "/opt/celery-chart/probe.py" "alive" (int .pool.probes.watchdogSeconds | toString) -}}
startupProbe:
  exec: {command: {{ toJson $alive }}}
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: {{ ceil (divf (float64 .pool.probes.startupSeconds) 5.0) | int }}
livenessProbe:
  exec: {command: {{ toJson $alive }}}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 2
  # A worker that hangs will not finish what it does: it does not get the time that one gets which is told to stop.
  terminationGracePeriodSeconds: 10
readinessProbe:
  exec: {command: {{ toJson (list $python "-IS" "/opt/celery-chart/probe.py" "consuming") }}}
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 2
{{- end }}

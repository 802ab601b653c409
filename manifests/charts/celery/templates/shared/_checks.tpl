{{/* Contradictions in one pool: dict "root" $ "name" POOL "own" its own values "pool" those over the defaults. */}}
{{- define "celery.checkPool" -}}
{{- $pool := .pool -}}
{{- $where := printf "workers.%s" .name -}}
{{- include "celery.checkResources" (dict "where" $where "resources" $pool.resources) -}}
{{- $prefork := eq $pool.poolType "prefork" -}}
{{- $auto := eq (toString $pool.concurrency) "auto" -}}
{{- if and $auto (not (has $pool.poolType (list "prefork" "solo"))) -}}
{{- fail (printf "%s: concurrency auto is for the pool prefork; write how many tasks a worker with %s runs at once" $where $pool.poolType) -}}
{{- end -}}
{{- if and $auto $prefork (not (dig "limits" "cpu" "" $pool.resources)) -}}
{{- fail (printf "%s: concurrency auto counts the CPUs of resources.limits.cpu; write that, or a number" $where) -}}
{{- end -}}
{{- if and (eq $pool.poolType "solo") (has "concurrency" (keys .own)) -}}
{{- fail (printf "%s: a worker with the pool solo runs one task at a time; leave concurrency out" $where) -}}
{{- end -}}
{{- if and (not $prefork) (or $pool.maxTasksPerChild $pool.maxMemoryPerChildKiB) -}}
{{- fail (printf "%s: the pool %s has no children; leave maxTasksPerChild and maxMemoryPerChildKiB out" $where $pool.poolType) -}}
{{- end -}}
{{- if and (has $pool.poolType (list "threads" "solo")) (or $pool.timeLimitSeconds $pool.softTimeLimitSeconds) -}}
{{- fail (printf "%s: a worker with the pool %s ignores time limits; leave them out" $where $pool.poolType) -}}
{{- end -}}
{{- if and (has $pool.poolType (list "gevent" "eventlet")) $pool.softTimeLimitSeconds -}}
{{- fail (printf "%s: a worker with the pool %s has no soft time limit; write timeLimitSeconds" $where $pool.poolType) -}}
{{- end -}}
{{- if and $pool.timeLimitSeconds (gt (int $pool.timeLimitSeconds) (int $pool.longestTaskSeconds)) -}}
{{- fail (printf "%s: a task may take %d s (timeLimitSeconds), longer than longestTaskSeconds, %d; a worker that stops would be killed with it" $where (int $pool.timeLimitSeconds) (int $pool.longestTaskSeconds)) -}}
{{- end -}}
{{- if and $pool.timeLimitSeconds $pool.softTimeLimitSeconds (ge (int $pool.softTimeLimitSeconds) (int $pool.timeLimitSeconds)) -}}
{{- fail (printf "%s: softTimeLimitSeconds, %d, must be below timeLimitSeconds, %d" $where (int $pool.softTimeLimitSeconds) (int $pool.timeLimitSeconds)) -}}
{{- end -}}
{{- if and (not (kindIs "invalid" $pool.softShutdownSeconds)) (gt (int $pool.softShutdownSeconds) (int $pool.longestTaskSeconds)) -}}
{{- fail (printf "%s: no task takes as long as softShutdownSeconds, %d; leave it out, and a worker that stops waits for its tasks and no longer" $where (int $pool.softShutdownSeconds)) -}}
{{- end -}}
{{- if and $pool.disablePrefetch (ne .root.Values.broker.type "redis") -}}
{{- fail (printf "%s: disablePrefetch is for Redis; with RabbitMQ write prefetchMultiplier: 1 and let tasks acknowledge late" $where) -}}
{{- end -}}
{{- range $pool.extraArgs -}}
{{- if regexMatch "^(-B|--beat)$" . -}}
{{- fail (printf "%s: each worker with %s would send every periodic task; take it out of extraArgs and write beat.enabled: true" $where .) -}}
{{- end -}}
{{- if regexMatch "^(-[AcnPQlE]|--(app|autoscale|concurrency|hostname|pool|queues|loglevel|time-limit|soft-time-limit)(=|$))" . -}}
{{- fail (printf "%s: %s in extraArgs would contradict what the chart derives; write the value that has its name" $where .) -}}
{{- end -}}
{{- if and $.root.Values.exporter.enabled (eq . "--without-heartbeat") -}}
{{- fail (printf "%s: the exporter learns from heartbeats how many tasks run; take --without-heartbeat out of extraArgs" $where) -}}
{{- end -}}
{{- end -}}
{{- if $pool.autoscaling.enabled -}}
{{- include "celery.checkScaling" . -}}
{{- end -}}
{{- end }}

{{- define "celery.checkScaling" -}}
{{- $scaling := .pool.autoscaling -}}
{{- $where := printf "workers.%s" .name -}}
{{- if hasKey .own "replicas" -}}
{{- fail (printf "%s: replicas and autoscaling.enabled: KEDA decides how many there are; leave replicas out" $where) -}}
{{- end -}}
{{- if gt (int $scaling.minReplicas) (int $scaling.maxReplicas) -}}
{{- fail (printf "%s: autoscaling.minReplicas, %d, is above maxReplicas, %d" $where (int $scaling.minReplicas) (int $scaling.maxReplicas)) -}}
{{- end -}}
{{- if and (has $scaling.trigger (list "exporter" "prometheus")) (not .root.Values.exporter.enabled) -}}
{{- fail (printf "%s: the trigger %s needs exporter.enabled: true; without it write autoscaling.trigger: broker" $where $scaling.trigger) -}}
{{- end -}}
{{- if and (eq $scaling.trigger "prometheus") (not .root.Values.scaling.prometheus.serverAddress) -}}
{{- fail (printf "%s: the trigger prometheus needs scaling.prometheus.serverAddress" $where) -}}
{{- end -}}
{{- $outside := and (eq .root.Values.broker.type "redis") (not (include "celery.brokerInCluster" .root)) -}}
{{- if and (eq $scaling.trigger "broker") $outside (or (not .root.Values.scaling.redis.address) (not .root.Values.scaling.redis.secretTargetRef)) -}}
{{- fail (printf "%s: KEDA cannot read a URL of Redis; the trigger broker needs scaling.redis.address and scaling.redis.secretTargetRef" $where) -}}
{{- end -}}
{{- end }}

{{/* A pod without a memory limit takes its node with it; one without requests is the first to go: dict "where" NAME "resources" VALUES. */}}
{{- define "celery.checkResources" -}}
{{- range list (list "requests" "cpu") (list "requests" "memory") (list "limits" "memory") -}}
{{- if not (dig (first .) (last .) "" $.resources) -}}
{{- fail (printf "%s: resources.%s.%s is needed; the defaults have it, so leave it alone or write another" $.where (first .) (last .)) -}}
{{- end -}}
{{- end -}}
{{- end }}

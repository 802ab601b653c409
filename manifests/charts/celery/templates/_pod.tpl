{{/* What all pods have in common: what the pod security standard `restricted` wants, and more. */}}

{{/* Fields of a pod: dict "root" $, and "values" (nodeSelector, affinity, tolerations, priorityClassName of the component). */}}
{{- define "celery.podFields" -}}
serviceAccountName: {{ include "celery.serviceAccountName" .root }}
automountServiceAccountToken: false
# A Service called flower would give Flower a variable FLOWER_PORT, which it would read as its own.
enableServiceLinks: false
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: {{ .uid | default .root.Values.podSecurity.runAsUser | int64 }}
  runAsGroup: {{ .uid | default .root.Values.podSecurity.runAsGroup | int64 }}
  fsGroup: {{ .uid | default .root.Values.podSecurity.fsGroup | int64 }}
  # Once: RabbitMQ refuses a cookie that a group may read.
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations: {{ toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "celery.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{/* The application's image, and what runs in it knows: dict "root" $ "env" LIST of the component. */}}
{{- define "celery.appContainer" -}}
image: {{ include "celery.image" .root.Values.image }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
{{- with .root.Values.workingDir }}
workingDir: {{ . }}
{{- end }}
{{ include "celery.containerSecurity" . }}
{{- if or .root.Values.settings .root.Values.secrets }}
envFrom:
  {{- if .root.Values.settings }}
  - configMapRef: {name: {{ include "celery.fullname" .root }}-settings}
  {{- end }}
  {{- range .root.Values.secrets }}
  - secretRef: {name: {{ . }}}
  {{- end }}
{{- end }}
{{- end }}

{{/* Variables of everything that runs the application. */}}
{{- define "celery.appEnv" -}}
- name: {{ .Values.broker.urlEnv }}
  valueFrom:
    secretKeyRef: {name: {{ include "celery.brokerSecret" . }}, key: {{ include "celery.brokerSecretKey" . }}}
{{- if .Values.resultBackend.existingSecret }}
- name: {{ .Values.resultBackend.urlEnv }}
  valueFrom:
    secretKeyRef: {name: {{ .Values.resultBackend.existingSecret }}, key: {{ .Values.resultBackend.key }}}
{{- end }}
# The root is read-only, and logs come at once.
- {name: PYTHONDONTWRITEBYTECODE, value: "1"}
- {name: PYTHONUNBUFFERED, value: "1"}
# For visibility_timeout of Redis, which must be longer in every client, beat and producers included: how long a worker may take to stop.
- {name: CELERY_LONGEST_GRACE_SECONDS, value: {{ include "celery.longestGraceSeconds" . | quote }}}
{{- with .Values.env }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Probes of what answers HTTP at the port `http`: a path that asks nobody else. */}}
{{- define "celery.httpProbes" -}}
startupProbe:
  httpGet: {path: {{ . }}, port: http}
  periodSeconds: 2
  failureThreshold: 60
livenessProbe:
  httpGet: {path: {{ . }}, port: http}
  timeoutSeconds: 5
readinessProbe:
  httpGet: {path: {{ . }}, port: http}
  timeoutSeconds: 5
{{- end }}

{{/* Rolls pods when their settings change. */}}
{{- define "celery.checksums" -}}
checksum/settings: {{ toJson .Values.settings | sha256sum }}
checksum/programs: {{ (.Files.Glob "files/*").AsConfig | sha256sum }}
{{- with .Values.podAnnotations }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "celery.appVolumeMounts" -}}
- {name: tmp, mountPath: /tmp}
{{- with .Values.volumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "celery.appVolumes" -}}
- name: tmp
  emptyDir: {sizeLimit: {{ .Values.tmpSizeLimit }}}
{{- with .Values.volumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Our programs, where a component runs one: dict "root" $ "files" LIST. */}}
{{- define "celery.programsVolume" -}}
- name: programs
  configMap:
    name: {{ include "celery.fullname" .root }}-programs
    items:
      {{- range .files }}
      - {key: {{ . }}, path: {{ . }}}
      {{- end }}
{{- end }}

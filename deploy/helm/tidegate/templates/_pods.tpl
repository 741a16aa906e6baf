{{/* What pods have in common. */}}

{{- define "tidegate.podsecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "tidegate.containersecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* One environment variable for each flag. */}}
{{- define "tidegate.flags" -}}
{{- range $flag, $value := . }}
- name: {{ printf "TIDEGATE_%s" ($flag | replace "-" "_" | upper) }}
  value: {{ if kindIs "slice" $value }}{{ join "," $value | quote }}{{ else }}{{ $value | toString | quote }}{{ end }}
{{- end }}
{{- end -}}

{{- define "tidegate.redisenv" -}}
- name: TIDEGATE_REDIS_URL
{{- if .Values.redis.existingSecret }}
  valueFrom:
    secretKeyRef:
      name: {{ .Values.redis.existingSecret }}
      key: url
{{- else }}
  value: {{ .Values.redis.url | default (printf "redis://%s-redis:6379" (include "tidegate.fullname" .)) | quote }}
{{- end }}
- name: TIDEGATE_REDIS_PREFIX
  value: {{ .Values.redis.prefix | default (printf "%s-%s" .Release.Namespace .Release.Name) | quote }}
{{- end -}}

{{- define "tidegate.otlpenv" -}}
{{- if .Values.otlpEndpoint }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ .Values.otlpEndpoint | quote }}
- name: OTEL_METRICS_EXPORTER
  value: otlp
{{- end }}
{{- end -}}

{{/* Replicas on different machines where that can be had. */}}
{{- define "tidegate.spread" -}}
- maxSkew: 1
  topologyKey: kubernetes.io/hostname
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- . | nindent 6 }}
- maxSkew: 1
  topologyKey: topology.kubernetes.io/zone
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- . | nindent 6 }}
{{- end -}}

{{- define "tidegate.placement" -}}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

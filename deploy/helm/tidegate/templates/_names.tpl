{{/* Names and labels. A part is "router", "backend" or "redis". */}}

{{- define "tidegate.fullname" -}}
{{- if contains "tidegate" .Release.Name -}}{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else -}}{{ printf "%s-tidegate" .Release.Name | trunc 40 | trimSuffix "-" }}{{- end -}}
{{- end -}}

{{/* A backend's name: models have slashes, dots and capitals; a short hash keeps two that look alike apart. */}}
{{- define "tidegate.backendname" -}}
{{- $plain := regexReplaceAll "[^a-z0-9]+" (lower .backend.name) "-" | trunc 40 | trimAll "-" -}}
{{- printf "%s-%s-%s" (include "tidegate.fullname" .root | trunc 10 | trimSuffix "-") $plain (sha256sum .backend.name | trunc 6) -}}
{{- end -}}

{{- define "tidegate.selector" -}}
app.kubernetes.io/name: tidegate
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
{{- end -}}

{{- define "tidegate.labels" -}}
{{ include "tidegate.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: tidegate
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{- define "tidegate.backendselector" -}}
{{ include "tidegate.selector" (dict "root" .root "part" "backend") }}
tidegate.dev/pool: {{ include "tidegate.backendname" . }}
{{- end -}}

{{- define "tidegate.backendlabels" -}}
{{ include "tidegate.labels" (dict "root" .root "part" "backend") }}
tidegate.dev/pool: {{ include "tidegate.backendname" . }}
{{- end -}}

{{- define "tidegate.internalredis" -}}
{{- if and (not .Values.redis.existingSecret) (not .Values.redis.url) -}}true{{- end -}}
{{- end -}}

{{- define "tidegate.adminsecret" -}}
{{- .Values.router.adminTokenSecret | default (printf "%s-admin" (include "tidegate.fullname" .)) -}}
{{- end -}}

{{- define "tidegate.image" -}}
{{ .root.Values.image.registry }}/tidegate-{{ .part }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}{{ .suffix | default "" }}
{{- end -}}

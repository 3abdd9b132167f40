{{- define "wanwu.name" -}}
{{ printf "%s-datasite" .Release.Name | trunc 52 | trimSuffix "-" }}
{{- end }}

{{- define "wanwu.selector" -}}
app.kubernetes.io/name: wanwu-datasite
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "wanwu.labels" -}}
{{ include "wanwu.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "wanwu.image" -}}
{{- with .Values.image }}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{- /* What every container of the pod may: nothing of the machine, and no byte of its own image. */ -}}
{{- define "wanwu.security" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "wanwu.mounts" -}}
- {name: state, mountPath: /var/lib/wanwu}
- {name: pictures, mountPath: /pictures, readOnly: true}
- {name: settings, mountPath: /etc/wanwu, readOnly: true}
- {name: scratch, mountPath: /tmp}
{{- if .Values.secrets.existing }}
- {name: secrets, mountPath: /run/secrets/wanwu, readOnly: true}
{{- end }}
{{- end }}

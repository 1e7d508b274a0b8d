{{- define "guestbook.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "guestbook.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* How a simulated pod ends by itself. */}}
{{- define "guestbook.ends" -}}
simulation.keelson.dev/exit-after: 50ms
simulation.keelson.dev/exit-code: {{ .Values.hookExitCode | quote }}
{{- end }}

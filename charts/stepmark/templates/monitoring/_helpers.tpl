{{- define "stepmark.endpoint" -}}
interval: {{ .interval }}
scrapeTimeout: {{ .scrapeTimeout }}
honorLabels: false
{{- with .relabelings }}
relabelings: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .metricRelabelings }}
metricRelabelings: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* A second wall: the series are bounded where they are made. */}}
{{- define "stepmark.scrapeLimits" -}}
sampleLimit: {{ int64 .sampleLimit }}
labelLimit: 64
labelNameLengthLimit: 200
labelValueLengthLimit: 500
{{- end -}}

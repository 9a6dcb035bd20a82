{{/* A hook of `helm test`, of this weight. It stays for whoever looks into a failure, until the next one. */}}
{{- define "stepmark.testHook" -}}
helm.sh/hook: test
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation
{{- end -}}

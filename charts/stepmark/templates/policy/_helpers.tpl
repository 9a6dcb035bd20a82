{{/* What every RayJob runs: the same words as in stepmark/controller; tests/chart compares them. */}}
{{- define "stepmark.entrypoint" -}}
stepmark run /etc/stepmark/scenario/scenario.json --out /tmp/stepmark/out
{{- end -}}

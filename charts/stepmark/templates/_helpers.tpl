{{/* Every name, label and recurring part, spelled once. Helpers that need a component take (list $ "controller"). */}}

{{- define "stepmark.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $whole := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) -}}
{{- default $whole .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "stepmark.name" -}}
{{- $root := index . 0 -}}
{{- printf "%s-%s" (include "stepmark.fullname" $root) (index . 1) -}}
{{- end -}}

{{- define "stepmark.selectorLabels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ default $root.Chart.Name $root.Values.nameOverride }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- define "stepmark.labels" -}}
{{- $root := index . 0 -}}
{{ include "stepmark.selectorLabels" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
app.kubernetes.io/part-of: stepmark
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* An image's name, with global.imageRegistry where it has no registry: (list $ "NAME"). */}}
{{- define "stepmark.withRegistry" -}}
{{- $registry := (index . 0).Values.global.imageRegistry -}}
{{- $name := index . 1 -}}
{{- $first := splitList "/" $name | first -}}
{{- $has := and (contains "/" $name) (or (contains "." $first) (contains ":" $first) (eq $first "localhost")) -}}
{{- if or $has (not $registry) -}}{{ $name }}{{- else -}}{{ trimSuffix "/" $registry }}/{{ $name }}{{- end -}}
{{- end -}}

{{- define "stepmark.image" -}}
{{- $tag := printf ":%s" (default .Chart.AppVersion .Values.image.tag) -}}
{{- if .Values.image.digest -}}{{- $tag = printf "@%s" .Values.image.digest -}}{{- end -}}
{{- include "stepmark.withRegistry" (list . (printf "%s%s" .Values.image.repository $tag)) -}}
{{- end -}}

{{/* The profiles as the controller reads them: JSON, since YAML would write large numbers as floats. */}}
{{- define "stepmark.profiles" -}}
{{- $profiles := dict -}}
{{- range $name, $profile := .Values.profiles -}}
{{- $_ := set $profiles $name (merge (dict "image" (include "stepmark.withRegistry" (list $ $profile.image))) $profile) -}}
{{- end -}}
{{- $profiles | toJson -}}
{{- end -}}

{{/* The namespace of the runs that the chart makes where none is named. */}}
{{- define "stepmark.runsNamespace" -}}
{{- printf "%s-runs" (.Release.Namespace | trunc 58 | trimSuffix "-") -}}
{{- end -}}

{{/* Comma-separated. */}}
{{- define "stepmark.watchNamespaces" -}}
{{- .Values.watchNamespaces | default (list (include "stepmark.runsNamespace" .)) | uniq | join "," -}}
{{- end -}}

{{/* Of a component: (list $ "controller"). */}}
{{- define "stepmark.serviceAccountName" -}}
{{- $account := (index (index . 0).Values (index . 1)).serviceAccount -}}
{{- default (include "stepmark.name" .) $account.name -}}
{{- end -}}

{{- define "stepmark.tokensSecret" -}}
{{- default (printf "%s-tokens" (include "stepmark.fullname" .)) .Values.hub.tokensSecret -}}
{{- end -}}

{{- define "stepmark.hubUrl" -}}
{{- printf "http://%s.%s.svc:8080" (include "stepmark.name" (list . "hub")) .Release.Namespace -}}
{{- end -}}

{{/* The hub's pods as the controller is told of them, JSON: where runs may go beside their own pods and DNS. */}}
{{- define "stepmark.hubPeer" -}}
{{- $namespace := dict "kubernetes.io/metadata.name" .Release.Namespace -}}
{{- dict "namespaceLabels" $namespace "podLabels" (include "stepmark.selectorLabels" (list . "hub") | fromYaml) "port" 8080 | toJson -}}
{{- end -}}

{{/* On OpenShift without the chart's own ids: each namespace has a range there, and restricted-v2 refuses others. */}}
{{- define "stepmark.podSecurityContext" -}}
{{- $context := deepCopy .Values.podSecurityContext -}}
{{- if .Capabilities.APIVersions.Has "security.openshift.io/v1" -}}
{{- range $key := list "runAsUser" "runAsGroup" "fsGroup" -}}
{{- if eq (int (get $context $key)) 65532 -}}{{- $_ := unset $context $key -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml $context -}}
{{- end -}}

{{- define "stepmark.securityContext" -}}
{{- toYaml .Values.securityContext -}}
{{- end -}}

{{/* Where pods go, from a component's values: (list $ .Values.hub). */}}
{{- define "stepmark.placement" -}}
{{- $component := index . 1 -}}
{{- with (index . 0).Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with $component.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $component.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $component.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $component.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* How a component's pods are spread: (list $ "controller"). A constraint without a selector gets the component's. */}}
{{- define "stepmark.spread" -}}
{{- $values := index (index . 0).Values (index . 1) -}}
{{- $constraints := $values.topologySpreadConstraints -}}
{{- if and (not $constraints) (gt (int $values.replicas) 1) -}}
{{- $constraints = list (dict "maxSkew" 1 "topologyKey" "kubernetes.io/hostname" "whenUnsatisfiable" "ScheduleAnyway") -}}
{{- end -}}
{{- $own := dict "labelSelector" (dict "matchLabels" (include "stepmark.selectorLabels" . | fromYaml)) -}}
{{- with $constraints }}
topologySpreadConstraints:
  {{- range . }}
  - {{- merge (dict) . (hasKey . "labelSelector" | ternary (dict) $own) | toYaml | nindent 4 }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* A component's PodDisruptionBudget, where it has several pods: (list $ "controller"). */}}
{{- define "stepmark.disruptionBudget" -}}
{{- $root := index . 0 -}}
{{- $values := index $root.Values (index . 1) -}}
{{- if gt (int $values.replicas) 1 -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "stepmark.name" . }}
  namespace: {{ $root.Release.Namespace }}
  labels: {{- include "stepmark.labels" . | nindent 4 }}
spec:
  maxUnavailable: {{ $values.podDisruptionBudget.maxUnavailable }}
  selector:
    matchLabels: {{- include "stepmark.selectorLabels" . | nindent 6 }}
{{- end -}}
{{- end -}}

{{/* The host of the hub's public address, for what leads there: (list $ "hub.ingress"). */}}
{{- define "stepmark.publicHost" -}}
{{- $url := (index . 0).Values.hub.publicUrl -}}
{{- if not (regexMatch "^https?://[^/]+/?$" $url) -}}
{{- fail (printf "%s.enabled: expected hub.publicUrl with a host and no path, found %q. Set it to where people will reach the hub, such as https://stepmark.example.org." (index . 1) $url) -}}
{{- end -}}
{{- (urlParse $url).hostname -}}
{{- end -}}

{{/* (list "PORT" "PATH OF READINESS") */}}
{{- define "stepmark.probes" -}}
startupProbe:
  httpGet: {path: /healthz, port: {{ index . 0 }}}
  periodSeconds: 2
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /healthz, port: {{ index . 0 }}}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: {{ index . 1 }}, port: {{ index . 0 }}}
  periodSeconds: 5
  timeoutSeconds: 5
{{- end -}}

{{/* Egress to the cluster's DNS, in a NetworkPolicy. */}}
{{- define "stepmark.toDns" -}}
- to:
    - namespaceSelector: {}
      podSelector:
        matchLabels: {k8s-app: kube-dns}
  ports:
    - {port: 53, protocol: UDP}
    - {port: 53, protocol: TCP}
{{- end -}}

{{/* A peer of a NetworkPolicy, from the labels of its namespace and of its pods. */}}
{{- define "stepmark.peer" -}}
- namespaceSelector:
    matchLabels: {{- toYaml .namespaceLabels | nindent 6 }}
  podSelector:
    matchLabels: {{- toYaml .podLabels | nindent 6 }}
{{- end -}}

{{/* What every RayJob runs: the same words as in stepmark/controller; tests/chart compares them. */}}
{{- define "stepmark.entrypoint" -}}
stepmark run /etc/stepmark/scenario/scenario.json --out /tmp/stepmark/out
{{- end -}}

{{/* Every variable that the controller gives a run; tests/chart compares them with stepmark/controller. */}}
{{- define "stepmark.variables" -}}
{{- $own := list "HOME" "RAY_TMPDIR" "STEPMARK_DEVICE" "STEPMARK_HUB_ATTEMPT" "STEPMARK_HUB_DRAIN_SECONDS" "STEPMARK_HUB_TOKEN_FILE" "STEPMARK_LIVE_LISTEN" "STEPMARK_SHARED_DEVICES" "USER" -}}
{{- $nccl := list "NCCL_ALGO" "NCCL_BUFFSIZE" "NCCL_CROSS_NIC" "NCCL_CUMEM_ENABLE" "NCCL_DEBUG" "NCCL_IB_DISABLE" "NCCL_IB_GID_INDEX" "NCCL_IB_HCA" "NCCL_IB_PCI_RELAXED_ORDERING" "NCCL_IB_QPS_PER_CONNECTION" "NCCL_IB_TC" "NCCL_IB_TIMEOUT" "NCCL_MAX_NCHANNELS" "NCCL_MIN_NCHANNELS" "NCCL_NET" "NCCL_NET_GDR_LEVEL" "NCCL_NSOCKS_PERTHREAD" "NCCL_NVLS_ENABLE" "NCCL_P2P_DISABLE" "NCCL_P2P_LEVEL" "NCCL_PROTO" "NCCL_SHM_DISABLE" "NCCL_SOCKET_FAMILY" "NCCL_SOCKET_IFNAME" "NCCL_SOCKET_NTHREADS" -}}
{{- concat $own $nccl (list "FI_EFA_USE_DEVICE_RDMA" "FI_PROVIDER" "GLOO_SOCKET_IFNAME") | toJson -}}
{{- end -}}

{{/* CEL: apart from these keys, two mappings are one: (list "NEW" "OLD" (list "KEY" ...)). */}}
{{- define "stepmark.same" -}}
{{- $new := index . 0 }}{{ $old := index . 1 }}{{ $but := index . 2 | toJson -}}
({{ $new }}.all(k, k in {{ $but }} || (k in {{ $old }} && {{ $new }}[k] == {{ $old }}[k])) && {{ $old }}.all(k, k in {{ $but }} || k in {{ $new }}))
{{- end -}}

{{/* CEL: a pod's template is as it was, but for what Kueue decides: (list "NEW" "OLD"). Labels may come, and none may go. */}}
{{- define "stepmark.samePod" -}}
{{- $new := index . 0 }}{{ $old := index . 1 -}}
({{ include "stepmark.same" (list (printf "%s.spec" $new) (printf "%s.spec" $old) (list "nodeSelector" "tolerations" "schedulingGates")) }}
&& {{ $old }}.metadata.labels.all(k, k in {{ $new }}.metadata.labels && {{ $new }}.metadata.labels[k] == {{ $old }}.metadata.labels[k]))
{{- end -}}

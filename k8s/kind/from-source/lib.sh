# shellcheck shell=bash
# This file is sourced after ../lib.sh. It builds binaries from Go modules. A version is written once, in modules/*/go.mod, and go.sum
# pins every byte.
# Programs of one version of the Kubernetes libraries are one module, so that packages that several of them use are compiled once.
MODULES=$(cd "$(dirname "${BASH_SOURCE[0]}")/modules" && pwd)
KUBERNETES_PARTS=(kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubeadm kubelet kubectl)

module_of() { # module_of PROGRAM: print its folder below modules/, its module and its package
  case $1 in
    kube-* | kubeadm | kubelet | kubectl) echo "kubernetes-0.34 k8s.io/kubernetes k8s.io/kubernetes/cmd/$1" ;;
    etcd) echo "kubernetes-0.34 go.etcd.io/etcd/server/v3 go.etcd.io/etcd/server/v3" ;;
    coredns) echo "kubernetes-0.35 github.com/coredns/coredns clusters.local/kubernetes-0.35/coredns" ;;
    crictl) echo "kubernetes-0.34 sigs.k8s.io/cri-tools sigs.k8s.io/cri-tools/cmd/crictl" ;;
    helm) echo "kubernetes-0.34 helm.sh/helm/v3 helm.sh/helm/v3/cmd/helm" ;;
    ray-operator) echo "kuberay github.com/ray-project/kuberay/ray-operator github.com/ray-project/kuberay/ray-operator" ;;
    kind) echo "kind sigs.k8s.io/kind sigs.k8s.io/kind" ;;
    kueue) echo "kubernetes-0.35 sigs.k8s.io/kueue sigs.k8s.io/kueue/cmd/kueue" ;;
    *) fail "unknown program: $1" ;;
  esac
}

version() { # version PROGRAM: print the version that its go.mod requires
  local folder module
  read -r folder module _ <<<"$(module_of "$1")"
  awk -v module="$module" '$1 == "require" {sub("require", "")} $1 == module && $2 ~ /^v/ {print $2; exit}' "$MODULES/$folder/go.mod"
}

source_of() { # source_of PROGRAM: print the folder of its module's source, which is downloaded if need be
  local folder module
  read -r folder module _ <<<"$(module_of "$1")"
  need go "sources of Kubernetes' parts"
  go -C "$MODULES/$folder" mod download "$module" >&2
  go -C "$MODULES/$folder" list -m -f '{{.Dir}}' "$module"
}

helm_flags() { # helm_flags VERSION: print linker flags, without which Helm renders for Kubernetes 1.20
  local minor part
  minor=$(version kubelet | cut -d. -f2)
  echo -n " -X helm.sh/helm/v3/internal/version.version=$1"
  for part in lint/rules chartutil; do
    echo -n " -X helm.sh/helm/v3/pkg/$part.k8sVersionMajor=1 -X helm.sh/helm/v3/pkg/$part.k8sVersionMinor=$minor"
  done
}

binary() { # binary NAME: make $BIN/NAME in the version of its go.mod, unless it is there
  local folder module package version stamp="k8s.io/component-base/version" flags="-s -w"
  read -r folder module package <<<"$(module_of "$1")"
  version=$(version "$1")
  [ -x "$BIN/$1" ] && [ -e "$BIN/$1-$version" ] && return
  need go "building $1"
  [ "$module" != k8s.io/kubernetes ] ||
    flags+=" -X $stamp.gitVersion=$version -X $stamp.gitMajor=1 -X $stamp.gitMinor=$(cut -d. -f2 <<<"$version")"
  [ "$1" != helm ] || flags+=$(helm_flags "$version")
  # This is a fifth faster: no debugging symbols, which are stripped anyway, and a compiler that collects its garbage less often.
  timed "building $1 $version" env CGO_ENABLED=0 GOGC=400 \
    go -C "$MODULES/$folder" build -mod=readonly -trimpath -gcflags=all=-dwarf=false -ldflags="$flags" -o "$BIN/$1.new" "$package"
  rm -f "$BIN/$1"-v[0-9]*
  mv "$BIN/$1.new" "$BIN/$1"
  touch "$BIN/$1-$version"
}

have_image() { docker image inspect "$1" >/dev/null 2>&1; }

binary_image() { # binary_image IMAGE BINARY PATH_INSIDE [USER]: make an image of one static binary
  have_image "$1" && return
  local folder=$CACHE/image
  rm -rf "$folder" # An interrupted script may have left it.
  mkdir "$folder"
  ln "$BIN/$2" "$folder/binary"
  printf 'FROM scratch\nCOPY binary /%s\nUSER %s\nENTRYPOINT ["/%s"]\n' "$3" "${4:-0}" "$3" >"$folder/Dockerfile"
  timed "image $1" docker build -q -t "$1" "$folder"
  rm -r "$folder"
}

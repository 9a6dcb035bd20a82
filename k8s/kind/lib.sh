# shellcheck shell=bash
# Sourced by the scripts of this folder: where things are kept, and how the scripts speak (on stderr).
CACHE=${STEPMARK_CLUSTERS:-$HOME/.cache/stepmark-clusters}
BIN=$CACHE/bin
LOG=$CACHE/log-${0##*/} # of its own, as the images of Debian are made while Go compiles
export PATH=$BIN:$PATH DOCKER_BUILDKIT=1
mkdir -p "$BIN"

say() { echo "kind: $*" >&2; }
fail() { say "$*"; exit 3; }

timed() { # timed WHAT PROGRAM...: run it with its output in the log, and say how long it took (no function: errexit would be off in it)
  local what=$1 start=$SECONDS
  shift
  say "$what ..."
  if ! "$@" >"$LOG" 2>&1; then
    tail -20 "$LOG" >&2
    fail "$what: failed after $((SECONDS - start)) s; all of its output: $LOG"
  fi
  say "$what: $((SECONDS - start)) s"
}

kueue_answers() { # its pod is ready before its webhook listens, which is asked about what others create, too
  local flavor='{"apiVersion": "kueue.x-k8s.io/v1beta2", "kind": "ResourceFlavor", "metadata": {"name": "asked-for-an-answer"}}'
  local answers="until echo '$flavor' | kubectl create --dry-run=server --filename -; do sleep 1; done"
  timed "Kueue's webhook, until it answers" timeout 180 bash -c "$answers"
}

need() { # need PROGRAM WHAT_FOR
  command -v "$1" >/dev/null || fail "$1 was not found. It is needed for $2"
}

need_docker() {
  need docker "nodes and images"
  docker info >/dev/null 2>&1 ||
    fail "no Docker engine answers 'docker info'. Start one, or, as root of a Debian machine without one: eval \"\$(.ci/engine)\""
}

one_at_a_time() { # two at once would build the same thing twice, into the same place
  exec 9>"$CACHE/lock"
  flock -n 9 || { say "another of these scripts is running; waiting for it"; flock 9; }
}

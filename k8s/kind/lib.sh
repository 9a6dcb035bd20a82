# shellcheck shell=bash
# The scripts of this folder source this file. It says where things are kept, and how the scripts report (on stderr).
CACHE=${STEPMARK_CLUSTERS:-$HOME/.cache/stepmark-clusters}
BIN=$CACHE/bin
LOG=$CACHE/log-${0##*/} # Each script has its own log, since the images of Debian are made while Go compiles.
export PATH=$BIN:$PATH DOCKER_BUILDKIT=1
mkdir -p "$BIN"

say() { echo "kind: $*" >&2; }
fail() { say "$*"; exit 3; }

steps() { # steps COUNT: announce how many steps `step` will count
  export STEPMARK_KIND_STEPS=$1
  STEP=0
}

step() { # step WHAT: announce the next step
  STEP=$((STEP + 1))
  say "step $STEP of $STEPMARK_KIND_STEPS, after $((SECONDS / 60)) min $((SECONDS % 60)) s: $*"
}

beat() { # beat WHAT START: print a line every 30 s until it is killed. It starts no other program, since that would outlive it
  local never
  exec {never}<> <(:)
  while ! read -rt 30 -u "$never"; do say "$1: $((SECONDS - $2)) s so far"; done
}

timed() { # timed WHAT PROGRAM...: run it with its output in the log, and print how long it took (no function: errexit would be off in it)
  local what=$1 start=$SECONDS beat code=0
  shift
  say "$what ..."
  beat "$what" "$start" >/dev/null 9>&- & beat=$!
  "$@" >"$LOG" 2>&1 || code=$?
  kill $beat
  wait $beat 2>/dev/null || true
  if [ $code != 0 ]; then
    tail -20 "$LOG" >&2
    fail "$what: failed after $((SECONDS - start)) s; all of its output: $LOG"
  fi
  say "$what: $((SECONDS - start)) s"
}

kueue_answers() { # Its pod is ready before its webhook listens, which is asked about other objects, too.
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
    fail "no Docker engine answers 'docker info'. Start one. As root of a Debian machine without one:" \
      "eval \"\$(.ci/engine)\" (if that was tried, its lines above say why none was started)"
}

one_at_a_time() { # Two scripts at a time would build the same thing twice, into the same place.
  exec 9>"$CACHE/lock"
  flock -n 9 || { say "another of these scripts is running; waiting for it"; flock 9; }
}

"""Whether a rank was stopped while it made steps: by a signal, a tracer, or with its whole pod or node."""

from pathlib import Path

PROC = Path("/proc")
_STOPPED = frozenset("Tt")  # proc_pid_stat(5): by a signal, by a tracer
_UNWATCHED_SECONDS = 2.0  # whoever looks so late was stopped too, as all processes of a paused pod or node are


class Stops:
    """How long a rank was stopped, as far as somebody who looks now and then can see.

    Time counts whole from the last look at which it ran to the next one: never less than it was, and at most two
    intervals between looks more.
    """

    def __init__(self, now: float) -> None:
        self.seconds = 0.0
        self._looked_at, self._stopped, self._stepping = now, False, False

    def look(self, now: float, stopped: bool, stepping: bool) -> None:
        """`now`: seconds of a clock that nobody sets. `stepping`: its warm-up or its windows go on."""
        since = now - self._looked_at
        if (stepping or self._stepping) and (stopped or self._stopped or since >= _UNWATCHED_SECONDS):
            self.seconds += since
        self._looked_at, self._stopped, self._stepping = now, stopped, stepping


def state_of(pid_stat: str) -> str:
    """The letter of a process's state, from the text of /proc/PID/stat, in which its name may hold anything."""
    return pid_stat.rpartition(")")[2].split()[0]


def is_stopped(pid: int) -> bool:
    """Whether this process is stopped now. One that is gone is not."""
    try:
        return state_of((PROC / str(pid) / "stat").read_text()) in _STOPPED
    except (OSError, IndexError):
        return False

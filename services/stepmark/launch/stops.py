"""Find out whether a rank was stopped while it made steps: by a signal, by a tracer, or with its whole pod or node."""

from pathlib import Path

PROC = Path("/proc")
_STOPPED = frozenset("Tt")  # proc_pid_stat(5): T is stopped by a signal, t by a tracer.
_UNWATCHED_SECONDS = 2.0  # A supervisor that looks this late was stopped too, with its whole pod or node.


class Stops:
    """Add up how long a rank was stopped, as seen by a supervisor that looks now and then.

    A stop counts as the whole time from the last look at which the rank ran to the next such look. The sum is never
    less than the true time, and exceeds it by at most two intervals between looks.
    """

    def __init__(self, now: float) -> None:
        self.seconds = 0.0
        self._looked_at, self._stopped, self._stepping = now, False, False

    def look(self, now: float, stopped: bool, stepping: bool) -> None:
        """Record one look at the rank.

        `now` is in seconds of a monotonic clock. `stepping` says whether the warm-up or the windows are running.
        """
        since = now - self._looked_at
        if (stepping or self._stepping) and (stopped or self._stopped or since >= _UNWATCHED_SECONDS):
            self.seconds += since
        self._looked_at, self._stopped, self._stepping = now, stopped, stepping


def state_of(pid_stat: str) -> str:
    """Return the letter of a process's state from the text of /proc/PID/stat, where its name may hold any character."""
    return pid_stat.rpartition(")")[2].split()[0]


def is_stopped(pid: int) -> bool:
    """Return whether this process is stopped now; False if it has ended."""
    try:
        return state_of((PROC / str(pid) / "stat").read_text()) in _STOPPED
    except (OSError, IndexError):
        return False

"""How fast a running launch is, from outside: its stamps, looked at now and then. Nothing is asked of the process."""

import time
from collections.abc import Callable

from stepmark.launch.buffer import StampBuffer

TELL_SECONDS = 2.0

Tell = Callable[[int, float], None]
"""Called with the number of steps that ended since the last call, and the seconds that they took."""


class Pace:
    """Tells the steps of one rank, at most every `TELL_SECONDS`."""

    def __init__(self, buffer: StampBuffer, tell: Tell) -> None:
        self._buffer, self._tell = buffer, tell
        self._told_to = 1
        self._next_at = time.monotonic() + TELL_SECONDS

    def look(self, cursor: int) -> None:
        """`cursor`: the first unset stamp."""
        if time.monotonic() < self._next_at or cursor == self._told_to:
            return
        steps, seconds = self._buffer.steps_between(self._told_to, cursor)
        self._told_to, self._next_at = cursor, time.monotonic() + TELL_SECONDS
        if steps:
            self._tell(steps, seconds)

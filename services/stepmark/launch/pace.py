"""Follow the pace of a running launch from outside, by reading its stamps without asking the process."""

import time
from collections.abc import Callable

from stepmark.launch.buffer import StampBuffer

TELL_SECONDS = 2.0

Tell = Callable[[int, float], None]
"""This function is called with the number of steps that ended since the last call, and the seconds that they took."""


class Pace:
    """Report the steps of one rank through `tell`, at most once every `TELL_SECONDS`."""

    def __init__(self, buffer: StampBuffer, tell: Tell) -> None:
        self._buffer, self._tell = buffer, tell
        self._told_to = 1
        self._next_at = time.monotonic() + TELL_SECONDS

    def look(self, cursor: int) -> None:
        """Report the steps since the last report, if it is time. `cursor` is the index of the first unset stamp."""
        if time.monotonic() < self._next_at or cursor == self._told_to:
            return
        steps, seconds = self._buffer.steps_between(self._told_to, cursor)
        self._told_to, self._next_at = cursor, time.monotonic() + TELL_SECONDS
        if steps:
            self._tell(steps, seconds)

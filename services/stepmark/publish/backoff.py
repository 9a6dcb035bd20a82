"""How long to wait before the next try: random, and longer each time, so that many runners do not come at once."""

import random

_FIRST_SECONDS, _MOST_SECONDS = 0.5, 30.0
_RETRY_AFTER_MOST_SECONDS = 300.0


class Backoff:
    """Exponential backoff with full jitter: a random time from 0 to a limit that doubles with each failure."""

    def __init__(self) -> None:
        self._failures = 0

    def reset(self) -> None:
        """Start again from the shortest limit, after a success."""
        self._failures = 0

    def next_seconds(self, retry_after_seconds: float | None, most_seconds: float = _MOST_SECONDS) -> float:
        """Return the seconds to wait after one more failure.

        What the hub asks for, at most 300 s, is added to the random time.
        """
        limit = min(most_seconds, _FIRST_SECONDS * 2 ** min(self._failures, 10))
        self._failures += 1
        return min(retry_after_seconds or 0.0, _RETRY_AFTER_MOST_SECONDS) + random.uniform(0, limit)  # noqa: S311

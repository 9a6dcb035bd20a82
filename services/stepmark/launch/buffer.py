"""Store the clock readings (stamps) of one rank in a file that its supervisor maps into memory too.

The child stores the stamps. The supervisor can see progress without a message, and keeps the stamps when the child
dies. The file holds int64 words in two halves. Word 0 of the first half is the phase; the others are readings of
`perf_counter_ns`, negative where a window begins, positive where one step or a stretch of steps ends, and 0 where
nothing is stored yet. The second half holds, for each stamp, the number of steps that it covers beyond one; its word 0
is 1 while a step waits for its input.
"""

import mmap
from enum import IntEnum
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from stepmark.results.record import WARMUP_STEPS_MOST

_WINDOWS_MOST = 64
_WORD = 8


class Phase(IntEnum):
    """Name how far a launch has come.

    JOINED: all control connections are open. STEPPING: the first step is done. MEASURED: the report is written.
    """

    STARTING = 0
    JOINED = 1
    STEPPING = 2
    MEASURED = 3


class StampBuffer:
    """Hold the stamps in a preallocated shared-memory array.

    Each page is touched at the start, so that no store causes a page fault later.
    """

    def __init__(self, path: Path, words: int | None = None) -> None:
        if words is not None:
            path.write_bytes(bytes(2 * words * _WORD))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)
        self._all = memoryview(self._map).cast("q")
        half = len(self._all) // 2
        self.words, self._beyond_one = self._all[:half], self._all[half:]
        for index in range(0, len(self._all), mmap.PAGESIZE // _WORD):
            self._all[index] = self._all[index]

    @classmethod
    def create(cls, path: Path, max_steps: int) -> Self:
        """Create the file at `path`.

        It has room for the warm-up, `max_steps` measured steps and the starts of the windows.
        """
        return cls(path, 1 + WARMUP_STEPS_MOST + max_steps + _WINDOWS_MOST)

    @property
    def phase(self) -> Phase:
        """Return the phase that the child has stored."""
        return Phase(self.words[0])

    @phase.setter
    def phase(self, phase: Phase) -> None:
        self.words[0] = phase

    def set_waiting(self, waiting: bool) -> None:
        """Say whether a step waits for its input now."""
        self._beyond_one[0] = waiting

    @property
    def waits_for_input(self) -> bool:
        """Return whether a step waits for its input now."""
        return self._beyond_one[0] == 1

    def cover(self, first: int, steps: int, stamp_steps: int) -> None:
        """Say that `steps` steps will be stamped from index `first` on, every `stamp_steps` steps and after the last.

        A stamp of which nothing is said covers one step.
        """
        last = first + -(-steps // stamp_steps) - 1
        for index in range(first, last):
            self._beyond_one[index] = stamp_steps - 1
        self._beyond_one[last] = steps - (last - first) * stamp_steps - 1

    def look_from(self, start: int) -> tuple[int, int]:
        """Return the index of the first unset stamp from `start` on, and the number of steps that ended before it."""
        end = start
        while end < len(self.words) and self.words[end]:
            end += 1
        return end, int(self._steps(start, end).sum())

    def steps_between(self, start: int, end: int) -> tuple[int, float]:
        """Return how many steps ended at the stamps from `start` to before `end`, and how many seconds they took.

        All these stamps are set. The time between two windows belongs to no step and is left out.
        """
        words, steps = np.array(self.words[start - 1 : end]), self._steps(start, end)
        return int(steps.sum()), float(np.diff(np.abs(words))[steps > 0].sum()) / 1e9

    def _steps(self, start: int, end: int) -> NDArray[np.int64]:
        """Return how many steps ended at each stamp from `start` to before `end`; 0 where a window begins."""
        is_end = np.array(self.words[start:end], dtype=np.int64) > 0
        return np.where(is_end, 1 + np.array(self._beyond_one[start:end], dtype=np.int64), 0)

    def close(self) -> None:
        """Unmap the file."""
        for view in (self.words, self._beyond_one, self._all):
            view.release()
        self._map.close()

"""Store the clock readings (stamps) of one rank in a file that its supervisor maps into memory too.

The child stores the stamps. The supervisor can see progress without a message, and keeps the stamps when the child
dies. The file holds int64 words. Word 0 is the phase; the others are readings of `perf_counter_ns`, negative where a
window begins, positive where a step ends, and 0 where nothing is stored yet.
"""

import mmap
from enum import IntEnum
from pathlib import Path
from typing import Self

import numpy as np

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
            path.write_bytes(bytes(words * _WORD))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)
        self.words = memoryview(self._map).cast("q")
        for index in range(0, len(self.words), mmap.PAGESIZE // _WORD):
            self.words[index] = self.words[index]

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

    def look_from(self, start: int) -> tuple[int, int]:
        """Return the index of the first unset stamp from `start` on, and the number of steps that ended before it."""
        end = start
        while end < len(self.words) and self.words[end]:
            end += 1
        return end, sum(stamp > 0 for stamp in self.words[start:end])

    def steps_between(self, start: int, end: int) -> tuple[int, float]:
        """Return how many steps ended at the stamps from `start` to before `end`, and how many seconds they took.

        All these stamps are set. The time between two windows belongs to no step and is left out.
        """
        words = np.array(self.words[start - 1 : end])
        is_step = words[1:] > 0
        return int(is_step.sum()), float(np.diff(np.abs(words))[is_step].sum()) / 1e9

    def close(self) -> None:
        """Unmap the file."""
        self.words.release()
        self._map.close()

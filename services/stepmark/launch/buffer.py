"""The stamps of one rank, in a file that its supervisor maps too.

The child stores clock readings; the supervisor sees progress from outside without a message, and keeps what was
measured when a child dies. Layout: int64 words; word 0 is the phase, the rest are `perf_counter_ns` stamps: negative
where a window begins, positive where a step ends, 0 where nothing has been stored yet.
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
    """JOINED: all control connections are there. STEPPING: the first step is done. MEASURED: the report is written."""

    STARTING = 0
    JOINED = 1
    STEPPING = 2
    MEASURED = 3


class StampBuffer:
    """A preallocated array of stamps in shared memory. Every page is touched at once, so that no store faults later."""

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
        return cls(path, 1 + WARMUP_STEPS_MOST + max_steps + _WINDOWS_MOST)

    @property
    def phase(self) -> Phase:
        return Phase(self.words[0])

    @phase.setter
    def phase(self, phase: Phase) -> None:
        self.words[0] = phase

    def look_from(self, start: int) -> tuple[int, int]:
        """The index of the first unset stamp at or after `start`, and how many steps ended before it."""
        end = start
        while end < len(self.words) and self.words[end]:
            end += 1
        return end, sum(stamp > 0 for stamp in self.words[start:end])

    def steps_between(self, start: int, end: int) -> tuple[int, float]:
        """Steps that end at the stamps from `start` up to `end`, all set, and their seconds.

        What lies between two windows is no step's time.
        """
        words = np.array(self.words[start - 1 : end])
        is_step = words[1:] > 0
        return int(is_step.sum()), float(np.diff(np.abs(words))[is_step].sum()) / 1e9

    def close(self) -> None:
        self.words.release()
        self._map.close()

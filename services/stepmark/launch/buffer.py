"""The stamps of one rank, in a file that its supervisor maps too.

The child stores clock readings; the supervisor sees progress from outside without a message, and keeps what was
measured when a child dies. Layout: int64 words; word 0 is the phase, the rest are `perf_counter_ns` stamps, 0 = none.
"""

import mmap
from enum import IntEnum
from pathlib import Path
from typing import Self

WARMUP_STEPS_MOST = 5000
_WINDOWS_MOST = 64
_WORD = 8


class Phase(IntEnum):
    STARTING = 0
    STEPPING = 1
    FINISHED = 2


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

    def stamps_from(self, start: int) -> int:
        """The index of the first unset stamp at or after `start`."""
        while start < len(self.words) and self.words[start]:
            start += 1
        return start

    def close(self) -> None:
        self.words.release()
        self._map.close()

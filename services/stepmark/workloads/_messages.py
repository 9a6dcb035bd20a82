"""Say what a collective exchanges: its sizes, its bandwidths, and values by which its result can be checked.

Sizes and bandwidths are those of nccl-tests (doc/PERFORMANCE.md). The size S of a message is what each rank holds in an
all-reduce and a broadcast, what each rank sends in all of a reduce-scatter, and what each receives in all of an
all-gather. A message that cannot be cut evenly among the ranks is shortened until it can.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Collective = Literal["all-reduce", "reduce-scatter", "all-gather", "broadcast"]
Values = NDArray[np.float32]

ELEMENT_BYTES = {"float32": 4, "bfloat16": 2}
_CUT: tuple[Collective, ...] = ("reduce-scatter", "all-gather")
_LARGEST_VALUE = 7  # Small whole numbers are exact in bfloat16.


@dataclass(frozen=True)
class Message:
    """Describe the message of one collective among `workers` ranks, with `elements` values of `element_bytes` each."""

    collective: Collective
    workers: int
    elements: int
    element_bytes: int

    @classmethod
    def of(cls, collective: Collective, workers: int, size: int, precision: str) -> "Message":
        """Return the largest message of at most `size` bytes that can be cut among the ranks.

        Raises:
            ValueError: not even one value for each rank fits, or the precision has no messages.
        """
        if precision not in ELEMENT_BYTES:
            raise ValueError(f"expected messages of {' or '.join(ELEMENT_BYTES)}, found {precision}")
        elements = size // ELEMENT_BYTES[precision]
        if collective in _CUT:
            elements -= elements % workers
        if not elements:
            raise ValueError(f"expected a message with a value for each of {workers} ranks, found {size} bytes")
        return cls(collective, workers, elements, ELEMENT_BYTES[precision])

    @property
    def bytes(self) -> int:
        """Return the size S of the message."""
        return self.elements * self.element_bytes

    @property
    def bus_factor(self) -> float:
        """Return the bus bandwidth over the algorithm bandwidth S / t, which makes different counts of ranks alike.

        It is 2 (n - 1) / n for an all-reduce, (n - 1) / n for reduce-scatter and all-gather, and 1 for a broadcast
        (nccl-tests, doc/PERFORMANCE.md).
        """
        share = (self.workers - 1) / self.workers
        factors = {"all-reduce": 2 * share, "reduce-scatter": share, "all-gather": share, "broadcast": 1.0}
        return factors[self.collective]

    def contribution(self, rank: int) -> Values:
        """Return what a rank gives: its own part of the pattern, and zeros elsewhere where the ranks' values are added.

        Each value of the pattern comes from one rank alone, so a sum is exact for any number of ranks, and a rank that
        is missing shows.
        """
        if self.collective == "all-gather":
            return self._share(rank)
        if self.collective == "broadcast":
            return self._pattern() if rank == 0 else np.zeros(self.elements, np.float32)
        given = np.zeros(self.elements, np.float32)
        given[rank :: self.workers] = self._pattern()[rank :: self.workers]
        return given

    def expected(self, rank: int) -> Values:
        """Return what a rank must hold afterwards."""
        return self._share(rank) if self.collective == "reduce-scatter" else self._pattern()

    def check(self, rank: int, found: NDArray[np.floating]) -> None:
        """Compare what a rank holds with what it must hold.

        Raises:
            ValueError: they differ.
        """
        expected = self.expected(rank)
        if found.shape != expected.shape:
            raise ValueError(
                f"{self.collective}: expected {expected.size} values on rank {rank}, found {found.size}; "
                "the collective is wrong and is not timed"
            )
        wrong = np.flatnonzero(found != expected)
        if wrong.size:
            first = int(wrong[0])
            raise ValueError(
                f"{self.collective}: expected {expected[first]:g} as value {first} on rank {rank}, found "
                f"{found[first]:g}, and {wrong.size} wrong values in all; the collective is wrong and is not timed"
            )

    def _pattern(self) -> Values:
        return np.resize(np.arange(1, _LARGEST_VALUE + 1, dtype=np.float32), self.elements)

    def _share(self, rank: int) -> Values:
        size = self.elements // self.workers
        return self._pattern()[rank * size : (rank + 1) * size].copy()

"""Keep what goes into the layers of a model and what comes out of them, call by call, in any framework."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from numpy.typing import NDArray

from stepmark.engines._protocol import interleaved

Array = NDArray[Any]


class Calls:
    """Collect the calls of layers over the micro-batches of a batch.

    A layer's second call within one micro-batch is named 'LAYER#2'. Layers that share their first weight have one name,
    so they count as calls of one layer: one framework calls a layer twice where another has two layers with one weight.
    """

    def __init__(self) -> None:
        self._parts: dict[str, list[Array]] = {}
        self._numbers: Counter[str] = Counter()

    def begin_part(self) -> None:
        """Begin the next micro-batch, whose calls are counted from 1."""
        self._numbers.clear()

    def add(self, layer: str, given: Array | None, returned: Array | None) -> None:
        """Keep the input and the output of a call; None stands for what is no array."""
        self._numbers[layer] += 1
        number = self._numbers[layer]
        call = layer if number == 1 else f"{layer}#{number}"
        for side, value in (("input", given), ("output", returned)):
            if value is not None:
                self._parts.setdefault(f"{call}/{side}", []).append(value)

    def __iter__(self) -> Iterator[tuple[str, Array]]:
        """Yield each call's side and its values for the whole batch, in the order of calls.

        A side whose shape differs between micro-batches has no order of samples, and is left out.
        """
        for name, parts in self._parts.items():
            if len({part.shape for part in parts}) == 1:
                yield name, interleaved(parts)

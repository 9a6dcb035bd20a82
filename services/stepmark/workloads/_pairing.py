"""Match the weights of a Keras model with those of its torch counterpart, by name or by an explicit map."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from stepmark.workloads._weights import Array

_NAMES = {"kernel": "weight", "depthwise_kernel": "weight", "gamma": "weight", "embeddings": "weight", "beta": "bias"}
# How a kernel's axes in Keras are ordered in torch, by their number: kernels of dense layers and of convolutions.
_KERNEL_AXES = {2: (1, 0), 3: (2, 1, 0), 4: (3, 2, 0, 1), 5: (4, 3, 0, 1, 2)}


@dataclass(frozen=True)
class Place:
    """Say where a Keras variable is in torch: the parameter's name, and the part of it along its first axis.

    `shape` is torch's, where a variable has other axes there: the two are then reshaped, not transposed. It is that of
    the variable's own part.
    """

    name: str
    part: int = 0
    parts: int = 1
    shape: tuple[int, ...] | None = None


def unique(paths: Sequence[str]) -> list[str]:
    """Return the paths, with a number behind each one that came before."""
    seen: Counter[str] = Counter()
    names = []
    for path in paths:
        seen[path] += 1
        names.append(path if seen[path] == 1 else f"{path}#{seen[path]}")
    return names


@dataclass(frozen=True)
class Pairing:
    """Convert weights between Keras' variables and torch's names and layouts.

    `names` maps paths of Keras layers to torch modules, and of variables to parameters. A `Place` is a parameter's,
    also where it stands for a layer, which then has only one variable. Paths that begin with the model's own name,
    `root`, are looked up without it. `depthwise` holds the paths of kernels whose third and fourth axes are channels
    and their multiples.
    """

    names: Mapping[str, str | Place]
    root: str
    depthwise: frozenset[str] = frozenset()

    def place(self, path: str) -> Place:
        """Return where the Keras variable of this path is in torch."""
        path = path.removeprefix(f"{self.root}/")
        layer, _, variable = path.rpartition("/")
        given = self.names.get(path)
        if given is not None:
            return given if isinstance(given, Place) else Place(given)
        module = self.names.get(layer, layer.replace("/", ".").replace("-", "."))
        return module if isinstance(module, Place) else Place(f"{module}.{_NAMES.get(variable, variable)}")

    def common_weights(self, variables: Sequence[tuple[str, Array]]) -> dict[str, Array]:
        """Return copies of Keras variables under torch's names, in torch's layouts."""
        parts: dict[str, dict[int, Array]] = {}
        for path, values in variables:
            place = self.place(path)
            parts.setdefault(place.name, {})[place.part] = self._to_torch(path, place, values)
        return {name: np.concatenate([found[n] for n in sorted(found)]) for name, found in parts.items()}

    def keras_values(self, path: str, shape: tuple[int, ...], weights: Mapping[str, Array]) -> Array:
        """Return a copy of the values of one Keras variable, in Keras' layout."""
        place = self.place(path)
        part = np.split(weights[place.name], place.parts)[place.part]
        if place.shape is None and (axes := self._axes(path, len(shape))) is not None:
            if path in self.depthwise:
                part = part.reshape(shape[2], shape[3], *shape[:2])
            part = part.transpose(np.argsort(axes))
        return np.array(part.reshape(shape))

    def _to_torch(self, path: str, place: Place, values: Array) -> Array:
        if place.shape is not None:
            return values.reshape(place.shape)
        axes = self._axes(path, values.ndim)
        if axes is None:
            return np.atleast_1d(values)
        moved = values.transpose(axes)
        return moved.reshape(-1, 1, *moved.shape[2:]) if path in self.depthwise else moved

    def _axes(self, path: str, count: int) -> tuple[int, ...] | None:
        """Return the order of a kernel's axes in torch; None for other variables, which are alike in both."""
        if path in self.depthwise:
            return (2, 3, 0, 1)
        return _KERNEL_AXES.get(count) if path.endswith("kernel") else None

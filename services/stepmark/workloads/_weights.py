"""Convert weights to and from one common form: torch's names and layouts.

A Keras layer is named after the torch module that it mirrors, with dashes for dots ('layer1.0.conv1' is
'layer1-0-conv1'), so a variable's path says where it belongs. In attention, Keras has one kernel each for query, key
and value, while torch packs the three along the first axis of one tensor. Such a variable is one part of three.
"""

import hashlib
import math
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]

# Keras' variable and its number of axes map to torch's parameter. LSTM gates have the same order (i, f, g, o) on both
# sides, and torch's second bias is frozen at zero (workloads/lstm.py).
_NAMES = {
    ("kernel", 2): "weight",
    ("kernel", 4): "weight",
    ("bias", 1): "bias",
    ("gamma", 1): "weight",
    ("beta", 1): "bias",
    ("embeddings", 2): "weight",
}
_LSTM_NAMES = {"kernel": "weight_ih_l0", "recurrent_kernel": "weight_hh_l0", "bias": "bias_ih_l0"}
_PACKED = {"query": 0, "key": 1, "value": 2}


@dataclass(frozen=True)
class Place:
    """Say where a Keras variable is in torch's form: the tensor's name, and the part of it along its first axis."""

    name: str
    kind: str
    part: int = 0
    parts: int = 1


def _place(path: str, axes: int) -> Place:
    """Return the place of a Keras variable.

    Raises:
        KeyError: there is no rule for the variable. The workload has a new kind of layer, which needs a rule here.
    """
    *layers, variable = path.split("/")
    if layers[-1] == "lstm_cell":
        return Place(f"{_dotted(layers[-2])}.{_LSTM_NAMES[variable]}", variable)
    if layers[-1] in _PACKED:
        name = f"{_dotted(layers[-2])}.in_proj.{'weight' if variable == 'kernel' else 'bias'}"
        return Place(name, f"heads_{variable}", _PACKED[layers[-1]], len(_PACKED))
    if layers[-1] == "attention_output":
        name = f"{_dotted(layers[-2])}.out_proj.{'weight' if variable == 'kernel' else 'bias'}"
        return Place(name, f"merged_{variable}")
    return Place(f"{_dotted(layers[-1])}.{_NAMES[variable, axes]}", variable)


def _dotted(layer: str) -> str:
    return layer.replace("-", ".")


def _to_torch(kind: str, values: Array) -> Array:
    if kind == "kernel" and values.ndim == 4:
        return values.transpose(3, 2, 0, 1)  # HWIO -> OIHW
    if kind in ("kernel", "recurrent_kernel"):
        return values.T
    if kind == "heads_kernel":
        return values.reshape(values.shape[0], -1).T  # (E, heads, D) -> (E, E)
    if kind == "heads_bias":
        return values.ravel()
    if kind == "merged_kernel":
        return values.reshape(-1, values.shape[-1]).T  # (heads, D, E) -> (E, E)
    return values


def _to_keras(kind: str, values: Array, shape: tuple[int, ...]) -> Array:
    if kind == "kernel" and values.ndim == 4:
        return values.transpose(2, 3, 1, 0)
    if kind in ("kernel", "recurrent_kernel"):
        return values.T
    if kind in ("heads_kernel", "merged_kernel"):
        return values.T.reshape(shape)
    return values.reshape(shape)


def torch_weights(variables: Iterable[tuple[str, Array]]) -> dict[str, Array]:
    """Return copies of Keras variables under torch's names, in torch's layouts.

    `variables` holds pairs of a variable's path and its values.
    """
    parts: dict[str, dict[int, Array]] = {}
    for path, values in variables:
        place = _place(path, values.ndim)
        parts.setdefault(place.name, {})[place.part] = _to_torch(place.kind, values)
    return {name: np.concatenate([found[part] for part in sorted(found)]) for name, found in parts.items()}


def keras_values(path: str, shape: tuple[int, ...], weights: Mapping[str, Array]) -> Array:
    """Return a copy of the values of one Keras variable, in Keras' layout, from weights in torch's form."""
    place = _place(path, len(shape))
    part = np.split(weights[place.name], place.parts)[place.part]
    return np.array(_to_keras(place.kind, part, shape))


def initial(shapes: Mapping[str, tuple[int, ...]], seed: int, channels_last: bool = False) -> dict[str, Array]:
    """Return weights that every engine can make for itself. Each tensor has its own generator, seeded by seed and name.

    Matrices have variance 1 / fan-in. Scales of norms are near 1, and biases are small but not zero, so that a mistake
    in either can be seen. The fan-in is of torch's layouts, or of Keras' where `channels_last` is set.
    """
    return {name: _draw(name, shape, seed, channels_last) for name, shape in shapes.items()}


def _draw(name: str, shape: tuple[int, ...], seed: int, channels_last: bool) -> Array:
    values = np.random.default_rng([seed, zlib.crc32(name.encode())]).standard_normal(shape, np.float32)
    if len(shape) > 1:
        fan_in = math.prod(shape[:-1] if channels_last else shape[1:])
        return values / math.sqrt(fan_in)
    return 1 + 0.1 * values if name.endswith(("weight", "gamma")) else 0.1 * values


def decided(values: Array, size: float) -> Array:
    """Return a bias before a ReLU that decides its side: three channels in four are at +size, the fourth at -size.

    The channels are the same everywhere, so that a residual sum of two is as far from zero as each.
    """
    return np.where(np.arange(values.size) % 4 == 3, -size, size) * (1 + 0.1 * np.tanh(values))


def balanced(kernel: Array, axis: int) -> Array:
    """Return a kernel less each tap's mean over the input channels, on `axis`, that are on (see `decided`)."""
    on = np.arange(kernel.shape[axis]) % 4 != 3
    everything = [slice(None)] * kernel.ndim
    everything[axis] = on
    shape = [1] * kernel.ndim
    shape[axis] = -1
    return kernel - np.where(on.reshape(shape), kernel[tuple(everything)].mean(axis, keepdims=True), 0.0)


def digest(weights: Mapping[str, Array]) -> str:
    """Return the SHA-256 over names, shapes, types and bytes, in hexadecimal."""
    found = hashlib.sha256()
    for name in sorted(weights):
        values = np.ascontiguousarray(weights[name])
        found.update(f"{name} {values.shape} {values.dtype.str}".encode() + values.tobytes())
    return found.hexdigest()

"""Moving weights between frameworks: torch's names and layouts are the common form.

A Keras layer is named as the torch module that it mirrors, with dots as underscores ('layer1.0.conv1' is
'layer1_0_conv1'), so a variable's path says where it belongs. Layouts: reference in docs/parity of each kind below.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
Layout = Callable[[Array], Array]


def _same(values: Array) -> Array:
    return np.array(values)


def _transposed(values: Array) -> Array:
    return np.array(values.T)


def _conv_to_torch(values: Array) -> Array:
    return np.array(values.transpose(3, 2, 0, 1))  # HWIO -> OIHW


def _conv_to_keras(values: Array) -> Array:
    return np.array(values.transpose(2, 3, 1, 0))  # OIHW -> HWIO


# Keras' variable, with its number of axes -> torch's parameter, layout to torch, layout to Keras. LSTM gates have the
# same order (i, f, g, o) on both sides; torch's second bias is frozen at zero (workloads/lstm.py).
_PLACES: dict[tuple[str, int], tuple[str, Layout, Layout]] = {
    ("kernel", 2): ("weight", _transposed, _transposed),
    ("kernel", 4): ("weight", _conv_to_torch, _conv_to_keras),
    ("bias", 1): ("bias", _same, _same),
    ("gamma", 1): ("weight", _same, _same),
    ("beta", 1): ("bias", _same, _same),
    ("embeddings", 2): ("weight", _same, _same),
}
_LSTM_PLACES: dict[str, tuple[str, Layout, Layout]] = {
    "kernel": ("weight_ih_l0", _transposed, _transposed),
    "recurrent_kernel": ("weight_hh_l0", _transposed, _transposed),
    "bias": ("bias_ih_l0", _same, _same),
}


def torch_place(path: str, axes: int) -> tuple[str, Layout, Layout]:
    """For a Keras variable's path: torch's parameter name, and the layout change to torch and to Keras.

    Raises:
        KeyError: no rule for such a variable: the workload has a new kind of layer, and needs one here.
    """
    *layers, variable = path.split("/")
    lstm = layers[-1] == "lstm_cell"
    layer = layers[-2] if lstm else layers[-1]
    name, to_torch, to_keras = _LSTM_PLACES[variable] if lstm else _PLACES[variable, axes]
    return f"{layer.replace('_', '.')}.{name}", to_torch, to_keras

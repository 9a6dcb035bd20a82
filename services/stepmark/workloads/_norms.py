"""Choose the starting weights of models of others that have BatchNorm, so that no input of a rectifier is near zero.

Where an input of a ReLU lies within rounding of zero, two correct engines may take different sides, and then their
gradients differ by far more than rounding. Which rectifiers a model has cannot be seen from outside, but BatchNorm
decides on their inputs, and layers of that kind can be found. stepmark's own ResNet (workloads/resnet.py) does the same
and, since it knows its layers, some more.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from stepmark.workloads._weights import Array, balanced, decided

_SCALE, _BIAS = 1 / 4, 2.0
_BIAS_OF_UNSCALED = _BIAS / _SCALE
_PATTERN = 4  # `decided` switches one channel in four off.


@dataclass(frozen=True)
class Norms:
    """Name the scales of BatchNorm layers, and their biases with the size that each of them gets."""

    scales: frozenset[str] = frozenset()
    biases: Mapping[str, float] = field(default_factory=dict)

    def renamed(self, name_of: Callable[[str], str]) -> "Norms":
        """Return the same layers with other names."""
        biases = {name_of(bias): size for bias, size in self.biases.items()}
        return Norms(frozenset(map(name_of, self.scales)), biases)


def of_torch(model: Any) -> Norms:
    """Return the BatchNorm layers of a torch model that have scale and bias, by the names of their parameters."""
    prefixes = [f"{name}." if name else "" for name, module in model.named_modules() if _is_batch_norm(module)]
    return Norms(frozenset(f"{p}weight" for p in prefixes), {f"{p}bias": _BIAS for p in prefixes})


def of_keras(model: Any) -> Norms:
    """Return the BatchNorm layers of a Keras model that have a bias, by the paths of their variables."""
    layers = [layer for layer in model._flatten_layers() if _is_batch_norm(layer) and layer.center]
    scales = frozenset(layer.gamma.path for layer in layers if layer.scale)
    return Norms(scales, {layer.beta.path: _BIAS if layer.scale else _BIAS_OF_UNSCALED for layer in layers})


def _is_batch_norm(layer: Any) -> bool:
    """Return whether the layer is of a class that is, or is derived from, a BatchNorm of torch or Keras."""
    return any("BatchNorm" in kind.__name__ for kind in type(layer).__mro__)


def decided_weights(weights: Mapping[str, Array], norms: Norms, channels_last: bool) -> dict[str, Array]:
    """Return the weights as they are where there is no BatchNorm, and otherwise with rectifiers that are decided.

    Each BatchNorm's biases are eight times its scales. Kernels of convolutions add up to zero over the channels that a
    ReLU lets through, since otherwise the next BatchNorm would take the difference of large numbers. Matrices are a
    quarter as large, since what they multiply is large. Kernels are in torch's layouts, or in Keras' where
    `channels_last` is set.
    """
    if not norms.biases:
        return dict(weights)
    axis = -2 if channels_last else 1
    return {name: _decided(name.partition("#")[0], values, norms, axis) for name, values in weights.items()}


def _decided(name: str, values: Array, norms: Norms, axis: int) -> Array:
    if name in norms.scales or values.ndim == 2:
        return values * _SCALE
    if name in norms.biases:
        return decided(values, norms.biases[name])
    return balanced(values, axis) if values.ndim > 2 and values.shape[axis] >= _PATTERN else values

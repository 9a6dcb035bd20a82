"""Choose starting weights of models of others that have BatchNorm or GroupNorm: no input of a rectifier is near zero.

Where an input of a ReLU lies within rounding of zero, two correct engines may take different sides, and then their
gradients differ by far more than rounding. Which rectifiers a model has cannot be seen from outside, but norms decide
on their inputs, and layers of these kinds can be found. stepmark's own ResNet (workloads/resnet.py) does the same and,
since it knows its layers, some more.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from stepmark.workloads._weights import Array, balanced, decided

_KINDS = ("BatchNorm", "GroupNorm")  # LayerNorm is rarely before a ReLU, and often before attention.
_SCALE, _BIAS = 1 / 4, 2.0
_BIAS_OF_UNSCALED = _BIAS / _SCALE
_PATTERN = 4  # `decided` switches one channel in four off.


@dataclass(frozen=True)
class Norms:
    """Name the scales of norms, and their biases with the size that each of them gets."""

    scales: frozenset[str] = frozenset()
    biases: Mapping[str, float] = field(default_factory=dict)

    def renamed(self, name_of: Callable[[str], str]) -> "Norms":
        """Return the same layers with other names."""
        biases = {name_of(bias): size for bias, size in self.biases.items()}
        return Norms(frozenset(map(name_of, self.scales)), biases)


def of_torch(model: Any) -> Norms:
    """Return the norms of a torch model, by the names of their parameters."""
    prefixes = [f"{name}." if name else "" for name, module in model.named_modules() if _is_norm(module)]
    return Norms(frozenset(f"{p}weight" for p in prefixes), {f"{p}bias": _BIAS for p in prefixes})


def of_keras(model: Any) -> Norms:
    """Return the norms of a Keras model that have a bias, by the paths of their variables."""
    layers = [
        layer for layer in model._flatten_layers() if _is_norm(layer) and getattr(layer, "beta", None) is not None
    ]
    scaled = {layer.beta.path: getattr(layer, "gamma", None) for layer in layers}
    scales = frozenset(gamma.path for gamma in scaled.values() if gamma is not None)
    return Norms(scales, {bias: _BIAS_OF_UNSCALED if gamma is None else _BIAS for bias, gamma in scaled.items()})


def _is_norm(layer: Any) -> bool:
    """Return whether the layer is of a class that is, or is derived from, a norm of torch or Keras that is meant."""
    return any(name in kind.__name__ for kind in type(layer).__mro__ for name in _KINDS)


def decided_weights(weights: Mapping[str, Array], norms: Norms, channels_last: bool) -> dict[str, Array]:
    """Return the weights as they are where there is no norm, and otherwise with rectifiers that are decided.

    Each norm's biases are eight times its scales. Kernels of convolutions add up to zero over the channels that a
    ReLU lets through, since otherwise the next norm would take the difference of large numbers. Matrices are a
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

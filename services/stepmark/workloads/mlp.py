"""Define a multi-layer perceptron: dense layers with ReLU between them."""

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from stepmark.strict import StrictModel
from stepmark.workloads import _keras
from stepmark.workloads._protocol import InputSpec, Workload
from stepmark.workloads._weights import Array, decided

if TYPE_CHECKING:
    import keras
    import torch


class Params(StrictModel):
    """Set the size of the perceptron."""

    features: Annotated[int, Field(ge=1, le=65536)] = 64
    """Number of values in one sample."""
    hidden: Annotated[int, Field(ge=1, le=65536)] = 256
    """Width of every hidden layer."""
    layers: Annotated[int, Field(ge=1, le=64)] = 2
    """Number of hidden layers."""
    classes: Annotated[int, Field(ge=2, le=65536)] = 10
    """Number of output classes."""

    @property
    def widths(self) -> list[int]:
        """Return the width of the input and of each layer's output."""
        return [self.features, *[self.hidden] * self.layers, self.classes]


class Mlp(Workload):
    """Build the perceptron in each framework, and compute its costs."""

    params_model = Params

    def input(self, params: Params) -> InputSpec:
        return InputSpec("vector", (params.features,), params.classes)

    def parameter_count(self, params: Params) -> int:
        """Return the sum of n_in * n_out + n_out over the layers, for kernel and bias."""
        return sum((n_in + 1) * n_out for n_in, n_out in pairwise(params.widths))

    def flops_per_sample(self, params: Params) -> int:
        """Return 3 passes x 2 operations x n_in x n_out, summed over the layers.

        The first layer's input gradient is left out, since nothing computes it.
        """
        forward = [2 * n_in * n_out for n_in, n_out in pairwise(params.widths)]
        return 3 * sum(forward) - forward[0]

    def starting_weights(self, shapes: Mapping[str, tuple[int, ...]], seed: int) -> dict[str, Array]:
        """Return small kernels and large biases, which keep the inputs of every ReLU away from zero."""
        weights = super().starting_weights(shapes, seed)
        kernels = {name: values / 16 for name, values in weights.items() if values.ndim == 2}
        biases = [name for name, values in weights.items() if values.ndim == 1][:-1]
        return weights | kernels | {name: decided(weights[name], 1.0) for name in biases}

    def torch_model(self, params: Params) -> "torch.nn.Module":
        from torch import nn

        layers: list[nn.Module] = []
        for n_in, n_out in pairwise(params.widths):
            layers += [nn.Linear(n_in, n_out), nn.ReLU()]
        return nn.Sequential(*layers[:-1])

    def keras_model(self, params: Params) -> "keras.Model":
        import keras

        inputs = x = keras.Input((params.features,))
        for index, width in enumerate(params.widths[1:]):
            # Layers have torch's names, by which weights are moved between the frameworks.
            x = keras.layers.Dense(width, "relu" if index < params.layers else None, name=f"{2 * index}")(x)
        return keras.Model(inputs, _keras.logits(x))


WORKLOAD = Mlp()

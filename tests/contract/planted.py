"""Mistakes that people make when they write one model twice, planted one at a time. Run as a script in each framework.

    python planted.py FOLDER keras-tensorflow NAME...    writes FOLDER/NAME.npz, the trace with mistake NAME planted
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from stepmark import catalog
from stepmark.engines._protocol import RankContext
from stepmark.parity.probe import trace
from stepmark.scenario.base import StrictModel
from stepmark.workloads import _batches, _weights
from stepmark.workloads._protocol import InputSpec, Workload


class Params(StrictModel):
    pass


class Cnn(Workload):
    """What the shipped models leave out: a convolution's bias before BatchNorm, average pooling, flattening."""

    params_model = Params

    def input(self, params: Params) -> InputSpec:
        return InputSpec("image", (3, 8, 8), 5)

    def parameter_count(self, params: Params) -> int:
        return 3 * 6 * 9 + 6 + 12 + 6 * 16 * 5 + 5

    def flops_per_sample(self, params: Params) -> None:
        return None

    def torch_model(self, params: Params) -> Any:
        from torch import nn

        return nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1),
            nn.BatchNorm2d(6),
            nn.ReLU(),
            nn.AvgPool2d(3, 2, 1),
            nn.Flatten(),
            nn.Linear(6 * 16, 5),
        )

    def keras_model(self, params: Params) -> Any:
        import keras
        from keras import layers

        return keras.Sequential(
            [
                keras.Input((8, 8, 3)),
                layers.Conv2D(6, 3, padding="same", name="0"),
                layers.BatchNormalization(epsilon=1e-5, momentum=0.9, name="1"),
                layers.ReLU(),
                layers.ZeroPadding2D(1),
                layers.AveragePooling2D(3, 2),
                layers.Permute((3, 1, 2)),  # torch flattens channels first
                layers.Flatten(),
                layers.Dense(5, name="5"),
            ]
        )


WORKLOADS: dict[str, tuple[Workload, dict[str, Any]]] = {
    "cnn": (Cnn(), {}),
    "resnet": (catalog.load_workload("resnet"), {"depth": 18, "imageSize": 32, "stem": "standard", "classes": 10}),
    "lstm": (catalog.load_workload("lstm"), {"vocabulary": 50, "length": 12, "embedding": 16, "hidden": 24}),
    "mlp": (catalog.load_workload("mlp"), {}),
    "transformer": (catalog.load_workload("transformer"), {"vocabulary": 50, "length": 12, "layers": 2}),
    "gpt": (catalog.load_workload("gpt"), {"vocabulary": 50, "length": 12, "layers": 2}),
}


@contextmanager
def forced(owner: Any, name: str, **arguments: Any) -> Iterator[None]:
    """Calls of `owner.name` get these arguments, whatever the caller says."""
    real = getattr(owner, name)

    def call(*given: Any, **named: Any) -> Any:
        return real(*given, **(named | arguments))

    with mock.patch.object(owner, name, call):
        yield


@contextmanager
def without(owner: Any, name: str) -> Iterator[None]:
    """Calls of `owner.name(...)(x)` do nothing to x."""
    with mock.patch.object(owner, name, lambda *_, **__: lambda x: x):
        yield


def layers() -> Any:
    import keras

    return keras.layers


@contextmanager
def same_padding() -> Iterator[None]:
    real = layers().Conv2D

    def conv(filters: int, kernel: int, stride: int, **named: Any) -> Any:
        return real(filters, kernel, stride, **(named | {"padding": "same"}))

    with mock.patch.object(layers(), "Conv2D", conv), without(layers(), "ZeroPadding2D"):
        yield


@contextmanager
def second_lstm_bias() -> Iterator[None]:
    from torch import nn

    with mock.patch.object(nn.init, "zeros_", lambda tensor: mock.Mock(requires_grad_=lambda _: tensor)):
        yield


@contextmanager
def swapped(kind: str, other: str) -> Iterator[None]:
    """Weights of one kind of Keras variable go where those of another belong."""
    real = _weights.keras_values

    def values(path: str, shape: tuple[int, ...], weights: Any) -> Any:
        exchange = {kind: other, other: kind}
        parts = [exchange.get(part, part) for part in path.split("/")]
        return real("/".join(parts), shape, weights)

    with mock.patch.object(_weights, "keras_values", values):
        yield


@contextmanager
def turned_kernels() -> Iterator[None]:
    """Height and width of convolution kernels exchanged."""
    real = _weights.keras_values

    def values(path: str, shape: tuple[int, ...], weights: Any) -> Any:
        found = real(path, shape, weights)
        return found.swapaxes(0, 1).copy() if found.ndim == 4 else found

    with mock.patch.object(_weights, "keras_values", values):
        yield


@contextmanager
def optimizer(name: str, **arguments: Any) -> Iterator[None]:
    """Another optimiser, or another setting of it, in whichever framework this process has."""
    owner = sys.modules["torch.optim"] if "torch" in sys.modules else sys.modules["keras"].optimizers
    allowed = {"torch": {"lr", "momentum", "weight_decay", "nesterov"}}
    del allowed

    def make(trained_or_rate: Any, lr: Any = None, momentum: float = 0.0, **_: Any) -> Any:
        real = originals[name]
        if "torch" in sys.modules:
            return real(trained_or_rate, lr=lr, **({"momentum": momentum} if name == "SGD" else {}), **arguments)
        return real(trained_or_rate, **({"momentum": momentum} if name == "SGD" else {}), **arguments)

    originals = {key: getattr(owner, key) for key in ("SGD", "Adam")}
    with mock.patch.object(owner, "SGD", make):
        yield


@contextmanager
def changing_rate() -> Iterator[None]:
    """The learning rate halves after two steps: torch's momentum keeps gradients, Keras' keeps steps."""
    engine = sys.modules["stepmark.engines." + ENGINE.replace("-", "_")].Engine
    real = engine.step

    def step(self: Any, index: int) -> None:
        real(self, index)
        if index == 1 and hasattr(self._optimizer, "param_groups"):
            self._optimizer.param_groups[0]["lr"] /= 2
        elif index == 1:
            self._optimizer.learning_rate.assign(self._optimizer.learning_rate / 2)

    with mock.patch.object(engine, "step", step):
        yield


@contextmanager
def half_the_loss() -> Iterator[None]:
    """As a loss that is divided by another batch size."""
    engine = sys.modules["stepmark.engines." + ENGINE.replace("-", "_")].Engine
    real = engine.build

    def build(self: Any, *arguments: Any) -> None:
        real(self, *arguments)
        self._labels *= 2

    with mock.patch.object(engine, "build", build):
        yield


@contextmanager
def dropout() -> Iterator[None]:
    real = layers().Dense

    def dense(*given: Any, **named: Any) -> Any:
        inner, drop = real(*given, **named), layers().Dropout(0.1)
        inner_call = inner.call
        inner.call = lambda x, *a, **k: inner_call(drop(x, training=True), *a, **k)
        return inner

    with mock.patch.object(layers(), "Dense", dense):
        yield


@contextmanager
def as_written() -> Iterator[None]:
    yield


Plant = Callable[[], Any]
PLANTS: dict[str, tuple[str, Plant]] = {
    **{f"{model}-as-written": (model, as_written) for model in WORKLOADS},
    "bn-epsilon": ("resnet", lambda: forced(layers(), "BatchNormalization", epsilon=1e-3)),
    "same-padding": ("resnet", same_padding),
    "max-pool-same": ("resnet", lambda: forced(layers(), "MaxPooling2D", padding="same")),
    "kernel-axes": ("resnet", turned_kernels),
    "average-pool": ("cnn", lambda: without_padding_of_pool()),
    "flatten-order": ("cnn", lambda: without_layer("Permute")),
    "lstm-second-bias": ("lstm", second_lstm_bias),
    "layer-norm-epsilon": ("transformer", lambda: forced(layers(), "LayerNormalization", epsilon=1e-3)),
    "gelu-form": ("transformer", lambda: gelu(approximate=True)),
    "attention-packing": ("transformer", lambda: swapped("query", "value")),
    "no-causal-mask": ("gpt", lambda: no_mask()),
    "dropout": ("mlp", dropout),
    "loss-scale": ("mlp", half_the_loss),
    "nesterov": ("mlp", lambda: optimizer("SGD", nesterov=True)),
    "weight-decay": ("mlp", lambda: optimizer("SGD", weight_decay=0.0625)),
    "adam-epsilon": ("lstm", lambda: optimizer("Adam")),
    "rate-change": ("mlp", changing_rate),
}

"""Mistakes that people make when they write one model twice, planted one at a time. Run as a script in each framework.

python planted.py FOLDER keras-tensorflow NAME...    writes FOLDER/NAME.npz, the trace with mistake NAME planted
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

from stepmark import catalog
from stepmark.engines import _keras_parts
from stepmark.engines._protocol import RankContext
from stepmark.parity.probe import trace
from stepmark.strict import StrictModel
from stepmark.workloads import _batches, _weights, resnet
from stepmark.workloads._protocol import InputSpec, Workload


class Params(StrictModel):
    pass


class Cnn(Workload):
    """A model with what the shipped ones lack: a convolution's bias before BatchNorm, average pooling, flattening."""

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

        inputs = keras.Input((8, 8, 3))
        x = layers.Conv2D(6, 3, padding="same", name="0")(inputs)
        x = layers.ReLU()(layers.BatchNormalization(epsilon=1e-5, momentum=0.9, name="1")(x))
        x = layers.AveragePooling2D(3, 2)(layers.ZeroPadding2D(1)(x))
        x = layers.Permute((3, 1, 2))(x)  # torch flattens channels first.
        return keras.Model(inputs, layers.Dense(5, name="5")(layers.Flatten()(x)))


WORKLOADS: dict[str, tuple[Workload, dict[str, Any]]] = {
    "cnn": (Cnn(), {}),
    "resnet": (catalog.load_workload("resnet"), {"depth": 18, "imageSize": 32, "stem": "standard", "classes": 10}),
    "lstm": (catalog.load_workload("lstm"), {"vocabulary": 50, "length": 12, "embedding": 16, "hidden": 24}),
    "mlp": (catalog.load_workload("mlp"), {}),
    "transformer": (catalog.load_workload("transformer"), {"vocabulary": 50, "length": 12, "layers": 1}),
    "gpt": (catalog.load_workload("gpt"), {"vocabulary": 50, "length": 12, "layers": 1}),
}


def replaced(module: str, name: str, make: Callable[[Any], Any]) -> Any:
    """Replace `module.name` by `make(what it was)` in the block; do nothing where this process has no such module."""
    owner = sys.modules.get(module)
    return mock.patch.object(owner, name, make(getattr(owner, name))) if owner is not None else nullcontext()


def layer(name: str, make: Callable[[Any], Any]) -> Any:
    return replaced("keras.layers", name, make)


def forced(**arguments: Any) -> Callable[[Any], Any]:
    """Return a maker of the same call with these arguments, whatever the caller passes."""
    return lambda real: lambda *given, **named: real(*given, **(named | arguments))


def nothing(_: Any) -> Any:
    """Return a layer that returns its input."""
    return lambda *_, **__: lambda x: x


@contextmanager
def same_padding() -> Iterator[None]:
    with layer("Conv2D", forced(padding="same")), layer("ZeroPadding2D", nothing):
        yield


def same_pool(name: str) -> Any:
    """Pool with 'same' padding, without the zeros that are added by hand."""

    def make(real: Any) -> Any:
        crop = sys.modules["keras.layers"].Cropping2D
        return lambda *given: lambda x: real(*given, padding="same")(crop(1)(x))

    return layer(name, make)


@contextmanager
def second_lstm_bias() -> Iterator[None]:
    real = catalog.load_workload("lstm").torch_model  # type: ignore[attr-defined]

    def trained(params: Any) -> Any:
        model = real(params)
        model.lstm.bias_hh_l0.requires_grad_(True)
        return model

    with mock.patch.object(WORKLOADS["lstm"][0], "torch_model", trained):
        yield


@contextmanager
def keras_values(
    change: Callable[[str, Any], Any], path_change: Callable[[str], str] = lambda path: path
) -> Iterator[None]:
    """Change weights on their way into Keras."""
    real = _weights.keras_values

    def values(path: str, shape: tuple[int, ...], weights: Any) -> Any:
        return change(path, real(path_change(path), shape, weights))

    with mock.patch.object(_weights, "keras_values", values):
        yield


def query_for_key(path: str) -> str:
    exchanged = {"query": "value", "value": "query"}
    return "/".join(exchanged.get(part, part) for part in path.split("/"))


@contextmanager
def optimizer(name: str, **arguments: Any) -> Iterator[None]:
    """Use both frameworks' optimiser of this name, with these settings, in place of SGD."""
    with (
        replaced("torch.optim", "SGD", lambda _: _torch_optimizer(name, arguments)),
        replaced("keras.optimizers", "SGD", lambda _: _keras_optimizer(name, arguments)),
    ):
        yield


def _momentum(name: str, momentum: float) -> dict[str, float]:
    return {"momentum": momentum} if name == "SGD" else {}


def _torch_optimizer(name: str, arguments: dict[str, Any]) -> Any:
    real = getattr(sys.modules["torch.optim"], name)
    return lambda p, lr, momentum, **_: real(p, lr=lr, **_momentum(name, momentum), **arguments)


def _keras_optimizer(name: str, arguments: dict[str, Any]) -> Any:
    real = getattr(sys.modules["keras.optimizers"], name)
    return lambda rate, momentum, global_clipnorm: real(rate, **_momentum(name, momentum), **arguments)


@contextmanager
def changing_rate() -> Iterator[None]:
    """Halve the learning rate after two steps: torch's momentum keeps gradients, and Keras' keeps steps."""
    real = ENGINE.step

    def step(self: Any, index: int) -> None:
        real(self, index)
        if index == 1 and hasattr(self._optimizer, "param_groups"):
            self._optimizer.param_groups[0]["lr"] /= 2
        elif index == 1:
            self._optimizer.learning_rate.assign(self._optimizer.learning_rate / 2)

    with mock.patch.object(ENGINE, "step", step):
        yield


def adamw(**arguments: Any) -> Any:
    """Give Keras' AdamW these settings."""
    return replaced("keras.optimizers", "AdamW", forced(**arguments))


def epsilon_as_torch_places_it() -> Any:
    """Leave torch's epsilon alone: torch adds it after the correction, and Keras before."""
    return mock.patch("stepmark.engines._torch_optimizers.KerasEpsilon.__call__", return_value=None)


@contextmanager
def without_bias_correction() -> Iterator[None]:
    """Let Keras' AdamW start at a step at which the correction is over."""
    real = _keras_parts.restart

    def restart(context: Any, optimizer: Any, learning_rate: float) -> None:
        real(context, optimizer, learning_rate)
        optimizer.iterations.assign(1_000_000)

    with mock.patch.object(_keras_parts, "restart", restart):
        yield


def coupled(real: Any) -> Any:
    """Return a maker of AdamW whose weight decay is L2: a part of the gradient, as Adam's is in torch."""

    class Adam(real):  # type: ignore[misc]
        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            super().update_step(gradient + self.weight_decay * variable, variable, learning_rate)

        def _apply_weight_decay(self, variables: Any) -> None:
            return None

    return Adam


def without_autocast() -> Any:
    """Never switch torch's mixed precision on."""
    return mock.patch.object(ENGINE, "_autocast", return_value=nullcontext())


def float32_policy() -> Any:
    """Never switch Keras' mixed precision on."""
    return mock.patch.dict("stepmark.engines._keras_parts._POLICIES", bfloat16="float32")


@contextmanager
def short_weights() -> Iterator[None]:
    """Keep the weights in bfloat16: round them when they are loaded, and after every step."""
    real_load, real_step = ENGINE.load_weights, ENGINE.step

    def load(self: Any, weights: Any) -> None:
        real_load(self, {name: rounded(values) for name, values in weights.items()})

    def step(self: Any, index: int) -> None:
        real_step(self, index)
        load(self, self.weights())

    with mock.patch.object(ENGINE, "load_weights", load), mock.patch.object(ENGINE, "step", step):
        yield


@contextmanager
def tf32_left_on() -> Iterator[None]:
    """torch's products as a GPU's tensor cores make them in TF32: inputs of 10 bits of mantissa, sums in float32."""
    functional = sys.modules["torch.nn.functional"]

    def ten_bits(tensor: Any) -> Any:
        import torch

        bits = tensor.detach().contiguous().view(torch.int32)
        short = ((bits + 0xFFF + ((bits >> 13) & 1)) & ~0x1FFF).view(torch.float32)
        return tensor + (short - tensor).detach()

    def product(real: Any) -> Any:
        return lambda inputs, weight, *more, **named: real(ten_bits(inputs), ten_bits(weight), *more, **named)

    def convolution(real: Any) -> Any:
        return lambda self, inputs, weight, bias: real(self, ten_bits(inputs), ten_bits(weight), bias)

    conv = sys.modules["torch.nn"].Conv2d
    with (
        mock.patch.object(functional, "linear", product(functional.linear)),
        mock.patch.object(conv, "_conv_forward", convolution(conv._conv_forward)),
    ):
        yield


def rounded(values: Any) -> Any:
    """Round to nearest, to bfloat16's mantissa."""
    bits = values.astype("float32").view("uint32")
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).view("float32")


MISTAKES: dict[str, tuple[str, Callable[[], Any]]] = {
    "bn-epsilon": ("resnet", lambda: layer("BatchNormalization", forced(epsilon=1e-3))),
    "same-padding": ("resnet", same_padding),
    "max-pool-same": ("resnet", lambda: same_pool("MaxPooling2D")),
    "kernel-axes": ("resnet", lambda: keras_values(lambda _, v: v.swapaxes(0, 1).copy() if v.ndim == 4 else v)),
    "average-pool-same": ("cnn", lambda: same_pool("AveragePooling2D")),
    "flatten-order": ("cnn", lambda: layer("Permute", nothing)),
    "lstm-second-bias": ("lstm", second_lstm_bias),
    "layer-norm-epsilon": ("transformer", lambda: layer("LayerNormalization", forced(epsilon=1e-3))),
    "gelu-form": ("transformer", lambda: replaced("keras.ops", "gelu", forced(approximate=True))),
    "attention-packing": ("transformer", lambda: keras_values(lambda _, v: v, query_for_key)),
    "no-causal-mask": (
        "gpt",
        lambda: layer("MultiHeadAttention", lambda real: lambda *a, **k: lambda q, v, **_: real(*a, **k)(q, v)),
    ),
    "dropout": (
        "mlp",
        lambda: layer("Activation", lambda real: lambda *a, **k: sys.modules["keras.layers"].Dropout(0.1)),
    ),
    "local-batch": (
        "mlp",
        lambda: replaced(
            "stepmark.engines._losses", "keras_sum", lambda real: lambda *given: lambda *a: 2 * real(*given)(*a)
        ),
    ),
    "nesterov": ("mlp", lambda: replaced("keras.optimizers", "SGD", forced(nesterov=True))),
    "weight-decay": ("mlp", lambda: optimizer("SGD", weight_decay=0.0625)),
    "adam-epsilon": ("lstm", lambda: optimizer("Adam")),
    "rate-change": ("mlp", changing_rate),
}
# Mistakes in AdamW, with which both sides train here.
ADAMW: dict[str, tuple[str, Callable[[], Any]]] = {
    "adamw-epsilon-of-keras": ("lstm", lambda: adamw(epsilon=1e-7)),
    "adamw-epsilon-of-torch": ("lstm", lambda: adamw(epsilon=1e-8)),
    "adamw-epsilon-as-torch-places-it": ("lstm", epsilon_as_torch_places_it),
    "adamw-no-bias-correction": ("mlp", without_bias_correction),
    "adamw-l2": ("mlp", lambda: replaced("keras.optimizers", "AdamW", coupled)),
    "adamw-decay-of-keras": ("mlp", lambda: adamw(weight_decay=0.004)),
    "adamw-first-beta": ("mlp", lambda: adamw(beta_1=0.9)),
    "adamw-second-beta": ("mlp", lambda: adamw(beta_2=0.95)),
}
# Mistakes in mixed precision, by framework: cells that are called bfloat16 and are not.
SHORT: dict[str, dict[str, tuple[str, Callable[[], Any]]]] = {
    "torch": {
        "bfloat16-no-autocast": ("mlp", without_autocast),
        "bfloat16-weights-mlp": ("mlp", short_weights),
        "bfloat16-weights-resnet": ("resnet", short_weights),
    },
    "keras-tensorflow": {"bfloat16-policy-float32": ("mlp", float32_policy)},
}
AS_WRITTEN = {f"{model}-as-written": (model, nullcontext) for model in WORKLOADS}
AS_WRITTEN |= {f"adamw-{model}-as-written": (model, nullcontext) for model in WORKLOADS}
AS_WRITTEN |= {f"bfloat16-{model}-as-written": (model, nullcontext) for model in WORKLOADS}
# What a cell on a GPU is compared with, and what its settings may do to it; played on CPU cores.
ON_GPUS = {f"float64-{model}-as-written": (model, nullcontext) for model in WORKLOADS}
TF32 = {f"tf32-{model}": (model, tf32_left_on) for model in ("mlp", "cnn", "resnet", "transformer", "gpt")}
PLANTS = MISTAKES | ADAMW | AS_WRITTEN | ON_GPUS | TF32 | SHORT["torch"] | SHORT["keras-tensorflow"]
ENGINE: Any = None


def run(folder: Path, name: str, plant: str) -> None:
    model, planted = PLANTS[plant]
    workload, given = WORKLOADS[model]
    params, execution = workload.parse(given), catalog.load_engine(name).SUPPORT.default_execution
    precision = next((name for name in ("bfloat16", "float64") if plant.startswith(name)), "float32")
    batches = _batches.global_batches(workload.input(params), "synthetic", 7, 8, _batches.BATCHES)
    chosen = "adamw" if plant.startswith("adamw") else "sgd"
    context = RankContext(0, 1, "single", None, execution, precision, (), 1, 7, 7, 0, 60, optimizer=chosen)  # type: ignore[arg-type]
    engine = ENGINE(context)
    with planted():
        engine.build(workload, params, batches, 0.0625)
        found = trace(
            engine,
            starting_weights=lambda shapes: workload.starting_weights(shapes, 7),
            mean_over_ranks=lambda loss: loss,
        )
    found.save(folder / f"{name}.{plant}.npz")


def main(folder: Path, name: str, plants: list[str]) -> None:
    global ENGINE
    module = catalog.load_engine(name)
    os.environ.update(module.SUPPORT.environment)
    resnet._STAGES[18] = (1, 1, 1)  # Its layers are those of the whole network; fewer of them are traced faster.
    module.import_framework()
    ENGINE = module.Engine
    for plant in plants:
        run(folder, name, plant)
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])

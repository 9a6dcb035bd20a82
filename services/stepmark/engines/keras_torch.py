"""Train Keras 3 on torch: the Keras model is a torch module, trained as in Keras' guide to PyTorch's DDP.

The optimiser and the loss are torch's, DDP wraps the model, and Keras' policy sets the precision.
"""

from functools import partial
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from stepmark.engines import (
    _departures,
    _keras_fit,
    _keras_input,
    _keras_layers,
    _keras_parts,
    _torch_collectives,
    _torch_support,
)
from stepmark.engines._feed import Feed, Source
from stepmark.engines._protocol import Weights
from stepmark.engines._support import OPTIMIZERS, Refusal, Strategy, Support
from stepmark.engines._torch_training import TorchTraining
from stepmark.workloads._batches import Batch
from stepmark.workloads._protocol import Workload

if TYPE_CHECKING:
    import torch

SUPPORT = Support(
    framework="keras",
    strategies={"single": Strategy(max_workers=1), "ddp": Strategy()},
    executions={
        "eager": None,
        "graph": "PyTorch has no traced level below torch.compile; use compiled",
        "compiled": None,
    },
    default_execution="eager",
    precisions={
        "float32": None,
        "tf32": None,
        "bfloat16": None,
        "float16": None,
        "float64": "Keras' torch backend multiplies float64 in float32 (its result_type of two float64 is float32)",
    },
    optimizers=OPTIMIZERS,
    options={
        **_torch_support.OPTIONS,  # The option channels-last is Keras' own layout.
        "py-dataset": None,
        "fit": None,
        "steps-per-execution": "Keras 3.15 refuses more than 1 on torch (keras-team/keras#23234)",
    },
    departures=(*_departures.TORCH, *_departures.KERAS, *_departures.KERAS_TORCH),
    refusals=(
        *_torch_support.REFUSALS,
        *_torch_collectives.REFUSALS,
        Refusal("only the strategy ddp exchanges gradients in buckets", ("single",), options=("bucket-view",)),
        *_keras_fit.REFUSALS,
    ),
    execution_needs={"compiled": ("c++",)},
    requires=("torch", "keras"),
    extra="torch",
    environment={"KERAS_BACKEND": "torch", **_torch_support.ENVIRONMENT},
    # Without it, Keras would look for a GPU when it is imported, and take one where a cell runs on CPU cores.
    device_environment={"cpu": {"KERAS_TORCH_DEVICE": "cpu"}, "gpu": {"KERAS_TORCH_DEVICE": "cuda"}},
    no_gpu=None,
)


def import_framework() -> None:
    with _keras_parts.hidden("sklearn", "pandas", "tensorflow", "jax"):
        import keras  # noqa: F401
    import torch
    import torch._dynamo
    import torch.distributed
    import torch.nn.parallel  # noqa: F401


class Engine(TorchTraining):
    """Train a Keras model on one rank."""

    _support = SUPPORT
    _images_last = True

    def _make_model(self, workload: Workload, params: Any) -> "torch.nn.Module":
        import keras

        with keras.device("cpu"):  # Its initialisers would draw other weights on a GPU.
            self._keras = _keras_parts.make_model(self._context, workload, params)
        return self._keras

    def _call(self, model: Any, inputs: "torch.Tensor") -> "torch.Tensor":
        outputs: torch.Tensor = model(inputs, training=True)
        return outputs

    def _on_host(self, batch: Batch) -> Batch:
        return _keras_parts.layout(self._context, self._workload, self._params, batch)

    def _make_feed(self, source: Source) -> Feed:
        if "py-dataset" not in self._context.options:
            return super()._make_feed(source)
        return _keras_input.converted(self._context, source, "torch.tensor", self._sent)

    def _channels_last(self) -> bool:
        return False  # This is torch's memory format, which is independent of Keras' layout.

    def layer_outputs(self, index: int) -> list[tuple[str, NDArray[Any]]]:
        forwards = [partial(self._logits, self._keras, inputs) for inputs, _ in self._parts(index)]
        return _keras_layers.recorded(self._keras, self._workload, forwards)

    def weights(self) -> Weights:
        return _keras_parts.weights(self._workload, self._keras.trainable_variables)

    def load_weights(self, weights: Weights) -> None:
        _keras_parts.load_weights(self._workload, self._keras.trainable_variables, weights)

    def first_moments(self) -> Weights | None:
        if self._context.optimizer == "sgd":
            return None
        variables = self._keras.trainable_variables
        moments = [self._first_moment(variable.value).cpu().numpy() for variable in variables]
        return _keras_parts.named(self._workload, variables, moments)

    def flags(self) -> dict[str, str]:
        return super().flags() | _keras_parts.flags(self._context)


class Fit(_keras_fit.TorchFit, Engine):
    """Train with Keras' own loop."""


class Collectives(_torch_collectives.TorchCollectives):
    """Exchange messages between ranks: Keras leaves it to torch.distributed."""

    _support = SUPPORT

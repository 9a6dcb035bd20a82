"""Define what the Keras engines share: precision, optimiser, loss, layouts and imports."""

import random
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stepmark.engines._device import matmul_side
from stepmark.engines._optimizers import ADAMW, MOMENTUM, described
from stepmark.engines._protocol import LOSS_SCALE, RankContext, Weights
from stepmark.engines._tf32_probe import tf32_probe
from stepmark.workloads._batches import Batch, in_float64
from stepmark.workloads._protocol import Workload

if TYPE_CHECKING:
    import keras

_POLICIES = {"bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}


@contextmanager
def hidden(*modules: str) -> Iterator[None]:
    """Make imports of these modules fail inside the `with` block, as if they were not installed.

    An entry of None in `sys.modules` does that. Keras imports what it finds: the other backends, and scikit-learn and
    pandas for wrappers and data adapters that no custom loop uses. They take most of its import time, and cost threads
    and memory in every launch.
    """
    absent = [name for name in modules if name not in sys.modules]
    for name in absent:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        for name in absent:
            sys.modules.pop(name, None)


def make_model(context: RankContext, workload: Workload, params: Any) -> "keras.Model":
    """Return the model in this rank's precision, with weights drawn from the seed.

    Keras' initialisers draw their seeds from Python's generator. The weights are the same on all ranks, which is needed
    because nothing is broadcast.
    """
    import keras

    random.seed(context.seed)
    keras.config.set_floatx("float64" if context.precision == "float64" else "float32")
    keras.config.set_dtype_policy(_POLICIES.get(context.precision, keras.config.floatx()))
    return workload.keras_model(params)  # type: ignore[attr-defined]


def optimizer(context: RankContext, learning_rate: float) -> Any:
    """Return Keras' own optimiser, with dynamic loss scaling where gradients are float16."""
    import keras

    clip = context.clip_global_norm
    if context.optimizer == "sgd":
        plain = keras.optimizers.SGD(learning_rate, momentum=MOMENTUM, global_clipnorm=clip)
    else:
        plain = keras.optimizers.AdamW(
            learning_rate,
            weight_decay=ADAMW.weight_decay,
            beta_1=ADAMW.beta1,
            beta_2=ADAMW.beta2,
            epsilon=ADAMW.epsilon,
            global_clipnorm=clip,
        )
    if context.precision != "float16":
        return plain
    return keras.optimizers.LossScaleOptimizer(plain, initial_scale=LOSS_SCALE, dynamic_growth_steps=2000)


def channels_last(images: NDArray[Any]) -> NDArray[Any]:
    """Return images in Keras' default layout: (batch, height, width, channels).

    The images given are (batch, channels, height, width).
    """
    return np.ascontiguousarray(images.transpose(0, 2, 3, 1))


def layout(context: RankContext, workload: Workload, params: Any, batch: Batch) -> Batch:
    """Return a batch in Keras' layout, with floats in float64 where that is the precision."""
    inputs, labels = batch
    if workload.input(params).kind == "image":
        inputs = channels_last(inputs)
    return in_float64((inputs, labels)) if context.precision == "float64" else (inputs, labels)


def matmul(context: RankContext) -> Callable[[], Any]:
    """Return a function that makes one product of square matrices of random normals in the precision of training.

    GPUs multiply constants faster than random numbers, since they take less power.
    """
    from keras import ops

    side = matmul_side(context.device.kind, context.precision)
    normals = np.random.default_rng(context.seed).standard_normal((side, side), dtype=np.float32)
    matrix = ops.cast(normals, context.precision.replace("tf32", "float32"))
    return lambda: ops.matmul(matrix, matrix)


def probe_tf32() -> str:
    """Return what `tf32_probe` finds on the backend's default device."""
    from keras import ops

    def product(left: Any, right: Any) -> NDArray[Any]:
        return ops.convert_to_numpy(ops.matmul(left, right))

    def convolution(images: Any, kernel: Any) -> NDArray[Any]:
        return ops.convert_to_numpy(ops.conv(images, kernel, padding="same", data_format="channels_last"))

    return tf32_probe(product, convolution)


def weights(workload: Workload, variables: Sequence[Any]) -> Weights:
    """Return copies of Keras variables, in the names and layouts that the workload's engines share."""
    from keras import ops

    return named(workload, variables, [ops.convert_to_numpy(v) for v in variables])


def named(workload: Workload, variables: Sequence[Any], values: Sequence[NDArray[Any]]) -> Weights:
    """Return one value of each Keras variable in the names and layouts that the workload's engines share."""
    return workload.common_weights([(v.path, value) for v, value in zip(variables, values, strict=True)])


def load_weights(workload: Workload, variables: Sequence[Any], values: Weights) -> None:
    """Set Keras variables from weights in the names and layouts that the workload's engines share."""
    found = workload.keras_values([(v.path, tuple(v.shape)) for v in variables], values)
    for variable, own in zip(variables, found, strict=True):
        variable.assign(own)


def first_moments(workload: Workload, variables: Sequence[Any], optimizer: Any) -> Weights:
    """Return copies of AdamW's running means of the gradients of these variables, in the order it was built with."""
    from keras import ops

    moments = [ops.convert_to_numpy(moment) for moment in _plain(optimizer)._momentums]
    return named(workload, variables, moments)


def _plain(optimizer: Any) -> Any:
    """Return the optimiser that a loss scale may be wrapped around."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def restart(context: RankContext, optimizer: Any, learning_rate: float) -> None:
    """Set the moments to zero, and the learning rate.

    SGD's count of steps goes on. AdamW corrects its moments by the count, which starts from zero with them.
    """
    from keras import ops

    plain = _plain(optimizer)
    for variable in plain.variables:
        if variable is not plain.iterations or context.optimizer == "adamw":
            variable.assign(np.zeros_like(ops.convert_to_numpy(variable)))
    plain.learning_rate = learning_rate


def flags(context: RankContext) -> dict[str, str]:
    """Return the settings that all backends have in common."""
    import keras

    return {
        "keras": keras.__version__,
        "device": context.device.torch_name,
        "memory_format": keras.config.image_data_format(),
        "loss_scale": f"dynamic from {LOSS_SCALE:g}" if context.precision == "float16" else "none",
        "optimizer": described(context.optimizer),
    }

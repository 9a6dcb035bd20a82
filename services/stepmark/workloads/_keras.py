"""Define what the Keras builders share. They use only keras.layers and keras.ops, which run on all backends."""

from typing import TYPE_CHECKING, Any

from stepmark.errors import ModelRefused
from stepmark.workloads._inspect import refuse_random
from stepmark.workloads._protocol import InputSpec

if TYPE_CHECKING:
    import keras

# Attributes that hold the rate of Keras' Dropout layers and DropPath, its recurrent cells, its attention, its
# GaussianNoise, and StochasticDepth as people write it.
_RATES = ("rate", "dropout", "recurrent_dropout", "stddev", "dropout_rate", "drop_rate", "drop_prob", "drop_path_rate")


def named(torch_name: str) -> str:
    """Return a layer's name, made from the name of the torch module that it mirrors (see _weights.py)."""
    return torch_name.replace(".", "-")


def logits(x: Any) -> Any:
    """Return the last layer's output as the loss takes it: in float32 under mixed precision, as torch's autocast does.

    Only the cast is in float32. A last layer that multiplied in float32 would do more work than torch's.
    """
    import keras

    precision = "float64" if keras.config.dtype_policy().name == "float64" else "float32"
    return keras.layers.Activation("linear", dtype=precision, name="logits")(x)


def positions(length: int, width: int, name: str) -> "keras.layers.Layer":
    """Return a layer that adds a learned vector to each position of a sequence of at most this length."""
    import keras

    class PositionEmbedding(keras.layers.Layer):  # type: ignore[misc]
        def build(self, shape: Any) -> None:
            self.lengths_vary = shape[1] is None
            self.embeddings = self.add_weight(shape=(length, width), initializer="uniform", name="embeddings")

        def call(self, x: Any) -> Any:
            return x + (self.embeddings[: keras.ops.shape(x)[1]] if self.lengths_vary else self.embeddings)

        def compute_output_spec(self, x: Any) -> Any:  # Keras would otherwise try lengths that are too long.
            return keras.KerasTensor(x.shape, self.compute_dtype)

    return PositionEmbedding(name=name)


def own_model(model: Any, spec: InputSpec) -> "keras.Model":
    """Return a user's model with one input as the engines feed it, and with logits as the loss takes them.

    Raises:
        ModelRefused: its layers are random in training, or its output is not what the sample's description promises.
    """
    import keras

    shape = (*spec.shape[1:], spec.shape[0]) if spec.kind == "image" else spec.shape
    inputs = keras.Input(shape, dtype=None if spec.vocabulary is None else "int32")
    outputs = model(inputs)
    refuse_random(_random_layers(model))
    if getattr(outputs, "shape", (None,))[1:] != spec.output:
        found = getattr(outputs, "shape", type(outputs).__name__)
        raise ModelRefused(
            f"expected one output of (batch, {_joined(spec.output)}), found {found}. Change the builder."
        )
    return keras.Model(inputs, logits(outputs))


def _random_layers(model: Any) -> list[str]:
    """Return the names of the layers that are random in training; inside another layer, as 'OUTER/INNER'."""
    names = [model.name] if _is_random(model) else []
    for outer in model._flatten_layers(recursive=False, include_self=False):
        random = [inner for inner in outer._flatten_layers() if _is_random(inner)]
        names += [inner.name if inner is outer else f"{outer.name}/{inner.name}" for inner in random]
    return list(dict.fromkeys(names))


def _is_random(layer: Any) -> bool:
    """Return whether the layer draws random numbers in training: it has a generator, and no rates that are all 0.

    Recurrent cells always have a generator. A layer with a generator and no rate, as RandomFlip, always draws.
    """
    if not getattr(layer, "_seed_generators", None):
        return False
    rates = [rate for name in _RATES if (rate := getattr(layer, name, None)) is not None]
    return not rates or any(rate != 0 for rate in rates)


def _joined(shape: tuple[int, ...]) -> str:
    return ", ".join(map(str, shape))


def depthwise_kernels(model: Any) -> frozenset[str]:
    """Return the paths of kernels whose axes are height, width, channels, and multiples of each channel."""
    layers = [layer for layer in model._flatten_layers() if type(layer).__name__ == "DepthwiseConv2D"]
    return frozenset(layer.kernel.path for layer in layers)

"""Define what the Keras builders share. They use only keras.layers and keras.ops, which run on all backends."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras


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
    """Return a layer that adds a learned vector to each position."""
    import keras

    class PositionEmbedding(keras.layers.Layer):  # type: ignore[misc]
        def build(self, _: Any) -> None:
            self.embeddings = self.add_weight(shape=(length, width), initializer="uniform", name="embeddings")

        def call(self, x: Any) -> Any:
            return x + self.embeddings

    return PositionEmbedding(name=name)

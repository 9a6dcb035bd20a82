"""Put Keras 2 (the package tf_keras) where stepmark's engines and the builders of models look for Keras 3.

After `install`, `import keras` gives Keras 2 in this process: the same builder makes the model in either. Keras 2 gets
the few names of Keras 3 that stepmark's own code uses. Whatever else of Keras 3 it lacks stays missing.
"""

import sys
from types import ModuleType
from typing import Any

import numpy as np


class _Keras(ModuleType):
    """Hold names of Keras 3, and find all others in a module of Keras 2."""

    def __init__(self, name: str, old: ModuleType | None = None, **added: Any) -> None:
        super().__init__(name)
        self.__dict__.update(added)
        self._old = old

    def __getattr__(self, name: str) -> Any:
        if self._old is not None and not name.startswith("__") and hasattr(self._old, name):
            return getattr(self._old, name)
        raise AttributeError(f"Keras 2, which the engine tf-keras trains, has no {self.__name__}.{name}")


def install() -> None:
    """Let `keras` be Keras 2 in this process, which must have imported it, and no Keras 3. It starts no operation."""
    import tf_keras

    public = [name for name in sys.modules if name.startswith("tf_keras.") and not name.startswith("tf_keras.src")]
    sys.modules.update({name.removeprefix("tf_"): sys.modules[name] for name in public})
    parts = {"config": _config(), "layers": _layers(), "ops": _ops(), "optimizers": _optimizers()}
    sys.modules.update({part.__name__: part for part in parts.values()})
    # An import that finds no such name shows this file.
    sys.modules["keras"] = _Keras(
        "keras", tf_keras, __version__=tf_keras.__version__, __file__=tf_keras.__file__, **parts
    )
    _name_attributes()


def _config() -> ModuleType:
    from tf_keras import backend, mixed_precision

    return _Keras(
        "keras.config",
        floatx=backend.floatx,
        set_floatx=backend.set_floatx,
        image_data_format=backend.image_data_format,
        dtype_policy=mixed_precision.global_policy,
        set_dtype_policy=mixed_precision.set_global_policy,
    )


def _optimizers() -> ModuleType:
    from tf_keras import mixed_precision, optimizers

    return _Keras("keras.optimizers", optimizers, LossScaleOptimizer=mixed_precision.LossScaleOptimizer)


def _layers() -> ModuleType:
    import tensorflow as tf
    from tf_keras import layers

    class ReversibleEmbedding(layers.Embedding):  # type: ignore[misc]
        """Embed tokens, or return the product of vectors with the same matrix, as KerasNLP's layer for Keras 2 did."""

        def call(self, inputs: Any, reverse: bool = False) -> Any:
            if not reverse:
                return super().call(inputs)
            return tf.matmul(inputs, tf.cast(self.embeddings, self.compute_dtype), transpose_b=True)

    class DepthwiseConv2D(layers.DepthwiseConv2D):  # type: ignore[misc]
        """Call the kernel as Keras 3 does."""

        @property
        def kernel(self) -> Any:
            return self.depthwise_kernel

        def add_weight(self, name: str, **given: Any) -> Any:
            return super().add_weight(name=name.removeprefix("depthwise_"), **given)

    return _Keras("keras.layers", layers, ReversibleEmbedding=ReversibleEmbedding, DepthwiseConv2D=DepthwiseConv2D)


def _ops() -> ModuleType:
    """Return the operations that stepmark's engines and models call; Keras 2 leaves them to TensorFlow."""
    import tensorflow as tf
    from tf_keras import activations, backend

    def convert_to_numpy(value: Any) -> Any:
        return np.array(value.numpy() if hasattr(value, "numpy") else value)

    def conv(images: Any, kernel: Any, padding: str, data_format: str) -> Any:
        return backend.conv2d(images, kernel, padding=padding, data_format=data_format)

    return _Keras(
        "keras.ops",
        convert_to_numpy=convert_to_numpy,
        cast=tf.cast,
        shape=tf.shape,
        not_equal=tf.not_equal,
        matmul=tf.matmul,
        conv=conv,
        sum=tf.reduce_sum,
        square=tf.square,
        gelu=activations.gelu,
        binary_crossentropy=backend.binary_crossentropy,
    )


def _name_attributes() -> None:
    """Give variables and layers of Keras 2 the attributes of Keras 3 that stepmark reads."""
    import tensorflow as tf
    from tf_keras import layers

    tf.Variable.path = property(lambda variable: variable.name.removesuffix(":0"))
    layers.Layer._trainable_variables = property(lambda layer: layer._trainable_weights)
    layers.LSTM.supports_jit = property(lambda layer: not layer._could_use_gpu_kernel)

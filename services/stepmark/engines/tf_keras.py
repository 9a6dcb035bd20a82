"""Train Keras 2, the package tf_keras, on TensorFlow: with the strategies and the loop of `keras-tensorflow`.

It is what TensorFlow's users have had as `tf.keras` until 2.15, and still get with TF_USE_LEGACY_KERAS. `_keras_2.py`
puts it where builders import Keras from, so they make the same model in it.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from stepmark.engines import _departures, _keras_2, _keras_parts, _tensorflow_collectives, keras_tensorflow
from stepmark.engines._protocol import LOSS_SCALE

if TYPE_CHECKING:
    import tensorflow as tf

_NO_FIT = "stepmark calls fit of Keras 3 only; take the engine keras-tensorflow"
SUPPORT = replace(
    keras_tensorflow.SUPPORT,
    options={
        **keras_tensorflow.SUPPORT.options,
        "py-dataset": "keras.utils.PyDataset is Keras 3's, which this engine does not load; use tf-data",
        "fit": _NO_FIT,
        "steps-per-execution": _NO_FIT,
    },
    departures=(*_departures.KERAS_2, *_departures.KERAS_ADAMW, *_departures.TENSORFLOW),
    # Keras 2 clips gradients after their sum over the replicas, and Keras 3 before.
    refusals=tuple(one for one in keras_tensorflow.SUPPORT.refusals if not one.clipping),
    requires=("tensorflow", "tf_keras"),
    extra="tf-keras",
    environment={"TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "2", "GRPC_VERBOSITY": "ERROR"},
)


def import_framework() -> None:
    with _keras_parts.hidden("sklearn", "pandas", "torch", "jax", "keras"):
        import tensorflow  # noqa: F401
        import tf_keras  # noqa: F401
    _keras_2.install()


class Engine(keras_tensorflow.Engine):
    """Train a model of Keras 2 on one rank."""

    _support = SUPPORT

    def _held(self, variable: Any) -> Any:
        return variable  # It is TensorFlow's own.

    def _scaled(self, loss: "tf.Tensor") -> "tf.Tensor":
        return self._optimizer.get_scaled_loss(loss) if self._context.precision == "float16" else loss

    def _apply(self, *gradients: "tf.Tensor") -> None:
        if self._context.precision == "float16":
            gradients = self._optimizer.get_unscaled_gradients(gradients)
        super()._apply(*gradients)

    def _restart_scale(self) -> None:
        self._optimizer.dynamic_counter.assign(0)
        self._optimizer._loss_scale.current_loss_scale.assign(LOSS_SCALE)


class Collectives(_tensorflow_collectives.TensorFlowCollectives, Engine):
    """Exchange messages between ranks, with the strategy that trains."""

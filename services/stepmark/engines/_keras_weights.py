"""Read and set a Keras model's weights and its optimiser's memory, where Keras' own optimiser trains."""

from typing import Any

from stepmark.engines import _keras_parts
from stepmark.engines._protocol import LOSS_SCALE, RankContext, Weights
from stepmark.workloads._protocol import Workload


class KerasWeights:
    """Give an engine its weights and what its optimiser keeps. An engine that keeps them elsewhere copies them."""

    _context: RankContext
    _workload: Workload
    _model: Any
    _optimizer: Any

    def _read_state(self) -> None:
        """Take what Keras' variables hold."""

    def _write_state(self) -> None:
        """Give Keras' variables what was trained."""

    def _restart_scale(self) -> None:
        """Set the dynamic loss scale to its start."""
        self._optimizer.step_counter.assign(0)
        self._optimizer.dynamic_scale.assign(LOSS_SCALE)

    def weights(self) -> Weights:
        self._write_state()
        return _keras_parts.weights(self._workload, self._model.trainable_variables)

    def load_weights(self, weights: Weights) -> None:
        self._write_state()
        _keras_parts.load_weights(self._workload, self._model.trainable_variables, weights)
        self._read_state()

    def restart(self, weights: Weights, learning_rate: float) -> None:
        self.load_weights(weights)
        _keras_parts.restart(self._context, self._optimizer, learning_rate)
        if self._context.precision == "float16":
            self._restart_scale()
        self._read_state()

    def first_moments(self) -> Weights | None:
        if self._context.optimizer == "sgd":
            return None
        self._write_state()
        return _keras_parts.first_moments(self._workload, self._model.trainable_variables, self._optimizer)

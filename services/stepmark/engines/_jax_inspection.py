"""Look into a Keras model on JAX: its layers' outputs, its operations, and its compilations."""

from collections.abc import Callable
from functools import partial
from typing import Any

from numpy.typing import NDArray

from stepmark.engines import _keras_layers
from stepmark.engines._protocol import Operations, Recompilations
from stepmark.workloads._protocol import Workload

SOURCE = "XLA's cost analysis, which also counts elementwise operations"


class JaxInspection:
    """Give the engine its layers' outputs, its operations and its compilations."""

    _model: Any
    _workload: Workload
    _own_state: Callable[[], Any]
    _own: Callable[[Any], Any]
    _parts: Callable[[int], Any]
    _logits_of: Callable[[Any, Any], Any]
    _gradients_of: Callable[..., Any]
    _jitted: list[Any]
    _step: Any

    def layer_outputs(self, index: int) -> list[tuple[str, NDArray[Any]]]:
        state, parts = self._own_state(), self._own(self._parts(index))
        forwards = [partial(self._logits_of, state, inputs) for inputs, _ in parts]
        return _keras_layers.recorded(self._model, self._workload, forwards)

    def operations(self) -> Operations | None:
        state, parts = self._own_state(), self._own(self._parts(0))[:1]
        return counted(self._gradients_of, (state, parts), len(parts[0][0]))

    def compilations(self) -> int | None:
        return sum(function._cache_size() for function in self._jitted) if self._jitted else None

    def recompilations(self) -> Recompilations | None:
        return Recompilations(recompiles=max(self._step._cache_size() - 1, 0)) if self._jitted else None


def counted(gradients_of: Callable[..., Any], arguments: tuple[Any, ...], samples: int) -> Operations | None:
    """Return the operations of forward and backward per sample, or None where XLA does not see all of them.

    Its analysis runs and compiles nothing. It counts the body of a loop once, and nothing of what a library computes.
    """
    import jax

    lowered = jax.jit(gradients_of).lower(*arguments)
    text = lowered.as_text()
    if "stablehlo.while" in text or "stablehlo.custom_call" in text:
        return None
    found: Any = lowered.cost_analysis()
    flops = None if found is None else found.get("flops")
    return Operations(int(flops) // samples, SOURCE) if flops else None

"""Record what goes into the layers of a Keras model and what comes out of them, on any backend."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stepmark.engines._calls import Calls
from stepmark.workloads._protocol import Workload


def recorded(model: Any, workload: Workload, forwards: Iterable[Callable[[], Any]]) -> list[tuple[str, NDArray[Any]]]:
    """Return inputs and outputs of each layer that has weights, in the order of calls.

    `forwards` has one function for each micro-batch, which calls the model once and must not trace or compile. Layers
    have the names that all engines share: that of their first weight, less its last part.
    """
    calls = Calls()
    layers = [(layer, layer.call) for layer in _with_weights(model)]
    for layer, call in layers:
        layer.call = _watched(call, _name(layer, workload), calls)
    try:
        for forward in forwards:
            calls.begin_part()
            forward()
    finally:
        for layer, call in layers:
            layer.call = call
    return list(calls)


def _with_weights(model: Any) -> list[Any]:
    """Return the layers with weights of their own, and recurrent layers for their cells.

    A cell is called once for each position, by a loop that JAX traces.
    """
    from keras import layers

    found = list(model._flatten_layers())
    recurrent = [layer for layer in found if isinstance(layer, layers.RNN)]
    cells = {id(inner) for layer in recurrent for inner in layer.cell._flatten_layers()}
    return [layer for layer in found if id(layer) not in cells and _own_weights(layer)]


def _own_weights(layer: Any) -> Any:
    """Return the variables that the layer itself has, or those of a recurrent layer's cell."""
    from keras import layers

    own = layer._trainable_variables
    return layer.trainable_variables if not own and isinstance(layer, layers.RNN) else own


def _name(layer: Any, workload: Workload) -> str:
    first = _own_weights(layer)[0]
    [shared] = workload.common_weights([(first.path, np.zeros(first.shape, np.float32))])
    end = max(shared.rfind("."), shared.rfind("/"))
    return shared[:end] if end > 0 else shared


def _watched(call: Callable[..., Any], name: str, calls: Calls) -> Callable[..., Any]:
    def watched(*args: Any, **kwargs: Any) -> Any:
        output = call(*args, **kwargs)
        calls.add(name, _array(args[0] if args else None), _array(output))
        return output

    return watched


def _array(value: Any) -> NDArray[Any] | None:
    """Return the values; None of what is no array, or has no values yet: TimeDistributed has its layer traced."""
    from keras import ops

    if not hasattr(value, "shape"):
        return None
    try:
        return np.array(ops.convert_to_numpy(ops.cast(value, "float32")))
    except (TypeError, RuntimeError):  # These are what JAX, and what torch and TensorFlow raise.
        return None

"""Record what goes into the layers of a Keras model and what comes out of them, on any backend."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stepmark.engines._protocol import interleaved
from stepmark.workloads._protocol import Workload


def recorded(model: Any, workload: Workload, run: Callable[[], Any]) -> list[tuple[str, NDArray[Any]]]:
    """Return inputs and outputs of each layer that has weights, in the order of calls, while `run` is called.

    `run` must not trace or compile. Layers have the names that all engines share: that of their first weight, less its
    last part.
    """
    calls: dict[str, list[NDArray[Any]]] = {}
    layers = [(layer, layer.call) for layer in model._flatten_layers() if layer._trainable_variables]
    for layer, call in layers:
        layer.call = _watched(call, _name(layer, workload), calls)
    try:
        run()
    finally:
        for layer, call in layers:
            layer.call = call
    return [(name, interleaved(parts)) for name, parts in calls.items()]


def _name(layer: Any, workload: Workload) -> str:
    first = layer._trainable_variables[0]
    [shared] = workload.common_weights([(first.path, np.zeros(first.shape, np.float32))])
    end = max(shared.rfind("."), shared.rfind("/"))
    return shared[:end] if end > 0 else shared


def _watched(call: Callable[..., Any], name: str, calls: dict[str, list[NDArray[Any]]]) -> Callable[..., Any]:
    from keras import ops

    def keep(side: str, value: Any) -> None:
        if hasattr(value, "shape"):
            array = ops.convert_to_numpy(ops.cast(value, "float32"))
            calls.setdefault(f"{name}/{side}", []).append(np.array(array))

    def watched(*args: Any, **kwargs: Any) -> Any:
        output = call(*args, **kwargs)
        keep("input", args[0] if args else None)
        keep("output", output)
        return output

    return watched

"""Train every workload on PyTorch's `meta` device in place of a GPU. Run as a script, once for each engine.

`meta` has shapes and no values, and another device than the CPU: a tensor that was left on the CPU meets one that was
not. python on_meta.py ENGINE prints, for each job, what is wrong or an empty text: first as the engine is, then with
each of MISTAKES planted.
"""

import json
import os
import sys
import warnings
from dataclasses import replace
from typing import Any

os.environ["KERAS_TORCH_DEVICE"] = "meta"

from small_models import SMALL

from stepmark import catalog
from stepmark.engines import _torch_device
from stepmark.engines._device import GPU
from stepmark.engines._protocol import RankContext
from stepmark.workloads import _batches

CHANGES: dict[str, dict[str, Any]] = {
    "float32": {},
    "bfloat16": {"precision": "bfloat16"},
    "float16": {"precision": "float16"},
    "fed": {"feed_each_step": True},
    "accumulated": {"accumulate": 2, "clip_global_norm": 0.1},
    "channels-last": {"options": ("channels-last",)},
}
MISTAKES = ("model-not-moved", "batches-not-moved")
CONTEXT = RankContext(0, 1, "single", None, "eager", "float32", (), 1, 7, 7, 0, 60, device=GPU)


class Meta(_torch_device.Cuda):
    """The device of a GPU's rank, without a GPU."""

    def __init__(self, context: RankContext) -> None:
        super().__init__(context)
        self.name = "meta"

    def start(self, support: Any) -> None:
        self.configure()

    def step_events(self) -> None:  # type: ignore[override]
        return None

    def _pinned(self, tensor: Any) -> Any:
        return tensor


def engine_on_meta(module: Any, mistake: str) -> Any:
    class OnMeta(module.Engine):  # type: ignore[misc]
        _devices = {"gpu": Meta}

        def _make_model(self, *given: Any) -> Any:
            model = super()._make_model(*given)
            self.made_on = {parameter.device.type for parameter in model.parameters()}
            if mistake == "model-not-moved":
                model.to = lambda *_, **__: model
            return model

        def _kept(self, batch: Any) -> Any:
            return self._place(batch) if mistake == "batches-not-moved" else super()._kept(batch)

        def _make_feed(self, source: Any) -> Any:
            if mistake == "batches-not-moved":
                self._device.send = lambda tensors: tensors
            return super()._make_feed(source)

    return OnMeta


def strict() -> Any:
    """Inside, an operation with a tensor that is elsewhere is an error, except the copy that moves it."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    class OnlyMeta(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = func(*args, **(kwargs or {}))
            for one in tree_leaves((args, kwargs, result)):
                if isinstance(one, torch.Tensor) and not one.is_meta and func is not torch.ops.aten._to_copy.default:
                    raise RuntimeError(f"{func} has a tensor of shape {tuple(one.shape)} on {one.device}")
            return result

    return OnlyMeta()


def left_behind(engine: Any) -> list[str]:
    """What training keeps that is not on the device."""
    kept = {f"weight {index}": one for index, one in enumerate(engine._trained)}
    kept |= {f"gradient {index}": one.grad for index, one in enumerate(engine._trained)}
    kept |= {f"buffer {name}": one for name, one in engine._plain.named_buffers()}
    kept |= {f"loss {index}": one for index, one in enumerate(engine._losses)}
    kept |= {f"momentum {i}": state["momentum_buffer"] for i, state in enumerate(engine._optimizer.state.values())}
    return [f"{name} is not on the device" for name, one in kept.items() if one is None or not one.is_meta]


def problem(engine: Any, workload: Any, params: Any) -> str:
    try:
        engine.join_group()
        engine.build(workload, params, _batches.global_batches(workload.input(params), "synthetic", 7, 8, 2), 0.0625)
        with strict():
            engine.step(0)
            engine.step_without_reduce(1)
            for call in engine.parts().values():
                call(0)
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:300]
    # The CPU's random numbers make the weights, so that they do not depend on the device.
    made = [] if engine.made_on == {"cpu"} else [f"the model was made on {engine.made_on}"]
    return ", ".join(made + left_behind(engine))


def main(name: str) -> None:
    module: Any = catalog.load_engine(name)
    os.environ.update(module.SUPPORT.environment)
    module.import_framework()
    import torch

    warnings.simplefilter("ignore")  # Autocast and the loss scale warn that there is no CUDA, and do nothing.
    torch.__future__.set_swap_module_params_on_conversion(True)  # A move to CUDA keeps the parameter; so does this.
    if name == "keras-torch":
        from keras.src.backend.torch import core

        core.DEFAULT_DEVICE = torch.device("meta")  # Keras compares it with the devices of tensors.
    jobs = [("none", model, change) for model in SMALL for change in CHANGES]
    jobs += [(mistake, model, change) for mistake in MISTAKES for model in SMALL for change in ("float32", "fed")]
    for mistake, model, change in jobs:
        workload = catalog.load_workload(model)
        engine = engine_on_meta(module, mistake)(replace(CONTEXT, **CHANGES[change]))
        found = problem(engine, workload, workload.parse(SMALL[model]))
        print(json.dumps({"mistake": mistake, "job": f"{model} {change}", "problem": found}))


if __name__ == "__main__":
    main(*sys.argv[1:])

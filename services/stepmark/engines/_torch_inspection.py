"""Look into a torch model: its layers' outputs, its operations, and the weights that it shares."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from stepmark.engines._calls import Calls
from stepmark.engines._protocol import Operations, RankContext, interleaved
from stepmark.engines._torch_strategies import Single
from stepmark.errors import ModelRefused
from stepmark.workloads._inspect import shared_weights

if TYPE_CHECKING:
    import torch

SOURCE = "torch's FlopCounterMode"
# Operations with matrix products inside that the counter does not look into.
_NOT_COUNTED = {"mkldnn_rnn_layer", "_cudnn_rnn", "miopen_rnn"}


class TorchInspection:
    """Give a torch engine its logits, its layers' outputs and its operations."""

    _context: RankContext
    _strategy: Single
    _model: "torch.nn.Module"
    _plain: "torch.nn.Module"
    _trained: "list[torch.nn.Parameter]"
    _mean_loss: Callable[[Any, Any], "torch.Tensor"]
    _call: Callable[[Any, Any], "torch.Tensor"]
    _parts: Callable[[int], Iterator[Any]]
    _autocast: Callable[[], AbstractContextManager[Any]]

    def forward(self, index: int) -> NDArray[Any]:
        return interleaved([self._logits(self._model, inputs) for inputs, _ in self._parts(index)])

    def _logits(self, model: "torch.nn.Module", inputs: Any) -> NDArray[Any]:
        """Return the logits of one micro-batch."""
        import torch

        with torch.no_grad(), self._autocast():
            outputs = one_tensor(self._call(model, inputs))
        logits: NDArray[Any] = outputs.to(torch.float64).cpu().numpy()
        return logits

    def layer_outputs(self, index: int) -> list[tuple[str, NDArray[Any]]]:
        return recorded(self._plain, [partial(self._logits, self._plain, inputs) for inputs, _ in self._parts(index)])

    def operations(self) -> Operations | None:
        if not self._strategy.has_whole_weights:
            return None
        [(inputs, labels), *_] = self._parts(0)
        with self._autocast():
            return counted(lambda: self._mean_loss(self._call(self._plain, inputs), labels), self._trained, len(inputs))


def one_tensor(outputs: Any) -> "torch.Tensor":
    """Return the model's outputs.

    Raises:
        ModelRefused: they are not one tensor.
    """
    import torch

    if isinstance(outputs, torch.Tensor):
        return outputs
    raise ModelRefused(
        f"expected the model to return one tensor of logits, found {type(outputs).__name__}. "
        "Override `torch_outputs(model, inputs)` to return its logits."
    )


def recorded(model: "torch.nn.Module", forwards: Iterable[Callable[[], Any]]) -> list[tuple[str, NDArray[Any]]]:
    """Return inputs and outputs of each module that has weights, in the order of calls.

    `forwards` has one function for each micro-batch, which calls the model once. Modules have the name of their first
    weight, less its last part; a weight that is used twice has the name of the module that had it first.
    """
    calls = Calls()

    def hook(name: str) -> Callable[..., None]:
        return lambda _, inputs, output: calls.add(name, _array(inputs[0] if inputs else None), _array(output))

    names = {id(weight): name for name, weight in model.named_parameters()}
    handles = [
        module.register_forward_hook(hook(names[id(first)].rpartition(".")[0]))
        for module in model.modules()
        if (first := next(module.parameters(recurse=False), None)) is not None
    ]
    try:
        for forward in forwards:
            calls.begin_part()
            forward()
    finally:
        for handle in handles:
            handle.remove()
    return list(calls)


def _array(value: Any) -> NDArray[Any] | None:
    import torch

    return value.detach().to(torch.float32).cpu().numpy().copy() if isinstance(value, torch.Tensor) else None


def counted(
    loss_of_model: Callable[[], "torch.Tensor"], trained: "list[torch.nn.Parameter]", samples: int
) -> Operations | None:
    """Return the operations of forward and backward, or None where the counter does not know all of them.

    Gradients are not accumulated, so that no hook of DDP is called.
    """
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils.flop_counter import FlopCounterMode

    unknown: set[str] = set()

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            namespace, _, name = func.name().partition("::")
            if namespace not in ("aten", "prim", "prims", "profiler") or name.partition(".")[0] in _NOT_COUNTED:
                unknown.add(func.name())
            return func(*args, **(kwargs or {}))

    with Watch(), FlopCounterMode(display=False) as counter:
        torch.autograd.grad(loss_of_model(), trained, allow_unused=True)
    total = int(counter.get_total_flops())
    return Operations(total // samples, SOURCE) if total and not unknown else None


def shared(model: "torch.nn.Module") -> dict[str, str]:
    """Return the flag that names weights which are used twice; empty where there are none."""
    found = shared_weights(model)
    return {"shared_weights": ", ".join(found)[:200]} if found else {}

"""Train with PyTorch: `single`, `ddp` (DistributedDataParallel) or `fsdp` (FSDP2), eager or compiled.

Gradients travel by gloo on CPU cores and by NCCL on GPUs. The level `compiled` uses torch.compile.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from stepmark.engines import _departures, _torch_checks, _torch_collectives, _torch_support
from stepmark.engines._protocol import Weights
from stepmark.engines._support import OPTIMIZERS, Refusal, Strategy, Support
from stepmark.engines._torch_training import TorchTraining, load_into
from stepmark.workloads._protocol import Workload

if TYPE_CHECKING:
    import torch

_NO_FIT = "PyTorch has no training loop of its own: its users write the one that is timed"
SUPPORT = Support(
    framework="torch",
    strategies={"single": Strategy(max_workers=1), "ddp": Strategy(), "fsdp": Strategy()},
    executions={
        "eager": None,
        "graph": "PyTorch has no traced level below torch.compile (TorchScript is deprecated); use compiled",
        "compiled": None,
    },
    default_execution="eager",
    precisions={"float32": None, "tf32": None, "bfloat16": None, "float16": None, "float64": None},
    optimizers=OPTIMIZERS,
    options=_torch_support.OPTIONS | dict.fromkeys(("fit", "steps-per-execution"), _NO_FIT),
    departures=(*_departures.TORCH, *_departures.FSDP),
    refusals=(
        *_torch_support.REFUSALS,
        *_torch_collectives.REFUSALS,
        Refusal("only the strategy ddp exchanges gradients in buckets", ("single", "fsdp"), options=("bucket-view",)),
        Refusal("cuda-graphs: FSDP frees and gathers weights in every step", ("fsdp",), options=("cuda-graphs",)),
        Refusal("torch.amp.GradScaler does not support FSDP; use bfloat16", ("fsdp",), precisions=("float16",)),
    ),
    execution_needs={"compiled": ("c++",)},
    requires=("torch",),
    extra="torch",
    environment=_torch_support.ENVIRONMENT,
    no_gpu=None,
)

_AUTOCAST = ("bfloat16", "float16")


def import_framework() -> None:
    """Import torch with `torch._dynamo`, which the first optimiser step would otherwise import, at 3 s per launch."""
    import torch
    import torch._dynamo
    import torch.distributed
    import torch.distributed.fsdp
    import torch.nn.parallel  # noqa: F401


class Engine(TorchTraining):
    """Train on one rank, as a PyTorch user writes it."""

    _support = SUPPORT

    def _make_model(self, workload: Workload, params: Any) -> "torch.nn.Module":
        model: torch.nn.Module = workload.torch_model(params)  # type: ignore[attr-defined]
        return model.double() if self._context.precision == "float64" else model

    def _autocast(self) -> AbstractContextManager[Any]:
        import torch

        if self._context.precision not in _AUTOCAST or self._strategy.casts():
            return nullcontext()
        return torch.autocast(self._device.kind, dtype=getattr(torch, self._context.precision))

    def weights(self) -> Weights:
        return self._named(lambda parameter: parameter.detach())

    def first_moments(self) -> Weights | None:
        return None if self._context.optimizer == "sgd" else self._named(self._first_moment)

    def _named(self, tensor_of: "Callable[[torch.nn.Parameter], torch.Tensor]") -> Weights:
        """Return a copy of a tensor for each trained parameter. All ranks must call this together."""
        from torch.distributed.tensor import DTensor

        named = {name: tensor_of(p) for name, p in self._plain.named_parameters() if p.requires_grad}
        whole = {name: p.full_tensor() if isinstance(p, DTensor) else p for name, p in named.items()}
        return {name: tensor.cpu().numpy().copy() for name, tensor in whole.items()}

    def load_weights(self, weights: Weights) -> None:
        own = dict(self._plain.named_parameters())
        for name, values in weights.items():
            load_into(own[name], values)


class Collectives(_torch_collectives.TorchCollectives):
    """Exchange messages between ranks."""

    _support = SUPPORT


class Checks(_torch_checks.TorchChecks):
    """Run the tasks of a cluster check."""

    _support = SUPPORT

"""PyTorch: `single`, `ddp` (DistributedDataParallel) and `fsdp` (FSDP2) over gloo, eager or with torch.compile."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from stepmark.engines._protocol import NVIDIA_ONLY, Departure, PartName, Refusal, Strategy, Support, Weights
from stepmark.engines._torch_training import DEPARTURES, TorchTraining, load_into
from stepmark.workloads._protocol import Workload

if TYPE_CHECKING:
    import torch

SUPPORT = Support(
    framework="torch",
    strategies={"single": Strategy(max_workers=1), "ddp": Strategy(), "fsdp": Strategy()},
    executions={
        "eager": None,
        "graph": "PyTorch has no traced level below torch.compile (TorchScript is deprecated); use compiled",
        "compiled": None,
    },
    default_execution="eager",
    precisions={"float32": None, "tf32": NVIDIA_ONLY, "bfloat16": None, "float16": None, "float64": None},
    options={"channels-last": None, "fused-optimizer": None, "bucket-view": None, "cudnn-autotune": NVIDIA_ONLY},
    departures=(
        *DEPARTURES,
        Departure(
            knob="what torch.compile is given",
            ours="each block of the model, sharded afterwards",
            usual="the whole model, as `single` and `ddp` do",
            why="a whole sharded model is compiled anew at each hook; torch's recipes for FSDP2 compile blocks",
            forms=("fsdp",),
            executions=("compiled",),
        ),
    ),
    refusals=(
        Refusal("only DDP has buckets", ("single", "fsdp"), options=("bucket-view",)),
        Refusal("torch.amp.GradScaler does not know FSDP's shards; use bfloat16", ("fsdp",), precisions=("float16",)),
    ),
    execution_needs={"compiled": ("c++",)},
    requires=("torch",),
    extra="torch",
    # Without it, asking whether CUDA is there would start CUDA, and a process that has started it cannot be forked.
    environment={"PYTORCH_NVML_BASED_CUDA_CHECK": "1", "TORCHINDUCTOR_COMPILE_THREADS": "1"},
)

_AUTOCAST = ("bfloat16", "float16")


def import_framework() -> None:
    """`torch._dynamo` is what the first optimiser step imports; left to the child it would cost 3 s a launch."""
    import torch
    import torch._dynamo
    import torch.distributed
    import torch.distributed.fsdp
    import torch.nn.parallel  # noqa: F401


class Engine(TorchTraining):
    """SGD on one rank, as a PyTorch user writes it."""

    def _make_model(self, workload: Workload, params: Any) -> "torch.nn.Module":
        model: torch.nn.Module = workload.torch_model(params)  # type: ignore[attr-defined]
        return model.double() if self._context.precision == "float64" else model

    def _autocast(self) -> AbstractContextManager[Any]:
        import torch

        if self._context.precision not in _AUTOCAST:
            return nullcontext()
        return torch.autocast("cpu", dtype=getattr(torch, self._context.precision))

    def _distribute(self, model: "torch.nn.Module") -> "torch.nn.Module":
        return self._shard(model) if self._context.strategy == "fsdp" else super()._distribute(model)

    def _shard(self, model: "torch.nn.Module") -> "torch.nn.Module":
        """Each block is gathered by itself, and what is left as one more: one block at a time is whole.

        Blocks are compiled one by one, as torch's own FSDP2 recipes do: a whole sharded model recompiles at each hook.
        """
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        mesh = init_device_mesh("cpu", (self._context.world_size,))
        for block in _blocks(model):
            if self._context.execution == "compiled":
                block.compile()
            fully_shard(block, mesh=mesh)
        fully_shard(model, mesh=mesh)
        return model

    def _compiled(self, model: "torch.nn.Module") -> "torch.nn.Module":
        return model if self._context.strategy == "fsdp" else super()._compiled(model)

    @contextmanager
    def _no_reduce(self) -> Iterator[None]:
        if self._context.strategy != "fsdp":
            with super()._no_reduce():
                yield
            return
        self._plain.set_requires_gradient_sync(False)  # type: ignore[operator]
        try:
            yield
        finally:
            self._plain.set_requires_gradient_sync(True)  # type: ignore[operator]

    def step_without_reduce(self, index: int) -> None:
        if self._context.strategy == "fsdp":
            raise NotImplementedError("FSDP gathers weights in every step: there is no step without exchange")
        super().step_without_reduce(index)

    def parts(self) -> dict[PartName, Callable[[int], None]]:
        found = super().parts()
        if self._context.strategy == "fsdp":  # it has no step without exchange to compare with
            del found["step_without_update"]
        return found

    def weights(self) -> Weights:
        from torch.distributed.tensor import DTensor

        named = {name: p.detach() for name, p in self._plain.named_parameters() if p.requires_grad}
        whole = {name: p.full_tensor() if isinstance(p, DTensor) else p for name, p in named.items()}
        return {name: tensor.numpy().copy() for name, tensor in whole.items()}

    def load_weights(self, weights: Weights) -> None:
        own = dict(self._plain.named_parameters())
        for name, values in weights.items():
            load_into(own[name], values)


def _blocks(model: "torch.nn.Module") -> list["torch.nn.Module"]:
    """Members of the outermost lists of modules that have weights: what a model repeats."""
    import torch

    found: list[torch.nn.Module] = []
    for child in model.children() if not isinstance(model, torch.nn.Sequential) else [model]:
        members = child.children() if isinstance(child, torch.nn.Sequential | torch.nn.ModuleList) else ()
        found += [member for member in members if any(True for _ in member.parameters())]
    return found

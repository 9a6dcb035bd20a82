"""Spread a torch model over ranks, with one class per strategy. All ranks call each method in the same way."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from stepmark.engines._protocol import RankContext
from stepmark.engines._torch_device import Cpu

if TYPE_CHECKING:
    import torch


class Single:
    """Train on one rank: nothing is wrapped and nothing is exchanged. The other strategies override what differs."""

    step_without_exchange_missing: str | None = None
    """This is the reason why there is no step without exchange, or None where there is one."""
    has_whole_weights = True
    """Each rank has every weight whole, so its model can be called without the strategy."""

    def __init__(self, context: RankContext, device: Cpu) -> None:
        self.context = context
        self.device = device

    def wrap(self, model: "torch.nn.Module") -> "torch.nn.Module":
        """Return the model to train, distributed and, at the level `compiled`, compiled.

        `model` keeps its parameters.
        """
        return self._compiled(self._distributed(model))

    def _distributed(self, model: "torch.nn.Module") -> "torch.nn.Module":
        return model

    def _compiled(self, model: "torch.nn.Module") -> "torch.nn.Module":
        import torch

        if self.context.execution != "compiled":
            return model
        compiled: torch.nn.Module = torch.compile(  # type: ignore[assignment]
            model, mode=self.device.compile_mode(), dynamic=self._dynamic()
        )
        return compiled

    def _dynamic(self) -> bool | None:
        """Return what torch.compile is told of shapes.

        By default, which is None, it takes those of the first call, and makes dynamic what then changes.
        """
        return True if "dynamic-compile" in self.context.options else None

    def casts(self) -> bool:
        """Return whether the strategy itself casts to the precision, so that autocast must not."""
        return False

    @contextmanager
    def no_exchange(self) -> Iterator[None]:
        """Let backward exchange no gradients inside the `with` block."""
        yield

    def exchange_alone(self, trained: "list[torch.nn.Parameter]") -> Callable[[int], None] | None:
        """Return a function that exchanges as many bytes as the gradients have.

        It is None where no exchange can run by itself.
        """
        return None

    def flags(self) -> dict[str, str]:
        """Return settings as the framework has them, read back."""
        return {}


class Ddp(Single):
    """Wrap the model in DistributedDataParallel.

    Each rank has the whole model, and gradients are averaged in buckets.
    """

    def _distributed(self, model: "torch.nn.Module") -> "torch.nn.Module":
        import torch

        plain = torch.nn.parallel.DistributedDataParallel
        known = inspect.signature(plain).parameters
        self._buffers = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"  # until 2.12
        buffers: dict[str, Any] = {self._buffers: False}
        self.ddp = plain(
            model,
            device_ids=[self.context.device.index] if self.device.kind == "cuda" else None,
            gradient_as_bucket_view="bucket-view" in self.context.options,  # torch's default is False
            **buffers,
        )
        return self.ddp

    @contextmanager
    def no_exchange(self) -> Iterator[None]:
        with self.ddp.no_sync():
            yield

    def exchange_alone(self, trained: "list[torch.nn.Parameter]") -> Callable[[int], None]:
        """Return a function that all-reduces in buckets of DDP's sizes, of which the first is small."""
        import torch

        [dtype] = {parameter.dtype for parameter in trained}
        gradients = torch.zeros(sum(parameter.numel() for parameter in trained), dtype=dtype, device=self.device.name)
        first = torch.distributed._DEFAULT_FIRST_BUCKET_BYTES // dtype.itemsize  # type: ignore[attr-defined]
        buckets = (gradients[:first], *gradients[first:].split(self.ddp.bucket_bytes_cap // dtype.itemsize))

        def exchange(_: int) -> None:
            for work in [torch.distributed.all_reduce(one, async_op=True) for one in buckets if len(one)]:
                work.wait()

        return exchange

    def flags(self) -> dict[str, str]:
        return {
            "bucket_mib": str(self.ddp.bucket_bytes_cap >> 20),
            "bucket_view": str(self.ddp.gradient_as_bucket_view).lower(),
            "forward_sync_buffers": str(getattr(self.ddp, self._buffers)).lower(),
            "static_graph": str(self.ddp.static_graph).lower(),
        }


class Fsdp(Single):
    """Shard the model with FSDP2: each rank has a part of every tensor.

    The weights of each block of the model are gathered by themselves, and the rest as one.
    """

    has_whole_weights = False
    step_without_exchange_missing = "FSDP gathers weights in every step, so no step runs without exchange"

    def _distributed(self, model: "torch.nn.Module") -> "torch.nn.Module":
        """Shard the model, and compile its blocks one by one, as torch's own FSDP2 recipes do.

        A whole sharded model would recompile at each hook.
        """
        import torch
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

        mesh = init_device_mesh(self.device.kind, (self.context.world_size,))
        policy = MixedPrecisionPolicy()
        if self.casts():
            policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
        for block in _blocks(model):
            if self.context.execution == "compiled":
                block.compile(dynamic=self._dynamic())
            fully_shard(block, mesh=mesh, mp_policy=policy)
        if self.casts():  # The loss is computed in float32, as autocast does it.
            policy = replace(policy, output_dtype=torch.float32)
        fully_shard(model, mesh=mesh, mp_policy=policy)
        self._model = model
        return model

    def casts(self) -> bool:
        """Return whether FSDP casts: it does on GPUs, where weights then travel as bfloat16.

        Under autocast they would be gathered as float32, in twice the time.
        """
        return self.device.kind == "cuda" and self.context.precision == "bfloat16"

    def flags(self) -> dict[str, str]:
        return {"mixed_precision": "FSDP: weights bfloat16, gradients summed in float32"} if self.casts() else {}

    def _compiled(self, model: "torch.nn.Module") -> "torch.nn.Module":
        return model

    @contextmanager
    def no_exchange(self) -> Iterator[None]:
        """Leave the gradients where they are inside the `with` block. Weights are still gathered."""
        self._model.set_requires_gradient_sync(False)  # type: ignore[operator]
        try:
            yield
        finally:
            self._model.set_requires_gradient_sync(True)  # type: ignore[operator]


STRATEGIES: dict[str, type[Single]] = {"single": Single, "ddp": Ddp, "fsdp": Fsdp}


def _blocks(model: "torch.nn.Module") -> list["torch.nn.Module"]:
    """Return what a model repeats: members of its outermost lists of modules, if they have weights."""
    import torch

    found: list[torch.nn.Module] = []
    for child in model.children() if not isinstance(model, torch.nn.Sequential) else [model]:
        members = child.children() if isinstance(child, torch.nn.Sequential | torch.nn.ModuleList) else ()
        found += [member for member in members if any(True for _ in member.parameters())]
    return found

"""PyTorch: `single`, and `ddp` (DistributedDataParallel over gloo), eager or compiled with torch.compile."""

from contextlib import nullcontext
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from stepmark.engines._protocol import RankContext, Strategy, Support, Weights
from stepmark.workloads._batches import Batch
from stepmark.workloads._protocol import Workload

if TYPE_CHECKING:
    import torch

SUPPORT = Support(
    framework="torch",
    strategies={"single": Strategy(max_workers=1), "ddp": Strategy()},
    executions={
        "eager": None,
        "graph": "PyTorch has no traced level below torch.compile (TorchScript is deprecated); use compiled",
        "compiled": None,
    },
    default_execution="eager",
    execution_needs={"compiled": ("c++",)},
    requires=("torch",),
    extra="torch",
    # Without it, asking whether CUDA is there would start CUDA, and a process that has started it cannot be forked.
    environment={"PYTORCH_NVML_BASED_CUDA_CHECK": "1", "TORCHINDUCTOR_COMPILE_THREADS": "1"},
)

_BUCKET_MIB = 25  # DDP's default, stated because tf.distribute's differs


def import_framework() -> None:
    """`torch._dynamo` is what the first optimiser step imports; left to the child it would cost 3 s a launch."""
    import torch
    import torch._dynamo
    import torch.distributed
    import torch.nn.parallel  # noqa: F401


class Engine:
    """SGD on one rank, as a PyTorch user writes it."""

    def __init__(self, context: RankContext) -> None:
        self._context = context
        self._loss: torch.Tensor | None = None

    def join_group(self) -> None:
        import torch

        torch.set_num_threads(self._context.threads)
        if not self._context.distributed:
            return
        host, _, port = self._context.addresses[0].rpartition(":")
        timeout = timedelta(seconds=self._context.collective_timeout_seconds)
        store = torch.distributed.TCPStore(  # type: ignore[attr-defined]
            host, int(port), self._context.world_size, is_master=self._context.rank == 0, timeout=timeout
        )
        torch.distributed.init_process_group(
            "gloo", store=store, rank=self._context.rank, world_size=self._context.world_size, timeout=timeout
        )

    def build(self, workload: Workload, params: Any, batches: list[Batch], learning_rate: float) -> None:
        import torch

        torch.manual_seed(self._context.seed)
        self._plain = workload.torch_model(params)  # type: ignore[attr-defined]
        model = self._distribute(self._plain)
        self._model = torch.compile(model) if self._context.execution == "compiled" else model
        self._loss_of = torch.nn.CrossEntropyLoss()
        trained = [p for p in self._plain.parameters() if p.requires_grad]
        self._optimizer = torch.optim.SGD(trained, lr=learning_rate, momentum=0.9)
        self._batches = batches if self._context.feed_each_step else [self._place(batch) for batch in batches]

    def _distribute(self, model: "torch.nn.Module") -> "torch.nn.Module":
        import torch

        if not self._context.distributed:
            return model
        # Buffers (BatchNorm statistics) stay per rank, as they do under tf.distribute.
        return torch.nn.parallel.DistributedDataParallel(
            model, broadcast_buffers=False, bucket_cap_mb=_BUCKET_MIB, gradient_as_bucket_view=True
        )

    def _precision(self) -> Any:
        import torch

        if self._context.precision == "bfloat16":
            return torch.autocast("cpu", dtype=torch.bfloat16)
        return nullcontext()

    def _place(self, batch: Batch) -> tuple["torch.Tensor", "torch.Tensor"]:
        """Tensors of a copy, as a transfer to a device makes one."""
        import torch

        inputs, labels = batch
        return torch.tensor(inputs), torch.tensor(labels)

    def step(self, index: int) -> None:
        batch = self._batches[index % len(self._batches)]
        inputs, labels = self._place(batch) if self._context.feed_each_step else batch  # type: ignore[arg-type]
        self._optimizer.zero_grad(set_to_none=True)
        with self._precision():
            # Kept until the next step's loss replaces it, as a user's loop variable is: freed earlier, the allocator
            # would give its pages back in every step, which costs 1 % (benchmarks/loop_overhead.py).
            loss = self._loss = self._loss_of(self._model(inputs), labels)
        loss.backward()
        self._optimizer.step()

    def step_without_reduce(self, index: int) -> None:
        if not self._context.distributed:
            return self.step(index)
        with self._model.no_sync():  # type: ignore[attr-defined]
            self.step(index)
        return None

    def synchronize(self) -> float:
        return float(self._loss.item()) if self._loss is not None else float("nan")

    def compilations(self) -> int | None:
        if self._context.execution != "compiled":
            return None
        from torch._dynamo.utils import counters

        return int(counters["stats"]["unique_graphs"])

    def weights(self) -> Weights:
        named = self._plain.named_parameters()
        return {name: tensor.detach().numpy().copy() for name, tensor in named if tensor.requires_grad}

    def load_weights(self, weights: Weights) -> None:
        import torch

        own = dict(self._plain.named_parameters())
        with torch.no_grad():
            for name, values in weights.items():
                own[name].copy_(torch.from_numpy(np.array(values)))

    def flags(self) -> dict[str, str]:
        import torch

        return {
            "torch": torch.__version__,
            "device": "cpu",
            "threads": str(torch.get_num_threads()),
            "transport": "gloo" if self._context.distributed else "none",
            "bucket_mib": str(_BUCKET_MIB),
            "float32_matmul_precision": torch.get_float32_matmul_precision(),
            "mkldnn": str(torch.backends.mkldnn.is_available()),
            "optimizer": "SGD momentum 0.9",
        }

    def close(self) -> None:
        import torch

        if self._context.distributed:
            torch.distributed.destroy_process_group()

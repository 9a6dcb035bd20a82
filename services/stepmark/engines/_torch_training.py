"""Train with torch's autograd, optimiser and process groups. The engines `torch` and `keras-torch` share this."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stepmark.engines._device import MATMUL_SIDE, Memory
from stepmark.engines._protocol import LOSS_SCALE, MOMENTUM, PartName, RankContext, Weights, interleaved
from stepmark.engines._torch_strategies import STRATEGIES
from stepmark.workloads._batches import Batch, micro_batches
from stepmark.workloads._protocol import Workload

if TYPE_CHECKING:
    import torch


class TorchTraining:
    """Train with SGD on one rank. An engine adds how the model is made and called, and where its weights are."""

    asynchronous = False

    def __init__(self, context: RankContext) -> None:
        self._context = context
        self._strategy = STRATEGIES[context.strategy](context)
        self._losses: list[torch.Tensor] = []

    def _make_model(self, workload: Workload, params: Any) -> "torch.nn.Module":
        raise NotImplementedError

    def _forward(self, inputs: "torch.Tensor") -> "torch.Tensor":
        return self._model(inputs)

    def _layout(self, inputs: NDArray[Any]) -> NDArray[Any]:
        return inputs

    def _autocast(self) -> AbstractContextManager[Any]:
        return nullcontext()

    def weights(self) -> Weights:
        raise NotImplementedError

    def load_weights(self, weights: Weights) -> None:
        raise NotImplementedError

    def restart(self, weights: Weights, learning_rate: float) -> None:
        self.load_weights(weights)
        self._optimizer.state.clear()  # The next step makes the momentum anew from its gradient.
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate
        if self._scaler is not None:
            self._scaler.load_state_dict(self._scaler.state_dict() | {"scale": LOSS_SCALE, "_growth_tracker": 0})

    def join_group(self) -> None:
        import torch

        torch.set_num_threads(self._context.threads)
        # This is the older of two interfaces. torch.compile still reads it, and torch refuses a mixture of both.
        torch.set_float32_matmul_precision("high" if self._context.precision == "tf32" else "highest")
        torch.backends.cudnn.allow_tf32 = self._context.precision == "tf32"
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
        self._images = workload.input(params).kind == "image"
        self._plain = self._make_model(workload, params)
        if self._channels_last():
            self._plain.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._model = self._strategy.wrap(self._plain)
        self._cross_entropy = torch.nn.CrossEntropyLoss()
        self._trained = [p for p in self._plain.parameters() if p.requires_grad]
        fused = True if "fused-optimizer" in self._context.options else None
        self._optimizer = torch.optim.SGD(self._trained, lr=learning_rate, momentum=MOMENTUM, fused=fused)
        scaled = self._context.precision == "float16"
        self._scaler = torch.amp.GradScaler("cpu", init_scale=LOSS_SCALE) if scaled else None
        parts = micro_batches(batches, self._context.accumulate)
        feed = self._context.feed_each_step
        self._batches: list[list[Any]] = parts if feed else [[self._place(part) for part in batch] for batch in parts]

    def _channels_last(self) -> bool:
        return self._images and "channels-last" in self._context.options

    def _place(self, batch: Batch) -> tuple["torch.Tensor", "torch.Tensor"]:
        """Return tensors of a copy of the batch, since a transfer to a device makes a copy too."""
        import torch

        inputs = torch.tensor(self._layout(batch[0]))
        if self._context.precision == "float64" and inputs.is_floating_point():
            inputs = inputs.double()
        if self._channels_last():
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        return inputs, torch.tensor(batch[1])

    def _loss_of(self, inputs: "torch.Tensor", labels: "torch.Tensor") -> "torch.Tensor":
        """Return the mean over samples, or over tokens where each has a label, divided by the number of micro-batches.

        So the losses of all micro-batches add up to one mean.
        """
        with self._autocast():
            logits = self._forward(inputs)
            loss = self._cross_entropy(logits.flatten(0, -2), labels.flatten())
        return loss if self._context.accumulate == 1 else loss / self._context.accumulate

    def _placed(self, batch: Any) -> Any:
        return self._place(batch) if self._context.feed_each_step else batch

    def _backward(self, inputs: "torch.Tensor", labels: "torch.Tensor") -> "torch.Tensor":
        loss = self._loss_of(inputs, labels)
        (loss if self._scaler is None else self._scaler.scale(loss)).backward()
        return loss

    def step(self, index: int) -> None:
        self._gradients_of(index)
        self._update()

    def _gradients_of(self, index: int) -> None:
        """Run forward, backward and, on the last micro-batch, DDP's exchange."""
        *early, last = self._batches[index % len(self._batches)]
        self._optimizer.zero_grad(set_to_none=True)
        losses = []
        for batch in early:
            with self._strategy.no_exchange():
                losses.append(self._backward(*self._placed(batch)))
        losses.append(self._backward(*self._placed(last)))
        # The losses are kept until the next step replaces them, as a user's loop variable is. If they were freed
        # earlier, the allocator would return the pages in every step, which costs 1 % (benchmarks/loop_overhead.py).
        self._losses = losses

    def _update(self) -> None:
        import torch

        if self._scaler is not None:
            self._scaler.unscale_(self._optimizer)
        if self._context.clip_global_norm is not None:
            torch.nn.utils.clip_grad_norm_(self._trained, self._context.clip_global_norm)
        if self._scaler is None:
            self._optimizer.step()
        else:
            self._scaler.step(self._optimizer)
            self._scaler.update()

    def step_without_reduce(self, index: int) -> None:
        if self._strategy.step_without_exchange_missing is not None:
            raise NotImplementedError(self._strategy.step_without_exchange_missing)
        with self._strategy.no_exchange():
            self.step(index)

    def parts(self) -> dict[PartName, Callable[[int], None]]:
        import torch

        side = torch.rand(MATMUL_SIDE, MATMUL_SIDE).to(
            getattr(torch, self._context.precision.replace("tf32", "float32"))
        )
        product = torch.empty_like(side)

        def matmul(_: int) -> None:
            torch.matmul(side, side, out=product)

        found: dict[PartName, Callable[[int], None]] = {"matmul": matmul}
        if self._strategy.step_without_exchange_missing is None:  # Otherwise there is nothing to compare it with.
            found["step_without_update"] = self._step_without_update
        if self._context.feed_each_step:
            found["input"] = self._place_all
        if (exchange := self._strategy.exchange_alone(self._trained)) is not None:
            found["all_reduce"] = exchange
        return found

    def _step_without_update(self, index: int) -> None:
        with self._strategy.no_exchange():
            self._gradients_of(index)

    def _place_all(self, index: int) -> None:
        for batch in self._batches[index % len(self._batches)]:
            self._place(batch)

    def synchronize(self) -> float:
        return sum(float(loss.item()) for loss in self._losses) if self._losses else float("nan")

    def drain(self) -> None:
        self.synchronize()

    def mark_window(self, steps: int) -> None:
        return None

    def device_step_nanoseconds(self) -> list[int] | None:
        return None

    def device_memory(self) -> Memory | None:
        return None

    def forward(self, index: int) -> NDArray[Any]:
        import torch

        parts = []
        for batch in self._batches[index % len(self._batches)]:
            inputs, _ = self._placed(batch)
            with torch.no_grad(), self._autocast():
                parts.append(self._forward(inputs).to(torch.float64).numpy())
        return interleaved(parts)

    def compilations(self) -> int | None:
        if self._context.execution != "compiled":
            return None
        from torch._dynamo.utils import counters

        return int(counters["stats"]["unique_graphs"])

    def flags(self) -> dict[str, str]:
        import torch

        return {
            "torch": torch.__version__,
            "device": "cpu",
            "threads": str(torch.get_num_threads()),
            "transport": "gloo" if self._context.distributed else "none",
            **self._strategy.flags(),
            "tf32": "on" if torch.backends.cudnn.allow_tf32 else "off",
            "memory_format": "channels_last" if self._channels_last() else "contiguous",
            "fused_optimizer": str("fused-optimizer" in self._context.options).lower(),
            "loss_scale": "none" if self._scaler is None else f"dynamic from {LOSS_SCALE:g}",
            "mkldnn": str(torch.backends.mkldnn.is_available()),
            "optimizer": f"SGD momentum {MOMENTUM}",
        }

    def close(self) -> None:
        import torch

        if self._context.distributed:
            torch.distributed.destroy_process_group()


def load_into(tensor: "torch.Tensor", values: NDArray[Any]) -> None:
    """Copy numpy values into a tensor of any float type, sharded or not."""
    import torch
    from torch.distributed.tensor import DTensor, distribute_tensor

    source = torch.from_numpy(np.array(values)).to(tensor.dtype)
    if isinstance(tensor, DTensor):
        source = distribute_tensor(source, tensor.device_mesh, tensor.placements)
    with torch.no_grad():
        tensor.copy_(source)

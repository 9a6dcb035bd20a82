"""Train with torch's autograd, optimiser and process groups. The engines `torch` and `keras-torch` share this."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from stepmark.engines import _losses, _optimizers, _torch_counters, _torch_input, _torch_optimizers
from stepmark.engines._device import Memory, matmul_side
from stepmark.engines._feed import Feed, Source
from stepmark.engines._protocol import LOSS_SCALE, PartName, RankContext, Recompilations, Weights
from stepmark.engines._support import Support
from stepmark.engines._torch_device import DEVICES, Cpu, Tensors
from stepmark.engines._torch_inspection import TorchInspection, shared
from stepmark.engines._torch_strategies import STRATEGIES
from stepmark.workloads._batches import Batch, in_float64, micro_batches
from stepmark.workloads._protocol import Workload

if TYPE_CHECKING:
    import torch


class TorchTraining(TorchInspection):
    """Train on one rank. An engine adds how the model is made and called, and where its weights are."""

    _support: ClassVar[Support]
    _devices: ClassVar[Mapping[str, type[Cpu]]] = DEVICES
    _images_last: ClassVar[bool] = False  # Images are (batch, height, width, channels).
    feed: Feed | None = None

    def __init__(self, context: RankContext) -> None:
        self._context = context
        self._device = self._devices[context.device.kind](context)
        self.asynchronous = self._device.asynchronous
        self._events = self._device.step_events()
        self._strategy = STRATEGIES[context.strategy](context, self._device)
        self._losses: list[torch.Tensor] = []

    def _make_model(self, workload: Workload, params: Any) -> "torch.nn.Module":
        """Return the model on the CPU, so that its weights do not depend on the device."""
        raise NotImplementedError

    def _call(self, model: Any, inputs: "torch.Tensor") -> "torch.Tensor":
        outputs: torch.Tensor = self._workload.torch_outputs(model, inputs)
        return outputs

    def _forward(self, inputs: "torch.Tensor") -> "torch.Tensor":
        return self._call(self._model, inputs)

    def _on_host(self, batch: Batch) -> Batch:
        """Return the batch in the layout and type that the model takes."""
        return in_float64(batch) if self._context.precision == "float64" else batch

    def _autocast(self) -> AbstractContextManager[Any]:
        return nullcontext()

    def weights(self) -> Weights:
        raise NotImplementedError

    def load_weights(self, weights: Weights) -> None:
        raise NotImplementedError

    def first_moments(self) -> Weights | None:
        """Return AdamW's running means of gradients. An engine names and copies what `_first_moment` returns."""
        raise NotImplementedError

    def _first_moment(self, parameter: "torch.Tensor") -> "torch.Tensor":
        moment: torch.Tensor = self._optimizer.state[parameter]["exp_avg"]
        return moment

    def restart(self, weights: Weights, learning_rate: float) -> None:
        self.load_weights(weights)
        self._optimizer.state.clear()  # The next step makes the moments anew from its gradient.
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate
        if self._scaler is not None:
            self._scaler.load_state_dict(self._scaler.state_dict() | {"scale": LOSS_SCALE, "_growth_tracker": 0})

    def join_group(self) -> None:
        import torch

        torch.set_num_threads(self._context.threads)
        # This is the older of two interfaces. torch.compile still reads it, and torch refuses a mixture of both.
        torch.set_float32_matmul_precision("high" if self._context.precision == "tf32" else "highest")
        self._device.start(self._support)
        if not self._context.distributed:
            return
        host, _, port = self._context.addresses[0].rpartition(":")
        timeout = timedelta(seconds=self._context.collective_timeout_seconds)
        store = torch.distributed.TCPStore(  # type: ignore[attr-defined]
            host, int(port), self._context.world_size, is_master=self._context.rank == 0, timeout=timeout
        )
        torch.distributed.init_process_group(
            self._device.transport,
            store=store,
            rank=self._context.rank,
            world_size=self._context.world_size,
            timeout=timeout,
            **self._device.group_arguments(),
        )

    def build(self, workload: Workload, params: Any, batches: list[Batch], learning_rate: float) -> None:
        import torch

        torch.manual_seed(self._context.seed)
        self._workload, self._params, spec = workload, params, workload.input(params)
        self._images = spec.kind == "image"
        self._plain = self._make_model(workload, params).to(self._device.name)
        if self._channels_last():
            self._plain.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._model = self._strategy.wrap(self._plain)
        self._mean_loss = _losses.torch_mean(workload, spec, self._support.framework)
        self._trained = [p for p in self._plain.parameters() if p.requires_grad]
        self._optimizer = _torch_optimizers.make(self._context, self._trained, learning_rate)
        scaled = self._context.precision == "float16"
        self._scaler = torch.amp.GradScaler(self._device.kind, init_scale=LOSS_SCALE) if scaled else None
        parts = micro_batches([self._on_host(batch) for batch in batches], self._context.accumulate)
        if self._context.feed_each_step:
            self.feed = self._make_feed(Source(parts, self._context.transform, self._images and self._images_last))
        else:
            self._batches = [[self._kept(part) for part in batch] for batch in parts]

    def _channels_last(self) -> bool:
        return self._images and "channels-last" in self._context.options

    def _make_feed(self, source: Source) -> Feed:
        device = self._device
        if "dataloader" in self._context.options:
            return _torch_input.loaded(source, self._context.threads, device.asynchronous, self._send)
        return Feed(device.way(source), source, device.kept(source, self._place), device.send, 0, self._sent)

    def _send(self, tensors: Any) -> Tensors:
        return self._device.send(self._in_memory_format(*tensors))

    def _sent(self, batch: Batch) -> Tensors:
        return self._device.send(self._place(batch))

    def _kept(self, batch: Batch) -> Tensors:
        """Return tensors that stay on the device."""
        inputs, labels = self._place(batch)
        return inputs.to(self._device.name), labels.to(self._device.name)

    def _parts(self, index: int) -> Iterator[Tensors]:
        """Yield the micro-batches of batch `index` modulo their number, on the device. All of them must be taken."""
        if self.feed is not None:
            return self.feed.take(index)
        return iter(self._batches[index % len(self._batches)])

    def _place(self, batch: Batch) -> Tensors:
        """Return tensors of a copy of the batch on the host, since a transfer to a device makes a copy too."""
        import torch

        return self._in_memory_format(torch.tensor(batch[0]), torch.tensor(batch[1]))

    def _in_memory_format(self, inputs: "torch.Tensor", labels: "torch.Tensor") -> Tensors:
        import torch

        return (inputs.contiguous(memory_format=torch.channels_last) if self._channels_last() else inputs), labels

    def _loss_of(self, inputs: "torch.Tensor", labels: "torch.Tensor") -> "torch.Tensor":
        """Return the mean over samples, or over tokens where each has a label, divided by the number of micro-batches.

        So the losses of all micro-batches add up to one mean.
        """
        with self._autocast():
            logits = self._forward(inputs)
            loss = self._mean_loss(logits, labels)
        return loss if self._context.accumulate == 1 else loss / self._context.accumulate

    def _backward(self, inputs: "torch.Tensor", labels: "torch.Tensor") -> "torch.Tensor":
        loss = self._loss_of(inputs, labels)
        (loss if self._scaler is None else self._scaler.scale(loss)).backward()
        return loss

    def step(self, index: int) -> None:
        if self._events is not None:
            self._events.before_step()
        self._gradients_of(index)
        self._update()
        if self._events is not None:
            self._events.after_step()

    def _gradients_of(self, index: int) -> None:
        """Run forward, backward and, on the last micro-batch, DDP's exchange."""
        self._optimizer.zero_grad(set_to_none=True)
        losses = []
        for number, batch in enumerate(self._parts(index), 1):
            with nullcontext() if number == self._context.accumulate else self._strategy.no_exchange():
                losses.append(self._backward(*batch))
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

        dtype = getattr(torch, self._context.precision.replace("tf32", "float32"))
        side = matmul_side(self._context.device.kind, self._context.precision)
        square = torch.randn(side, side, device=self._device.name).to(dtype)
        product = torch.empty_like(square)

        def matmul(_: int) -> None:
            torch.matmul(square, square, out=product)

        found: dict[PartName, Callable[[int], None]] = {"matmul": matmul}
        if self._strategy.step_without_exchange_missing is None:  # Otherwise there is nothing to compare it with.
            found["step_without_update"] = self._step_without_update
        if self.feed is not None:
            found["input"] = self.feed.discard
        if (exchange := self._strategy.exchange_alone(self._trained)) is not None:
            found["all_reduce"] = exchange
        return found

    def _step_without_update(self, index: int) -> None:
        with self._strategy.no_exchange():
            self._gradients_of(index)

    def synchronize(self) -> float:
        return sum(float(loss.item()) for loss in self._losses) if self._losses else float("nan")

    def drain(self) -> None:
        self._device.drain()

    def mark_window(self, steps: int) -> None:
        self._device.begin_window()
        if self._events is not None:
            self._events.mark(steps)

    def device_step_nanoseconds(self) -> list[int] | None:
        return None if self._events is None else self._events.nanoseconds()

    def device_memory(self) -> Memory | None:
        return self._device.memory()

    def compilations(self) -> int | None:
        return _torch_counters.unique_graphs() if self._context.execution == "compiled" else None

    def recompilations(self) -> Recompilations | None:
        return _torch_counters.recompilations() if self._context.execution == "compiled" else None

    def flags(self) -> dict[str, str]:
        import torch

        return {
            "torch": torch.__version__,
            "device": self._device.name,
            "threads": str(torch.get_num_threads()),
            "transport": self._device.transport if self._context.distributed else "none",
            **({"input": "resident"} if self.feed is None else self.feed.flags(_torch_input.inputs)),
            **self._strategy.flags(),
            **self._device.flags(),
            "memory_format": "channels_last" if self._channels_last() else "contiguous",
            "fused_optimizer": str("fused-optimizer" in self._context.options).lower(),
            "foreach_optimizer": str("foreach-optimizer" in self._context.options).lower(),
            "loss_scale": "none" if self._scaler is None else f"dynamic from {LOSS_SCALE:g}",
            "mkldnn": str(torch.backends.mkldnn.is_available()),
            "optimizer": _optimizers.described(self._context.optimizer),
            **shared(self._plain),
        }

    def close(self) -> None:
        import torch

        if self._context.distributed:
            torch.distributed.destroy_process_group()


def load_into(tensor: "torch.Tensor", values: NDArray[Any]) -> None:
    """Copy numpy values into a tensor of any float type, sharded or not."""
    import torch
    from torch.distributed.tensor import DTensor, distribute_tensor

    source = torch.from_numpy(np.array(values)).to(tensor.device, tensor.dtype)
    if isinstance(tensor, DTensor):
        source = distribute_tensor(source, tensor.device_mesh, tensor.placements)
    with torch.no_grad():
        tensor.copy_(source)

"""Make collectives with torch.distributed, over gloo on CPU cores and NCCL on GPUs."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from stepmark.engines._collectives import COMMON_REFUSALS, CollectiveSteps, as_float32, refused
from stepmark.engines._torch_device import Cpu
from stepmark.engines._torch_training import TorchTraining
from stepmark.workloads._messages import Message

if TYPE_CHECKING:
    pass

REFUSALS = (
    *COMMON_REFUSALS,
    refused("one call is not compiled; use the level eager", executions=("compiled",)),
    refused("fsdp has the same process group; use ddp", forms=("fsdp",)),
)


class TorchCollectives(CollectiveSteps, TorchTraining):
    """Exchange one message with the process group that training uses."""

    def _begin(self, message: Message) -> Callable[[], Any]:
        import torch
        import torch.distributed as group

        dtype = getattr(torch, self._context.precision)
        own = torch.from_numpy(message.contribution(self._context.rank)).to(self._device.name, dtype)
        self._output: torch.Tensor = own
        if message.collective == "all-reduce":
            return partial(group.all_reduce, own)
        if message.collective == "broadcast":
            return partial(group.broadcast, own, src=0)
        gathers = message.collective == "all-gather"
        size = message.elements if gathers else message.elements // message.workers
        self._output = torch.zeros(size, dtype=dtype, device=self._device.name)
        return partial(group.all_gather_into_tensor if gathers else group.reduce_scatter_tensor, self._output, own)

    def step(self, index: int) -> None:
        if self._events is not None:
            self._events.before_step()
        self._exchange()
        if self._events is not None:
            self._events.after_step()

    def drain(self) -> None:
        self._device.drain()

    def _result(self) -> NDArray[Any]:
        import torch

        return as_float32(self._output.to("cpu", torch.float32).numpy())

    def _repeatable(self) -> None:
        """Set the values to zero: torch adds in place, and other sums would grow from step to step."""
        self._output.zero_()

    def flags(self) -> dict[str, str]:
        return group_flags(self._device)


def group_flags(device: Cpu) -> dict[str, str]:
    """Return versions and settings that an exchange depends on."""
    import torch

    return {
        "torch": torch.__version__,
        "device": device.name,
        "threads": str(torch.get_num_threads()),
        "transport": device.transport,
        **device.flags(),
    }

"""Run the tasks of a cluster check with torch, on CPU cores and on GPUs."""

from functools import partial
from typing import TYPE_CHECKING, Any

from stepmark.engines._checks import Call, TaskSteps, rest
from stepmark.engines._torch_collectives import group_flags
from stepmark.engines._torch_training import TorchTraining
from stepmark.workloads._messages import Message
from stepmark.workloads._tasks import PRODUCTS, SIZES, Kind

if TYPE_CHECKING:
    import torch


class TorchChecks(TaskSteps, TorchTraining):
    """Multiply, copy and exchange with the device and the process group that training uses."""

    def _calls(self, params: Any) -> dict[Kind, Call]:
        import torch

        sizes = SIZES[self._context.device.kind]
        dtype = getattr(torch, self._context.precision.replace("tf32", "float32"))
        square = torch.randn(sizes.side, sizes.side, device=self._device.name).to(dtype)
        product = torch.empty_like(square)
        source = torch.zeros(sizes.copied_bytes // 4, device=self._device.name)
        target = torch.empty_like(source)
        every = self._summed(range(self._context.world_size), None)
        return {
            "product": self._ended(partial(_multiply, square, product)),
            "copy": self._ended(partial(target.copy_, source)),
            "all-reduce": every,
            "barrier": self._ended(partial(torch.distributed.all_reduce, torch.zeros(1, device=self._device.name))),
        }

    def _pair_call(self, pair: tuple[int, int], params: Any) -> Call:
        import torch

        group = torch.distributed.new_group(list(pair))
        return self._summed(pair, group) if self._context.rank in pair else rest

    def _summed(self, ranks: "range | tuple[int, int]", group: Any) -> Call:
        """Return an all-reduce among these ranks, after one of known values whose result is checked.

        Raises:
            ValueError: the result is wrong.
        """
        import torch

        place, size = ranks.index(self._context.rank), SIZES[self._context.device.kind].message_bytes
        message = Message.of("all-reduce", len(ranks), size, "float32")
        values = torch.from_numpy(message.contribution(place)).to(self._device.name)
        call = self._ended(partial(torch.distributed.all_reduce, values, group=group))
        call()
        message.check(place, values.cpu().numpy())
        values.zero_()  # torch adds in place, and other sums would grow.
        return call

    def _ended(self, call: Call) -> Call:
        def made() -> None:
            call()
            self._device.drain()

        return made

    def drain(self) -> None:
        self._device.drain()

    def flags(self) -> dict[str, str]:
        return group_flags(self._device)


def _multiply(square: "torch.Tensor", product: "torch.Tensor") -> None:
    import torch

    for _ in range(PRODUCTS):
        torch.matmul(square, square, out=product)

"""Say where a rank's tensors live in PyTorch, and all that follows from it. Another kind of device is a class here."""

import itertools
import os
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from stepmark.engines._capability import refuse_what_lacks
from stepmark.engines._device import Memory
from stepmark.engines._feed import Source
from stepmark.engines._protocol import RankContext
from stepmark.engines._support import Support
from stepmark.engines._tf32_probe import tf32_probe
from stepmark.engines._torch_events import Event, StepEvents
from stepmark.errors import CannotRun, UnsupportedHere
from stepmark.workloads._batches import Batch

if TYPE_CHECKING:
    import torch

Tensors = tuple["torch.Tensor", "torch.Tensor"]

# Each of these would change, behind the back of the precision that was asked for, what a product computes.
_CHANGES_PRODUCTS = ("CUBLAS_EMULAT", "NVIDIA_TF32_OVERRIDE", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE")


class Cpu:
    """Train on CPU cores. The other devices override what differs."""

    asynchronous = False
    kind = "cpu"
    """This is torch's name of the kind, for autocast, the loss scale and meshes."""
    transport = "gloo"

    def __init__(self, context: RankContext) -> None:
        self._context = context
        self.name = context.device.torch_name

    def start(self, support: Support) -> None:
        """Set what the device needs before the group is joined. `support` is that of the engine.

        Raises:
            CannotRun: a variable changes what the device computes.
            UnsupportedHere: there is no such device here, or it lacks what the cell needs.
        """

    def group_arguments(self) -> dict[str, Any]:
        """Return what `init_process_group` is told of the device."""
        return {}

    def step_events(self) -> StepEvents | None:
        """Return a clock of the device itself, or None where it has none."""
        return None

    def way(self, source: Source) -> str:
        """Return in words how samples come to the device that are fed in each step."""
        return "torch.tensor in each step"

    def kept(self, source: Source, make: Callable[[Batch], Tensors]) -> Iterator[Tensors]:
        """Return tensors of the micro-batches without end, on the host, made by `make` when they are asked for."""
        return map(make, source.endless())

    def send(self, tensors: Tensors) -> Tensors:
        """Return the tensors on the device."""
        return tensors

    def drain(self) -> None:
        """Return when the device has made all that was queued."""

    def begin_window(self) -> None:
        """Forget the most memory that was used so far."""

    def memory(self) -> Memory | None:
        """Return the most memory that was used since `begin_window`, or None where the framework does not say."""
        return None

    def compile_mode(self) -> str | None:
        """Return the mode of torch.compile, or None for its default."""
        return None

    def flags(self) -> dict[str, str]:
        """Return settings that hold on this device, read back where they can be."""
        return {"tf32": "off"}


class Cuda(Cpu):
    """Train on the one GPU that this process sees."""

    asynchronous = True
    kind = "cuda"
    transport = "nccl"

    def start(self, support: Support) -> None:
        import torch

        found = [name for name in sorted(os.environ) if name.startswith(_CHANGES_PRODUCTS)]
        if found:
            raise CannotRun(f"device gpu: {found[0]} changes what products compute. Unset it.")
        if not torch.cuda.is_available():
            raise UnsupportedHere(
                f"PyTorch {torch.__version__} finds no GPU: check the driver with nvidia-smi, or set spec.device to cpu"
            )
        torch.cuda.set_device(self._context.device.index)
        refuse_what_lacks(support, self._context, torch.cuda.get_device_capability())
        self.configure()

    def configure(self) -> None:
        """Set what cuDNN may do, and by how many processes torch.compile compiles. CUDA is not started."""
        import torch

        torch.backends.cudnn.allow_tf32 = self._context.precision == "tf32"
        torch.backends.cudnn.benchmark = "cudnn-autotune" in self._context.options
        torch.backends.cudnn.deterministic = False
        if self._context.execution == "compiled":
            import torch._inductor.config

            torch._inductor.config.compile_threads = self._context.threads

    def group_arguments(self) -> dict[str, Any]:
        """Return the device, so that NCCL connects at once and not in the first step, which is timed.

        NCCL's flight recorder writes into the working folder, which is the launch's.
        """
        import torch

        os.environ.update(flight_recorder(Path.cwd()))
        return {"device_id": torch.device(self.name)}

    def step_events(self) -> StepEvents:
        return StepEvents(self._event)

    def _event(self) -> Event:
        import torch

        return torch.cuda.Event(enable_timing=True)

    def way(self, source: Source) -> str:
        made = "made in each step" if source.transforms else "pinned at build"
        return f"{made}, copied without blocking in each step"

    def kept(self, source: Source, make: Callable[[Batch], Tensors]) -> Iterator[Tensors]:
        if source.transforms:
            return super().kept(source, make)
        made = [make(source.element(number)) for number in range(len(source))]
        return itertools.cycle([(self._pinned(inputs), self._pinned(labels)) for inputs, labels in made])

    def _pinned(self, tensor: "torch.Tensor") -> "torch.Tensor":
        return tensor.pin_memory()

    def send(self, tensors: Tensors) -> Tensors:
        inputs, labels = tensors
        return inputs.to(self.name, non_blocking=True), labels.to(self.name, non_blocking=True)

    def drain(self) -> None:
        import torch

        torch.cuda.synchronize()

    def begin_window(self) -> None:
        import torch

        torch.cuda.reset_peak_memory_stats()

    def memory(self) -> Memory:
        import torch

        return Memory(torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved())

    def compile_mode(self) -> str | None:
        return "reduce-overhead" if "cuda-graphs" in self._context.options else None

    @cached_property
    def _probe(self) -> str:
        return probe_tf32(self.name)

    def flags(self) -> dict[str, str]:
        import torch

        matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
        kernels = ("flash", "mem_efficient", "math", "cudnn")
        allowed = [one for one in kernels if getattr(torch.backends.cuda, f"{one}_sdp_enabled")()]
        return {
            "device_name": torch.cuda.get_device_name(),
            "cuda_runtime": str(torch.version.cuda),
            "cudnn": str(cudnn.version()),
            "nccl": ".".join(map(str, torch.cuda.nccl.version())),
            "tf32": "on" if matmul.allow_tf32 and cudnn.allow_tf32 else "off",
            "tf32_probe": self._probe,
            "cudnn_benchmark": str(cudnn.benchmark).lower(),
            "bf16_reduced_precision_reduction": str(matmul.allow_bf16_reduced_precision_reduction),
            "fp16_reduced_precision_reduction": str(matmul.allow_fp16_reduced_precision_reduction),
            "attention_kernels_allowed": " ".join(allowed),
            "compile_mode": self.compile_mode() or "default",
        }


def probe_tf32(device: str) -> str:
    """Return what `tf32_probe` finds in PyTorch's products and convolutions on a device."""
    import torch

    def product(left: NDArray[Any], right: NDArray[Any]) -> NDArray[Any]:
        there = [torch.from_numpy(one).to(device) for one in (left, right)]
        return torch.matmul(*there).cpu().numpy()

    def convolution(images: NDArray[Any], kernel: NDArray[Any]) -> NDArray[Any]:
        there = torch.from_numpy(images.transpose(0, 3, 1, 2)).to(device)
        weight = torch.from_numpy(kernel.transpose(3, 2, 0, 1)).to(device)
        return torch.nn.functional.conv2d(there, weight, padding=1).permute(0, 2, 3, 1).cpu().numpy()

    return tf32_probe(product, convolution)


def flight_recorder(folder: Path) -> dict[str, str]:
    """Return the variables by which NCCL's flight recorder writes the last collectives into `folder` on a time-out."""
    return {
        "TORCH_NCCL_DUMP_ON_TIMEOUT": "1",
        "TORCH_NCCL_TRACE_BUFFER_SIZE": "2000",
        "TORCH_NCCL_DEBUG_INFO_TEMP_FILE": str(folder / "nccl_rank_"),
    }


DEVICES: dict[str, type[Cpu]] = {"cpu": Cpu, "gpu": Cuda}

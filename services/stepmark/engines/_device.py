"""Define the device that a rank trains on. All differences between kinds of devices that engines share belong here."""

from dataclasses import dataclass

from stepmark.terms import DeviceKind


@dataclass(frozen=True)
class Device:
    """Name one device as the rank's process counts them: `index` 0 is the first that it can see.

    A process sees only the devices that it trains on, so a rank's own GPU always has the index 0.
    """

    kind: DeviceKind = "cpu"
    index: int = 0

    @property
    def torch_name(self) -> str:
        """Return PyTorch's name of the device, which records and JAX use too."""
        return "cpu" if self.kind == "cpu" else f"cuda:{self.index}"

    @property
    def tensorflow_name(self) -> str:
        """Return TensorFlow's name of the device."""
        return f"{self.kind.upper()}:{self.index}"


@dataclass(frozen=True)
class Memory:
    """Hold the most bytes of device memory that a process used, as its framework counts them.

    `allocated_peak_bytes` is what tensors occupied, and `reserved_peak_bytes` what the framework kept from the driver;
    None where the framework does not say.
    """

    allocated_peak_bytes: int | None = None
    reserved_peak_bytes: int | None = None


CPU = Device()
GPU = Device("gpu")

STEPS_AHEAD = 8
"""On a GPU the host begins a step only when the device has ended the step that is this many before it.

More would hold the memory of more batches where they are fed, and show a failure long after its step.
"""

MATMUL_SIDE = 512  # This is large enough for a few cores to come near their peak.
_GPU_SIDE, _GPU_FLOAT64_SIDE = 8192, 4096


def matmul_side(kind: DeviceKind, precision: str) -> int:
    """Return the side of the square matrices of the part `matmul`, which are large enough to load a device."""
    if kind == "cpu":
        return MATMUL_SIDE
    return _GPU_FLOAT64_SIDE if precision == "float64" else _GPU_SIDE


def matmul_flops(kind: DeviceKind, precision: str) -> int:
    """Return the floating-point operations of the part `matmul`, where a multiply-add counts 2."""
    return 2 * matmul_side(kind, precision) ** 3

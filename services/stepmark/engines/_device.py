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

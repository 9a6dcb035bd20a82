"""Have JAX train on this rank's device, keep its queue short, and read what JAX says of a GPU."""

from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from stepmark.engines._capability import Capability, refuse_what_lacks
from stepmark.engines._device import Memory
from stepmark.engines._protocol import RankContext
from stepmark.engines._support import Support
from stepmark.errors import UnsupportedHere

if TYPE_CHECKING:
    import jax


def join(context: RankContext) -> None:
    """Join the group of `context.addresses`. It must come before anything that starts a device.

    Each process has one device. Nothing else is asked for the group: JAX would look for Slurm, MPI and others.
    """
    import jax

    jax.distributed.initialize(
        coordinator_address=context.addresses[0],
        num_processes=context.world_size,
        process_id=context.rank,
        local_device_ids=[0],
        cluster_detection_method="deactivate",
        initialization_timeout=context.collective_timeout_seconds,
    )


def check_gpu(support: Support, context: RankContext) -> None:
    """Start this rank's GPU, and check that it can do what the cell asks for.

    Raises:
        UnsupportedHere: JAX finds no GPU, or one that lacks what the cell needs.
    """
    import jax

    try:
        device = jax.local_devices()[0]
    except RuntimeError as error:  # JAX_PLATFORMS asks for CUDA, and its plugin is missing or does not start.
        raise UnsupportedHere(f"JAX finds no GPU: {error}") from error
    if device.platform != "gpu":
        raise UnsupportedHere(
            f"JAX finds no GPU, only {device.platform}: install its CUDA plugin (pip install 'jax[cuda13]')"
        )
    if (capability := _capability(device)) is not None:
        refuse_what_lacks(support, context, capability)


def _capability(device: "jax.Device") -> Capability | None:
    major, _, minor = str(getattr(device, "compute_capability", "")).partition(".")
    return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else None


class Awaitable(Protocol):
    """Describe what a step returns: an array that the device may still be computing."""

    def block_until_ready(self) -> Any: ...


class RunAhead:
    """Hold the losses of steps that may be unfinished, at most `most` of them.

    The wait is for old work, so the device's queue is never empty because of it. With `most` 0 each step is waited for.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._losses: deque[Awaitable] = deque()

    def began(self, loss: Awaitable) -> None:
        """Count a step that was begun, and return when at most `most` steps are unfinished."""
        self._losses.append(loss)
        while len(self._losses) > self._most:
            self._losses.popleft().block_until_ready()

    def drained(self) -> None:
        """Forget the steps, which have all ended."""
        self._losses.clear()


def memory() -> Memory | None:
    """Return the most memory of this rank's device that was used since the process began, or None where JAX is silent.

    What is reserved is what JAX's allocator took from the driver, which by default is 75 % of the GPU's at once.
    """
    import jax

    stats = jax.local_devices()[0].memory_stats()
    if stats is None:
        return None
    return Memory(stats.get("peak_bytes_in_use"), stats.get("peak_pool_bytes"))


def inputs(batch: "tuple[jax.Array, jax.Array]") -> NDArray[Any]:
    """Return the inputs of a batch as NumPy: those on this process's first device."""
    return np.asarray(batch[0].addressable_data(0))


def transport(context: RankContext) -> str:
    """Return the name of what carries gradients between ranks; "none" where nothing does."""
    import jax

    if not context.distributed:
        return "none"
    return "nccl" if context.device.kind == "gpu" else str(jax.config.values["jax_cpu_collectives_implementation"])


def gpu_flags() -> dict[str, str]:
    """Return the name of this rank's GPU, and the versions of CUDA's libraries as far as JAX knows them."""
    import jax

    flags = {"device_name": jax.local_devices()[0].device_kind}
    with suppress(ImportError, AttributeError, RuntimeError):  # The module is JAX's own, and may change.
        from jax._src.lib import cuda_versions

        if cuda_versions is not None:  # It is None without JAX's CUDA plugin.
            flags["cuda_runtime"] = str(cuda_versions.cuda_runtime_get_version())
            flags["cudnn"] = str(cuda_versions.cudnn_get_version())
    return flags

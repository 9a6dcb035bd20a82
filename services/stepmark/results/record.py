"""The record of a launch: one launch of one cell with every rank's raw step times.

Schema history
    1  first version
    2  a cell's options and processes
    3  the parts of a step, timed alone; energy
    4  other processes on the cores; proof of the timed run; parts in every block; a launch that is made again
    5  the device: what it is, its use and memory; stamps that cover several steps; steps by the device's clock
    6  a cell's message size, where it measures a collective
    7  tokens of batches that differ in length; what was compiled again; how steps are fed from the host, and batches
       taken from the feed without training; the rest of a call of the framework's own loop
"""

import io
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field

from stepmark.plan.cells import Cell
from stepmark.results.base import Clean, Count, Long, RecordModel, Seconds, Text
from stepmark.results.certificate import Proof
from stepmark.results.device import DeviceFacts, DeviceMemory, DeviceUse
from stepmark.results.feeding import Feeding
from stepmark.results.shapes import BatchTokens, Recompilations

WARMUP_STEPS_MOST = 5000
"""The most warm-up steps of a launch, even if its steps still become faster."""

Nanoseconds = Long


class StartupSeconds(RecordModel):
    """The seconds of each phase from starting a launch to the end of its first step.

    A forked launch has the `import` time of its zygote, which is paid once per block.
    """

    spawn: Seconds
    import_: Seconds = Field(alias="import")
    group: Seconds
    build: Seconds
    first_step: Seconds

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, serialize_by_alias=True)


class Window(RecordModel):
    """A number of steps between two barriers. `host_nanoseconds` ends after the last loss has reached the host.

    `stamp_steps` is the number of steps between two stamps, of which the last stamp may cover fewer. It is 1 where the
    host sees the end of every step. `call_nanoseconds` is what one call of the framework's own loop, such as Keras'
    `fit`, took beside the window: before its first step and after its last. It is None where stepmark makes the steps.
    """

    kind: Literal["warmup", "measured"]
    steps: Annotated[int, Field(ge=1, le=2**31 - 1)]
    host_nanoseconds: Nanoseconds
    stamp_steps: Annotated[int, Field(ge=1, le=2**31 - 1)] = 1
    call_nanoseconds: Nanoseconds | None = None

    @property
    def stamps(self) -> int:
        """The number of stamps after the window's start."""
        return -(-self.steps // self.stamp_steps)


PartName = Literal[
    "step",
    "step_without_reduce",
    "step_without_update",
    "input",
    "pipeline",
    "all_reduce",
    "matmul",
    "forward_backward",
    "update",
]


class Parts(RecordModel):
    """The parts of a step, each timed alone after the windows.

    The parts are timed in turn, each from a barrier until the device is done. `step` is the whole step timed in the
    same way, `step_without_reduce` leaves out the exchange of gradients, and `step_without_update` leaves out the
    exchange and the update. `input` places the batch, or where a pipeline prepares batches during steps, is what
    `step_without_update` waited for its batch. `pipeline` holds batches that were taken from the feed one after
    another, without training and without barriers between them. `all_reduce` exchanges `reduced_bytes` of gradients in
    the buckets of training. `matmul` computes `matmul_flops` of matrix products in the precision of training. `missing`
    says why the step without its exchange was not timed, or is empty.

    Records of schema 3 have the parts in the first block only, with `forward_backward` and `update` timed by themselves
    in place of `step_without_update`.
    """

    nanoseconds: dict[PartName, Annotated[tuple[Nanoseconds, ...], Field(max_length=1000)]]
    reduced_bytes: Long | None = None
    matmul_flops: Annotated[int, Field(ge=1, le=2**63 - 1)] | None = None
    missing: Text = ""


class Interference(RecordModel):
    """How one rank's cores were used from the start of the first measured window to the end of the last.

    `seconds` is the wall time and `cores` the number of cores. The following are in CPU seconds, summed over the cores:
    `busy_cpu_seconds` is the time of all processes, `own_cpu_seconds` that of this rank and its descendants,
    `steal_seconds` what the hypervisor gave to other machines, `run_delay_seconds` the time that this rank's threads
    waited for a core, and `throttled_seconds` the time taken by the quota of its cgroup. `stopped_seconds` is the wall
    time in which the rank's supervisor saw it stopped. `limit_share` is the share of the cores' time that others may
    take, as the scenario declares it (`measurement.maxTakenShare`). None is unknown.
    """

    seconds: Seconds
    cores: Annotated[int, Field(ge=1, le=4096)]
    limit_share: Annotated[float, Field(ge=0, le=1)]
    busy_cpu_seconds: Seconds | None = None
    own_cpu_seconds: Seconds | None = None
    steal_seconds: Seconds | None = None
    run_delay_seconds: Seconds | None = None
    throttled_seconds: Seconds | None = None
    stopped_seconds: Seconds | None = None


class Departure(RecordModel):
    """A setting of the launch that is not what users of its framework get without asking.

    `ours` is the value in the launch, `usual` the value that users get, and `why` the reason for the difference.
    """

    knob: Text
    ours: Text
    usual: Text
    why: Text


class ModelFacts(RecordModel):
    """What the process of a launch counted of its model.

    `parameters` is the number of trained weights. `flops_per_sample` are the operations of forward and backward, and
    `flops_source` says what counted them; both are None where nothing could, or where the workload has a formula.
    """

    parameters: Count
    flops_per_sample: Annotated[int, Field(ge=1, le=2**63 - 1)] | None = None
    flops_source: Text | None = None


class RankReport(RecordModel):
    """What one rank's process reports of its launch.

    `energy_joules` is the energy of its device over the measured windows. `device`, `device_use` and `device_memory`
    are None on CPU cores, whose memory is `peak_memory_bytes`: the most that the process had of the host. `departures`
    are reported by rank 0 for all ranks; launches of older schemas report none, which does not mean that they had none.
    `proof` shows that the timed step trains as the reference does; it is None where no proof was asked for, or where
    the process ended before it. `model` is reported by rank 0 of own models, which have no formula. `batch_tokens` is
    None where all samples have one length, `recompilations` where nothing is compiled, and `feeding` where samples stay
    on the device. All three are None in records of schema 6 and older.
    """

    rank: Count
    host: Text
    cpus: Annotated[tuple[Count, ...], Field(max_length=4096)]
    startup_seconds: StartupSeconds
    windows: Annotated[tuple[Window, ...], Field(min_length=1, max_length=10_000)]
    peak_memory_bytes: Long | None
    first_loss: Annotated[float, Field(allow_inf_nan=False)] | None
    last_loss: Annotated[float, Field(allow_inf_nan=False)] | None
    compilations_after_warmup: Count | None
    compilations_after_window: Count | None
    flags: Annotated[dict[Text, Text], Field(max_length=64)]
    parts: Parts | None = None
    proof: Proof | None = None
    energy_joules: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    interference: Interference | None = None
    device: DeviceFacts | None = None
    device_use: DeviceUse | None = None
    device_memory: DeviceMemory | None = None
    departures: Annotated[tuple[Departure, ...], Field(max_length=32)] = ()
    model: ModelFacts | None = None
    batch_tokens: BatchTokens | None = None
    recompilations: Recompilations | None = None
    feeding: Feeding | None = None


class Failure(RecordModel):
    """Why a launch has no numbers.

    `rank` is the first rank that failed by its own fault, or None if that is unknown.
    """

    rank: Count | None
    cause: Annotated[str, Field(max_length=2000), Clean]
    stderr_tail: tuple[Annotated[str, Field(max_length=1000), Clean], ...] = ()


class LaunchHeader(RecordModel):
    """The record of a launch without its arrays.

    `attempt` is 0 for the first launch of a cell in a block, and 1 if the launch was made again.
    """

    schema_version: Literal[1, 2, 3, 4, 5, 6, 7] = 7
    launch_id: Text
    scenario_digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    cell: Cell
    block: Count
    attempt: Annotated[int, Field(ge=0, le=9)] = 0
    position: Count
    launcher: Literal["ray", "bare"]
    forked: bool
    started_at: Annotated[str, Field(max_length=40), Clean]
    wall_seconds: Seconds
    ranks: tuple[RankReport, ...] = ()
    failure: Failure | None = None


@dataclass(frozen=True)
class LaunchRecord:
    """A launch with its step times.

    `step_nanoseconds` is int64 of shape (ranks, stamps): each rank's own durations from stamp to stamp by the host's
    clock, warm-up first. A stamp ends one step, or several where the device runs ahead of the host
    (`steps_of_stamps`). The array is empty for a failed launch. `device_step_nanoseconds` is int64 of shape (ranks,
    measured steps): the duration of every measured step by the device's own clock; None where a rank's device has none.
    """

    header: LaunchHeader
    step_nanoseconds: NDArray[np.int64]
    device_step_nanoseconds: NDArray[np.int64] | None = None

    @property
    def ok(self) -> bool:
        """Whether the launch did not fail."""
        return self.header.failure is None

    @property
    def warmup_stamps(self) -> int:
        """The number of stamps of the warm-up, which are the first of `step_nanoseconds`."""
        return sum(window.stamps for window in self._windows if window.kind == "warmup")

    @property
    def steps(self) -> int:
        """The number of steps that each rank has made, warm-up included; 0 for a failed launch."""
        return int(self.steps_of_stamps.sum())

    @property
    def steps_of_stamps(self) -> NDArray[np.int64]:
        """The number of steps that each stamp covers, of shape (stamps,).

        A stamp that no window describes counts as one step, so a record that contradicts itself can be shown.
        """
        found = np.ones(self.step_nanoseconds.shape[1], dtype=np.int64)
        first = 0
        for window in self._windows:
            end = first + window.stamps
            found[first:end] = window.stamp_steps
            if end <= len(found):
                found[end - 1] = window.steps - (window.stamps - 1) * window.stamp_steps
            first = end
        return found

    @property
    def _windows(self) -> tuple[Window, ...]:
        return self.header.ranks[0].windows if self.header.ranks else ()


NO_STEPS = np.zeros((0, 0), dtype=np.int64)
"""The step times of a launch that failed."""

HOST_STEPS, DEVICE_STEPS = "step_nanoseconds", "device_step_nanoseconds"
"""The names of the arrays in an .npz of steps, of which the second is missing where no device has a clock."""


def pack_steps(host: NDArray[np.int64], device: NDArray[np.int64] | None = None) -> bytes:
    """Return `step_nanoseconds`, and `device_step_nanoseconds` where it is known, as a compressed .npz file."""
    buffer = io.BytesIO()
    if device is None:
        np.savez_compressed(buffer, step_nanoseconds=host)
    else:
        np.savez_compressed(buffer, step_nanoseconds=host, device_step_nanoseconds=device)
    return buffer.getvalue()


def unpack_steps(blob: bytes) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
    """Return the arrays that `pack_steps` packed, each int64 of two axes; None for the second where there is none.

    Raises:
        ValueError: The bytes are not such arrays.
    """
    try:
        with np.load(io.BytesIO(blob), allow_pickle=False) as arrays:
            host, device = arrays[HOST_STEPS], arrays.get(DEVICE_STEPS)
    except Exception as error:  # numpy and zipfile raise many types of error for foreign bytes
        raise ValueError(f"expected an .npz with {HOST_STEPS}, found {error}") from None
    for steps in (host, device):
        if steps is not None and (steps.dtype != np.int64 or steps.ndim != 2):
            raise ValueError(f"expected int64 of two axes, found {steps.dtype} of {steps.ndim}")
    return host, device

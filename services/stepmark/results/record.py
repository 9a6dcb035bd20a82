"""LaunchRecord: one launch of one cell, with every rank's raw step times.

Schema history
    1  first version
    2  a cell's options and processes
    3  the parts of a step, timed alone; energy
    4  others on the cores; proof of the timed run; parts in every block; a launch that is made again
"""

import io
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field

from stepmark.plan.cells import Cell
from stepmark.results.base import Clean, Count, Long, RecordModel, Text
from stepmark.results.certificate import Proof

WARMUP_STEPS_MOST = 5000
"""That a launch makes before its window, however long steps become faster."""

Nanoseconds = Long
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class StartupSeconds(RecordModel):
    """Where the time before the second step went. `import` of a forked launch is its zygote's, paid once per block."""

    spawn: Seconds
    import_: Seconds = Field(alias="import")
    group: Seconds
    build: Seconds
    first_step: Seconds

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, serialize_by_alias=True)


class Window(RecordModel):
    """A run of steps between two barriers. `host_nanoseconds` ends after the last loss has reached the host."""

    kind: Literal["warmup", "measured"]
    steps: Annotated[int, Field(ge=1, le=2**31 - 1)]
    host_nanoseconds: Nanoseconds


PartName = Literal[
    "step", "step_without_reduce", "step_without_update", "input", "all_reduce", "matmul", "forward_backward", "update"
]


class Parts(RecordModel):
    """Parts of the step, each timed alone after the windows: interleaved, from a barrier until the device is done.

    `step` is the whole step timed in the same way, `step_without_reduce` leaves out its exchange, and
    `step_without_update` that and its update. `all_reduce`: `reduced_bytes` of gradients in the buckets of training.
    `matmul`: one product of `matmul_flops` in the precision of training. `missing`: why the step without its exchange
    was not timed, or empty. Schema 3 had the parts of the first block alone, with `forward_backward` and `update` timed
    by themselves in place of the step without its update.
    """

    nanoseconds: dict[PartName, Annotated[tuple[Nanoseconds, ...], Field(max_length=1000)]]
    reduced_bytes: Long | None = None
    matmul_flops: Annotated[int, Field(ge=1, le=2**63 - 1)] | None = None
    missing: Text = ""


class Interference(RecordModel):
    """What happened on one rank's cores from the first measured window to the end of the last. None is unknown.

    `seconds` on the clock, `cores`: how many. In CPU seconds over all of them: `busy_cpu_seconds` of all processes,
    `own_cpu_seconds` of this rank's and its descendants, `steal_seconds` that the hypervisor gave to other machines,
    `run_delay_seconds` that this rank's threads waited for a core, `throttled_seconds` of its cgroup's quota.
    `stopped_seconds` on the clock: what the rank's supervisor saw of stops. `limit_share`: the share of the cores'
    time that others may take, as declared before (`measurement.maxTakenShare`).
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
    """A setting with which the launch was not what its framework's users get unasked: its value, theirs, and why."""

    knob: Text
    ours: Text
    usual: Text
    why: Text


class RankReport(RecordModel):
    """What one rank's process says of its launch. `energy_joules`: of its device, over the measured windows.

    `departures`: rank 0 says them for all. Launches of older schemas say none, which is not the same as having none.
    `proof`: that what was timed trains as the reference does; None where none was asked for, or the process ended
    before it.
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
    departures: Annotated[tuple[Departure, ...], Field(max_length=32)] = ()


class Failure(RecordModel):
    """Why a launch has no numbers. `rank` is the first that failed by its own fault, where that is known."""

    rank: Count | None
    cause: Annotated[str, Field(max_length=2000), Clean]
    stderr_tail: tuple[Annotated[str, Field(max_length=1000), Clean], ...] = ()


class LaunchHeader(RecordModel):
    """Everything of a launch but its arrays. `attempt`: 0 for the first of its cell and block, 1 if made again."""

    schema_version: Literal[1, 2, 3, 4] = 4
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
    """`step_nanoseconds` is int64 of shape (ranks, steps): each rank's own step durations, warm-up first.

    It is empty for a failed launch.
    """

    header: LaunchHeader
    step_nanoseconds: NDArray[np.int64]

    @property
    def ok(self) -> bool:
        return self.header.failure is None

    @property
    def warmup_steps(self) -> int:
        """The first so many steps of `step_nanoseconds` are warm-up."""
        return sum(window.steps for window in self.header.ranks[0].windows if window.kind == "warmup")


NO_STEPS = np.zeros((0, 0), dtype=np.int64)


def pack_steps(step_nanoseconds: NDArray[np.int64]) -> bytes:
    """Compressed .npz of the array."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, step_nanoseconds=step_nanoseconds)
    return buffer.getvalue()


def unpack_steps(blob: bytes) -> NDArray[np.int64]:
    """The array of `pack_steps`.

    Raises:
        ValueError: the bytes are not such an array.
    """
    try:
        with np.load(io.BytesIO(blob), allow_pickle=False) as arrays:
            steps = arrays["step_nanoseconds"]
    except Exception as error:  # numpy and zipfile raise many kinds for foreign bytes
        raise ValueError(f"expected an .npz with step_nanoseconds, found {error}") from None
    if steps.dtype != np.int64 or steps.ndim != 2:
        raise ValueError(f"expected int64 of two axes, found {steps.dtype} of {steps.ndim}")
    return steps

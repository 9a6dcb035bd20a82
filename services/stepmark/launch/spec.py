"""Define what one rank's process is told, and what its supervisor gets back."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from stepmark.engines._device import Device
from stepmark.engines._protocol import RankContext
from stepmark.plan.blocks import Launch
from stepmark.plan.cells import Cell
from stepmark.plan.foreign import WorkloadFile
from stepmark.results.certificate import ProbeReport
from stepmark.results.learning import LearningReport
from stepmark.results.record import Failure, RankReport
from stepmark.results.starts import StartReport
from stepmark.scenario.data import Data
from stepmark.scenario.model import Measurement, Training, WorkloadChoice


class _Part(BaseModel):
    """Forbid changes and unknown fields in the parts of a launch's contract."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class RankGroup(_Part):
    """Describe this rank's place among the processes of a launch.

    `addresses` holds the host:port of every rank for the framework's group, agreed anew for each launch.
    `control_address` is the host:port where rank 0 listens for the other ranks outside the framework, and
    `control_token` is the secret by which they identify themselves.
    """

    rank: int
    addresses: tuple[str, ...]
    control_address: str
    control_token: str

    @property
    def world_size(self) -> int:
        """Return the number of processes."""
        return len(self.addresses)


class Placement(_Part):
    """Say where this rank runs: the name of its node, the cores it is pinned to, its device, and its own folder.

    `gpus` holds the UUIDs of the GPUs that the process may see; it is empty on CPU cores, which see none.
    """

    node: str
    cpus: tuple[int, ...]
    device: Device
    gpus: tuple[str, ...] = ()
    directory: Path


class LaunchSpec(_Part):
    """Describe one rank's part of one launch. The rank's supervisor makes it once; it is never written by a person.

    `launch` names the cell, the block, the launch's seed, and the parity check if it is one. `training` is the
    scenario's, with the number of micro-batches that this launch makes. `reference` is the file that a parity check
    writes or compares with, or that a timed launch is compared with after its windows; it is None where nothing is to
    be proven. `requested_at_ns` is the reading of `perf_counter_ns` when the launch was requested.
    `zygote_import_seconds` is the time that the zygote of this rank took to import its framework; it is None for a
    fresh process. `workload_file` is the person's own file with the workload, or None where a package has it.
    """

    launch: Launch
    workload: WorkloadChoice
    data: Data
    training: Training
    measurement: Measurement
    group: RankGroup
    placement: Placement
    reference: Path | None
    requested_at_ns: int
    zygote_import_seconds: float | None = None
    workload_file: WorkloadFile | None = None

    @property
    def cell(self) -> Cell:
        """Return the cell that is measured or checked."""
        return self.launch.cell

    @property
    def stamps_most(self) -> int:
        """Return the most stamps after the warm-up, with the starts of the windows of a launch that is evaluated."""
        target = self.launch.target
        return self.measurement.max_steps if target is None else 2 * target.max_steps

    @property
    def is_check(self) -> bool:
        """Return whether this is a parity check, in which nothing is timed."""
        return self.launch.probe is not None

    def rank_context(self) -> RankContext:
        """Return what the engine needs to know of this rank."""
        cell, measurement = self.cell, self.measurement
        return RankContext(
            rank=self.group.rank,
            world_size=self.group.world_size,
            strategy=cell.strategy,
            variant=cell.variant,
            execution=cell.execution,
            precision=cell.precision,
            addresses=self.group.addresses,
            threads=len(self.placement.cpus),
            seed=measurement.seed,
            launch_seed=self.launch.seed,
            block=self.launch.block,
            # The supervisor's watchdog acts first and names the rank. This limit works where nothing watches.
            collective_timeout_seconds=measurement.step_timeout_seconds + 30,
            feed_each_step=self.data.source == "host",
            transform=self.data.transform,
            replicas=cell.replicas,
            accumulate=self.training.gradient_accumulation,
            clip_global_norm=self.training.clip_global_norm,
            optimizer=self.training.optimizer,
            options=cell.options,
            device=self.placement.device,
            message_bytes=cell.message_bytes,
        )


class RankOutcome(BaseModel):
    """Say how one rank's process ended.

    It holds a report with its steps, the report of a parity check, of a start or of a learning launch, or a failure.
    `steps_npz` is what `pack_steps` makes of this rank's times, each array with one row. `forked` says whether the
    process was forked from a zygote. `stalled_seconds` is the limit of seconds without a step that this rank exceeded,
    or None where it did not.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rank: int
    report: RankReport | None = None
    probe: ProbeReport | None = None
    start: StartReport | None = None
    learning: LearningReport | None = None
    failure: Failure | None = None
    steps_npz: Annotated[bytes, Field(max_length=1 << 24)] = b""
    steps_done: int = 0
    stalled_seconds: int | None = None
    forked: bool = True
    started_at: float = 0.0
    wall_seconds: float = 0.0

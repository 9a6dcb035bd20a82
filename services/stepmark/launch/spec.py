"""What one rank's process is told, and what its supervisor gets back."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from stepmark.engines._device import Device
from stepmark.engines._protocol import RankContext
from stepmark.plan.blocks import Launch
from stepmark.plan.cells import Cell
from stepmark.results.certificate import ProbeReport
from stepmark.results.record import Failure, RankReport
from stepmark.scenario.model import Data, Measurement, Training, WorkloadChoice


class _Part(BaseModel):
    """A part of a launch's contract: nothing in it changes, and nothing unknown is accepted."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class RankGroup(_Part):
    """This rank among the processes of a launch.

    `addresses`: host:port of every rank for the framework's group, agreed anew for each launch; `control_address`:
    host:port where rank 0 listens for the others outside the framework; `control_token`: what they prove themselves
    with.
    """

    rank: int
    addresses: tuple[str, ...]
    control_address: str
    control_token: str

    @property
    def world_size(self) -> int:
        """Number of processes."""
        return len(self.addresses)


class Placement(_Part):
    """Where this rank runs: the node's name, the cores it is pinned to, its device, and a folder of its own."""

    node: str
    cpus: tuple[int, ...]
    device: Device
    directory: Path


class LaunchSpec(_Part):
    """One rank's part of one launch. Made once, by the rank's supervisor, and handed down whole; never by a person.

    `launch`: the cell, the block, the launch's seed, and whether it is a parity check. `training`: the scenario's, with
    the number of micro-batches that this launch makes. `reference`: the file of the reference that a parity check
    writes or compares with, or that a timed launch is compared with after its windows; None where nothing is to be
    proven. `zygote_import_seconds`: what the zygote that this rank was forked from took to import its framework.
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

    @property
    def cell(self) -> Cell:
        """What is measured or checked."""
        return self.launch.cell

    @property
    def is_check(self) -> bool:
        """Whether this is a parity check, of which nothing is timed."""
        return self.launch.probe is not None

    def rank_context(self) -> RankContext:
        """What the engine needs to know of it."""
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
            # The supervisor's watchdog comes first and names the rank; this bound is for when nobody watches.
            collective_timeout_seconds=measurement.step_timeout_seconds + 30,
            feed_each_step=self.data.source == "host",
            replicas=cell.replicas,
            accumulate=self.training.gradient_accumulation,
            clip_global_norm=self.training.clip_global_norm,
            options=cell.options,
            device=self.placement.device,
        )


class RankOutcome(BaseModel):
    """How one rank's process ended: with a report and its steps (`pack_steps` of shape (1, steps)), with the report of
    a parity check, or with a failure.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rank: int
    report: RankReport | None = None
    probe: ProbeReport | None = None
    failure: Failure | None = None
    steps_npz: Annotated[bytes, Field(max_length=1 << 24)] = b""
    steps_done: int = 0
    started_at: float = 0.0
    wall_seconds: float = 0.0

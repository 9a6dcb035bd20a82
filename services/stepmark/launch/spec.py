"""What one rank's process is told, and what its supervisor gets back."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from stepmark.engines._protocol import RankContext
from stepmark.results.certificate import ProbeReport
from stepmark.results.record import Failure, RankReport


class ProbeSpec(BaseModel):
    """A parity check instead of a measurement: write the reference's results to `file`, or compare with them.

    `logits`: also those of the first batch.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: Path
    writes: bool
    logits: bool


class LaunchSpec(BaseModel):
    """One rank's part of one launch. Written by a supervisor, never by a person.

    `proof`: the file of the reference of the timed batches, where the launch is to be proven after its windows.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    launch_id: str
    block: int
    engine: str
    strategy: str
    variant: str | None
    execution: str
    precision: str
    options: tuple[str, ...]
    accumulate: int
    clip_global_norm: float | None
    model: str
    params: dict[str, JsonValue]
    data_source: str
    global_batch: int
    rank: int
    node: str
    world_size: int
    replicas: int
    addresses: tuple[str, ...]
    control_address: str
    control_token: str
    cpus: tuple[int, ...]
    seed: int
    launch_seed: int
    warmup_steps: int
    warmup_seconds: float
    min_steps: int
    max_steps: int
    min_seconds: float
    launch_timeout_seconds: int
    step_timeout_seconds: int
    max_taken_share: float
    memory_limit_bytes: int | None
    probe: ProbeSpec | None
    proof: Path | None
    times_parts: bool
    directory: Path
    requested_at_ns: int
    zygote_import_seconds: float | None = None

    def rank_context(self) -> RankContext:
        return RankContext(
            rank=self.rank,
            world_size=self.world_size,
            strategy=self.strategy,
            variant=self.variant,
            execution=self.execution,
            precision=self.precision,
            addresses=self.addresses,
            threads=len(self.cpus),
            seed=self.seed,
            launch_seed=self.launch_seed,
            block=self.block,
            # The supervisor's watchdog comes first and names the rank; this bound is for when nobody watches.
            collective_timeout_seconds=self.step_timeout_seconds + 30,
            feed_each_step=self.data_source == "host",
            replicas=self.replicas,
            accumulate=self.accumulate,
            clip_global_norm=self.clip_global_norm,
            options=self.options,
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

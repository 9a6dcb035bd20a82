"""What /metrics shows, as plain figures: the collector is given these and knows no database."""

from pydantic import BaseModel, ConfigDict


class FiguresModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CellFigures(FiguresModel):
    """The newest result of one configuration. None is unknown. `parity` and `verdict` are words of the analysis."""

    scenario: str
    scenario_namespace: str = ""
    candidate: str
    engine: str
    strategy: str
    execution: str
    precision: str
    workers: int
    verdict: str
    parity: str
    ended_at: float
    samples_per_second: float | None
    samples_per_second_low: float | None
    samples_per_second_high: float | None
    step_seconds_p50: float | None
    step_seconds_p95: float | None
    step_seconds_p99: float | None
    speedup: float | None
    efficiency: float | None
    exposed_communication_ratio: float | None
    wait_ratio: float | None
    mfu: float | None
    peak_memory_bytes: int | None
    joules_per_sample: float | None


class PairFigures(FiguresModel):
    """The newest result of one comparison. `ratio`: step time over the reference's."""

    scenario: str
    scenario_namespace: str = ""
    candidate: str
    reference: str
    execution: str
    precision: str
    workers: int
    verdict: str
    ratio: float | None
    ratio_low: float | None
    ratio_high: float | None


class RunState(FiguresModel):
    """How the newest run of a scenario stands."""

    scenario: str
    scenario_namespace: str = ""
    outcome: str
    reason: str


class RunCount(FiguresModel):
    """How many runs stand so."""

    outcome: str
    reason: str
    runs: int


class Service(FiguresModel):
    """The hub itself. `queue_*`: executions that no figure stands on yet; `unseen_seconds`: None if none is running.

    `volume_*`: of a SQLite database; None elsewhere. `damaged`: rows that were left out here.
    """

    stepmark_version: str
    schema_revision: str | None
    database_bytes: int
    volume_bytes: int | None = None
    volume_free_bytes: int | None = None
    damaged: int = 0
    runs: tuple[RunCount, ...]
    unseen_seconds: float | None
    queue_running: int
    queue_ended: int


class Snapshot(FiguresModel):
    """Everything at one time; lists are newest first. The `*_stored` are how many there are, if not all were read."""

    cells: tuple[CellFigures, ...]
    cells_stored: int
    pairs: tuple[PairFigures, ...]
    pairs_stored: int
    scenarios: tuple[RunState, ...]
    scenarios_stored: int
    service: Service

"""The figures that /metrics shows, as plain models, so that the collector needs no database."""

from pydantic import BaseModel, ConfigDict


class FiguresModel(BaseModel):
    """Base of all models of this module: frozen, with unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DeviceFigures(FiguresModel):
    """The GPUs that a cell was measured on; `device` is their name as a label. None is unknown."""

    device: str | None
    sm_clock_hz: float | None
    power_watts: float | None
    power_capped_ratio: float | None
    memory_bytes: int | None


class InputFigures(FiguresModel):
    """What the steps of a cell are fed: waits and the feed's own pace, and what different lengths cost.

    `tokens_per_second` counts tokens without padding, of all workers. None is unknown.
    """

    wait_ratio: float | None
    ceiling_samples_per_second: float | None
    tokens_per_second: float | None
    padding_ratio: float | None
    recompiles: float | None
    compile_seconds: float | None


class CellFigures(FiguresModel):
    """The newest result of one cell's configuration.

    `parity` and `verdict` are words of the analysis. None is unknown; `devices` is None on CPU cores,
    and `inputs` where samples of one length stay on the device.
    """

    scenario: str
    scenario_namespace: str = ""
    candidate: str
    engine: str
    strategy: str
    execution: str
    precision: str
    workers: int
    batch: str = ""
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
    devices: DeviceFigures | None = None
    inputs: InputFigures | None = None


class PairFigures(FiguresModel):
    """The newest result of one comparison. `ratio` is the step time over the reference's."""

    scenario: str
    scenario_namespace: str = ""
    candidate: str
    reference: str
    execution: str
    precision: str
    workers: int
    batch: str = ""
    verdict: str
    ratio: float | None
    ratio_low: float | None
    ratio_high: float | None


class CollectiveFigures(FiguresModel):
    """The newest result of one collective with messages of one size: its mean time and its bus bandwidth."""

    scenario: str
    scenario_namespace: str = ""
    candidate: str
    engine: str
    strategy: str
    precision: str
    workers: int
    collective: str
    message_bytes: int
    latency_seconds: float
    bus_bytes_per_second: float
    bus_bytes_per_second_low: float | None
    bus_bytes_per_second_high: float | None


class RunState(FiguresModel):
    """The state of the newest run of a scenario."""

    scenario: str
    scenario_namespace: str = ""
    outcome: str
    reason: str


class RunCount(FiguresModel):
    """The number of runs with one outcome and reason."""

    outcome: str
    reason: str
    runs: int


class Service(FiguresModel):
    """The state of the hub itself.

    `queue_running` and `queue_ended` count executions with records that no figure is derived from yet. `unseen_seconds`
    is the longest silence of a running execution, None if none is running. `volume_bytes` and `volume_free_bytes`
    describe the volume of a SQLite database, None for others. `damaged` counts the rows that were left out of the
    snapshot.
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
    """All figures of a hub at one time; lists are newest first.

    The `*_stored` fields count what is stored, since not all of it may have been read.
    """

    cells: tuple[CellFigures, ...]
    cells_stored: int
    pairs: tuple[PairFigures, ...]
    pairs_stored: int
    collectives: tuple[CollectiveFigures, ...]
    collectives_stored: int
    scenarios: tuple[RunState, ...]
    scenarios_stored: int
    service: Service

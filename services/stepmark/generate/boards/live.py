"""The dashboard of a run while it is measured: figures from its driver, with metrics of the machines as context."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from stepmark.generate.boards import _clusters
from stepmark.generate.boards import _panels as panels
from stepmark.generate.boards._layout import Page, Panel, Row, Variable, built, choice, choices
from stepmark.generate.boards._panels import GOOD, PLAIN, SAMPLES
from stepmark.generate.boards._queries import CELL_LEGEND, newest, of_workload
from stepmark.generate.boards._shared import most_silent
from stepmark.telemetry import names
from stepmark.telemetry.names import CELL, External

_PAGE = Page(
    "stepmark-live",
    "One run, live",
    "Progress and running throughput of a plan, with GPUs and nodes as context. Figures that count come from the hub.",
    since="now-1h",
    refresh="10s",
)
_RUN = 'scenario=~"$scenario"'


def board() -> Dashboard:
    """Return the dashboard `One run, live`."""
    return built(_PAGE, _variables(), [_progress(), _speed(), _gpus(), _gpu_state(), _nodes()])


def _variables() -> list[Variable]:
    pods = f"{of_workload(names.GPU_UTILIZATION, '.+')} or {of_workload(names.RAY_MEMORY, '.+')}"
    return [
        choice("scenario", "Scenario", f"label_values({names.LIVE_LAUNCHES_DONE}, scenario)"),
        choices("workload", "Pods", f"query_result(group by (workload) ({pods}))", '/workload="([^"]+)"/'),
    ]


def _progress() -> Row:
    progress = panels.figure(
        "Progress",
        "Launches that have ended, over those planned. Blocks may be added until the precision asked for is reached.",
        "percentunit",
        newest(names.LIVE_PROGRESS, _RUN),
        [(None, "blue"), (1, GOOD)],
    )
    done = panels.figure(
        "Launches done", "That have ended.", "none", newest(names.LIVE_LAUNCHES_DONE, _RUN), [(None, PLAIN)]
    )
    planned = panels.figure(
        "Launches planned", "As the plan stands.", "none", newest(names.LIVE_LAUNCHES_PLANNED, _RUN), [(None, PLAIN)]
    )
    cell = panels.names(
        "Measured now",
        "The cell that is measured: none between launches.",
        {CELL_LEGEND: newest(names.LIVE_CELL, _RUN)},
    )
    return Row("Progress", 4, ((6, progress), (4, done), (4, planned), (10, cell)))


def _speed() -> Row:
    live = newest(names.LIVE_SAMPLES_PER_SECOND, _RUN)
    past = f"{newest(names.THROUGHPUT, _RUN)} and on ({_clusters.labels(('scenario', *CELL))}) {live}"
    throughput = panels.graph(
        "Running throughput",
        "Of the cell that is measured now, beside the newest stored result of the same configuration.",
        SAMPLES,
        {f"{CELL_LEGEND} now": live, f"{CELL_LEGEND} stored": past},
    )
    steps = panels.graph(
        "Steps per second",
        "All steps, warm-up included.",
        "ops",
        {CELL_LEGEND: f"sum without (instance, pod) (rate({names.LIVE_STEPS}{{{_RUN}}}[$__rate_interval]))"},
    )
    return Row("Speed", 10, ((14, throughput), (10, steps)))


def _gpu(title: str, about: str, unit: str, external: External) -> Panel:
    return panels.graph(
        title, f"{about} From {external.source}.", unit, {"{{workload}} {{gpu}}": of_workload(external)}
    )


def _gpus() -> Row:
    busy = _gpu(
        "GPU busy", "Share of time in which a kernel ran: no measure of speed.", "percentunit", names.GPU_UTILIZATION
    )
    tensor = _gpu("Tensor cores busy", "Share of cycles.", "percentunit", names.GPU_TENSOR)
    memory = _gpu("GPU memory", "In use.", "bytes", names.GPU_MEMORY)
    return Row("GPUs", 8, ((8, busy), (8, tensor), (8, memory)))


def _gpu_state() -> Row:
    clock = _gpu("GPU clock", "A clock that falls during a run explains a slowdown.", "hertz", names.GPU_CLOCK)
    power = _gpu("GPU power", "At the limit, the clock falls.", "watt", names.GPU_POWER)
    heat = _gpu("GPU temperature", "Hot devices lower their clock.", "celsius", names.GPU_TEMPERATURE)
    fault = _gpu(
        "Last GPU fault", "Number of the Xid, 0 where there was none: it tells of a broken run.", "none", names.GPU_XID
    )
    return Row("Clocks, power and faults", 8, ((6, clock), (6, power), (6, heat), (6, fault)))


def _nodes() -> Row:
    cpu = panels.graph(
        "Node CPUs", "Share in use. From Ray.", "percentunit", {"{{workload}}": of_workload(names.RAY_CPU)}
    )
    memory = panels.graph("Node memory", "In use. From Ray.", "bytes", {"{{workload}}": of_workload(names.RAY_MEMORY)})
    silent = most_silent(
        "Hub has last heard of a run",
        "How long the most silent running run was not heard of: after five minutes it counts as lost.",
    )
    return Row("Nodes and hub", 8, ((10, cpu), (10, memory), (4, silent)))

"""One scenario: its candidates beside each other, with what may be claimed of them and why."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from stepmark.telemetry import names
from stepmark.telemetry.boards import _panels as panels
from stepmark.telemetry.boards._layout import Page, Row, Variable, built, choice, choices
from stepmark.telemetry.boards._panels import SAMPLES, Column
from stepmark.telemetry.boards._queries import CELL_LEGEND, PAIR_LEGEND, by, newest, state_as, with_state
from stepmark.telemetry.names import CONFIGURATION, PAIR

_PAGE = Page(
    "stepmark-frameworks",
    "Framework comparison",
    "The candidates of one scenario beside each other: speed with its interval, what is claimed, what it costs.",
)
_KINDS = 'scenario=~"$scenario", precision=~"$precision", workers=~"$workers"'
_CELLS = f'{_KINDS}, execution=~"$execution"'


def board() -> Dashboard:
    return built(_PAGE, variables(), [_verdict(), _speed(), _steps(), _cost(), _over_time()])


def variables() -> list[Variable]:
    one = f'{names.VERDICT}{{scenario=~"$scenario"}}'
    return [
        choice("scenario", "Scenario", f"label_values({names.VERDICT}, scenario)"),
        choices("execution", "Execution", f"label_values({one}, execution)"),
        choices("precision", "Precision", f"label_values({one}, precision)"),
        choices("workers", "Workers", f"label_values({one}, workers)"),
    ]


def _verdict() -> Row:
    claims = panels.rows(
        "Against the reference",
        "Step time over the reference's at the same level, with its 95 % interval: below 1 is faster.",
        (*PAIR[1:], "state"),
        [
            Column(title, with_state(PAIR[1:], metric, names.PAIR_VERDICT, _KINDS), decimals=3)
            for title, metric in (("ratio", names.PAIR_RATIO), ("low", names.PAIR_LOW), ("high", names.PAIR_HIGH))
        ],
    )
    labels = CONFIGURATION[1:]
    proven = panels.rows(
        "What is proven of each configuration",
        "Whether its steps are steady, and whether it trains the same model as the reference.",
        (*labels, "verdict", "parity"),
        [
            Column(
                "",
                f"{state_as('verdict', labels, names.VERDICT, _CELLS)} * on ({', '.join(labels)})"
                f" group_left (parity) {state_as('parity', labels, names.PARITY, _CELLS)}",
            )
        ],
    )
    return Row("Verdict", 9, ((12, claims), (12, proven)))


def _speed() -> Row:
    throughput = panels.bars(
        "Throughput",
        "Samples per second of the whole job: mean over launches.",
        SAMPLES,
        {CELL_LEGEND: f"sort_desc({newest(names.THROUGHPUT, _CELLS)})"},
    )
    intervals = panels.rows(
        "Throughput with its interval",
        "95 % interval over blocks.",
        ("candidate", "execution", "precision", "workers"),
        [
            Column(title, by(("candidate", "execution", "precision", "workers"), metric, _CELLS), SAMPLES)
            for title, metric in (
                ("throughput", names.THROUGHPUT),
                ("low", names.THROUGHPUT_LOW),
                ("high", names.THROUGHPUT_HIGH),
            )
        ],
    )
    return Row("Speed", 9, ((12, throughput), (12, intervals)))


def _steps() -> Row:
    labels = ("candidate", "execution", "precision", "workers")
    steps = panels.rows(
        "Step time",
        "Percentiles of the steady steps; of each step the slowest rank counts.",
        labels,
        [Column(stat, by(labels, names.STEP, f'{_CELLS}, stat="{stat}"'), "s", 4) for stat in names.STATS],
    )
    tail = panels.bars(
        "p99 over p50",
        "How much longer the slowest of a hundred steps is: 1 would be perfectly even.",
        "none",
        {
            CELL_LEGEND: f"{by(labels, names.STEP, _CELLS + ', ' + _stat('p99'))}"
            f" / {by(labels, names.STEP, _CELLS + ', ' + _stat('p50'))}"
        },
    )
    return Row("Steps", 9, ((12, steps), (12, tail)))


def _stat(name: str) -> str:
    return f'stat="{name}"'


def _cost() -> Row:
    memory = panels.bars(
        "Peak memory of a worker",
        "Of the device; of the process on a CPU.",
        "bytes",
        {CELL_LEGEND: newest(names.MEMORY, _CELLS)},
    )
    energy = panels.bars(
        "Energy per sample",
        "Of all devices, by their own counters; absent where they have none.",
        "joule",
        {CELL_LEGEND: newest(names.ENERGY, _CELLS)},
    )
    mfu = panels.bars(
        "Model FLOPs utilization",
        "FLOPs of the model over the vendor's peak; absent where the peak is not known.",
        "percentunit",
        {CELL_LEGEND: newest(names.MFU, _CELLS)},
    )
    return Row("Cost", 8, ((8, memory), (8, energy), (8, mfu)))


def _over_time() -> Row:
    ratio = panels.graph(
        "Ratio over time",
        "Step time over the reference's, with the ends of its interval.",
        "none",
        {
            PAIR_LEGEND: newest(names.PAIR_RATIO, _KINDS),
            f"{PAIR_LEGEND} low": newest(names.PAIR_LOW, _KINDS),
            f"{PAIR_LEGEND} high": newest(names.PAIR_HIGH, _KINDS),
        },
        lowest=None,
    )
    throughput = panels.graph(
        "Throughput over time",
        "A step in a line is a new run.",
        SAMPLES,
        {CELL_LEGEND: newest(names.THROUGHPUT, _CELLS)},
    )
    return Row("Over time", 10, ((12, throughput), (12, ratio)))

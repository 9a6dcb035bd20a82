"""The dashboard of one scenario that compares its candidates: their speed, the verdicts, and the reasons."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from stepmark.generate.boards import _clusters
from stepmark.generate.boards import _panels as panels
from stepmark.generate.boards._layout import Page, Panel, Row, built, choices
from stepmark.generate.boards._panels import SAMPLES, Column
from stepmark.generate.boards._queries import CELL_LEGEND, PAIR_LEGEND, by, newest, state_as
from stepmark.generate.boards._shared import claims, of_scenario
from stepmark.telemetry import names
from stepmark.telemetry.names import CONFIGURATION, PAIR, Metric

_PAGE = Page(
    "stepmark-frameworks",
    "Framework comparison",
    "The candidates of one scenario beside each other: speed with its interval, what is claimed, what it costs.",
)
_KINDS = 'scenario=~"$scenario", precision=~"$precision", workers=~"$workers"'
_CELLS = f'{_KINDS}, execution=~"$execution"'
_WHICH = ("candidate", "execution", "precision", "workers", "batch")


def board() -> Dashboard:
    """Return the dashboard `Framework comparison`."""
    variables = of_scenario(names.VERDICT, choices, ("execution", "precision", "workers"))
    return built(_PAGE, variables, [_verdict(), _speed(), _steps(), _input(), _cost(), _devices(), _over_time()])


def _bars(title: str, about: str, unit: str, metric: Metric) -> Panel:
    return panels.bars(title, about, unit, {CELL_LEGEND: newest(metric, _CELLS)})


def _column(title: str, metric: Metric, selector: str = _CELLS, unit: str = SAMPLES, decimals: int = 2) -> Column:
    """Return a column with a figure of each configuration."""
    return Column(title, by(_WHICH, metric, selector), unit, decimals)


def _verdict() -> Row:
    pairs = claims(
        "Step time over the reference's at the same level, with its 95 % interval: below 1 is faster.", PAIR[1:], _KINDS
    )
    labels = CONFIGURATION[1:]
    proven = panels.rows(
        "What is proven of each configuration",
        "Whether its steps are steady, and whether it trains the same model as the reference.",
        (*labels, "verdict", "parity"),
        [
            Column(
                "",
                f"{state_as('verdict', labels, names.VERDICT, _CELLS)} * on ({_clusters.labels(labels)})"
                f" group_left (parity) {state_as('parity', labels, names.PARITY, _CELLS)}",
            )
        ],
    )
    return Row("Verdict", 9, ((12, pairs), (12, proven)))


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
        _WHICH,
        [
            _column("throughput", names.THROUGHPUT),
            _column("low", names.THROUGHPUT_LOW),
            _column("high", names.THROUGHPUT_HIGH),
        ],
    )
    return Row("Speed", 9, ((12, throughput), (12, intervals)))


def _steps() -> Row:
    steps = panels.rows(
        "Step time",
        "Percentiles of the steady steps; of each step the slowest rank counts.",
        _WHICH,
        [_column(stat, names.STEP, _of_steps(stat), "s", 4) for stat in names.STATS],
    )
    p50, p99 = (by(_WHICH, names.STEP, _of_steps(stat)) for stat in ("p50", "p99"))
    tail = panels.bars(
        "p99 over p50",
        "How much longer the slowest of a hundred steps is: 1 would be perfectly even.",
        "none",
        {CELL_LEGEND: f"{p99} / {p50}"},
    )
    return Row("Steps", 9, ((12, steps), (12, tail)))


def _of_steps(stat: str) -> str:
    return f'{_CELLS}, stat="{stat}"'


def _input() -> Row:
    """Return what feeding and lengths cost; of samples of one length that stay on the device it shows nothing."""
    rate = by(_WHICH, names.THROUGHPUT, _CELLS)
    fed = panels.rows(
        "Input",
        "How long steps wait for their batches, and how fast the feed is without training: a feed that is hardly faster"
        " than the training limits it.",
        _WHICH,
        [
            _column("waits", names.INPUT_WAIT, unit="percentunit", decimals=1),
            _column("feed alone", names.INPUT_CEILING),
            Column("over training", f"{by(_WHICH, names.INPUT_CEILING, _CELLS)} / {rate}", "none"),
        ],
    )
    lengths = panels.rows(
        "Batches of different lengths",
        "Tokens a second count no padding. Compilations are those for new shapes, in one launch.",
        _WHICH,
        [
            _column("tokens/s", names.TOKENS, unit="none", decimals=0),
            _column("padding", names.PADDING, unit="percentunit", decimals=1),
            _column("compiled again", names.RECOMPILES, unit="none", decimals=0),
            _column("compiling took", names.COMPILE_SECONDS, unit="s", decimals=1),
        ],
    )
    return Row("Input", 9, ((12, fed), (12, lengths)))


def _cost() -> Row:
    memory = _bars("Peak memory of a worker", "Of its process, on the host.", "bytes", names.MEMORY)
    energy = _bars(
        "Energy per sample",
        "Of all devices, by their own counters; absent where they have none.",
        "joule",
        names.ENERGY,
    )
    mfu = _bars(
        "Model FLOPs utilization",
        "FLOPs of the model over the vendor's peak; absent where the peak is not known.",
        "percentunit",
        names.MFU,
    )
    return Row("Cost", 8, ((8, memory), (8, energy), (8, mfu)))


def _devices() -> Row:
    kinds = panels.rows(
        "GPUs",
        "What each configuration was measured on. Clocks and power are means over measured steps; throttled is the"
        " share of the time in which the power limit lowered the clocks.",
        (*_WHICH, "device"),
        [
            Column(title, _by_device(metric), unit, decimals)
            for title, metric, unit, decimals in (
                ("clock", names.DEVICE_CLOCK, "hertz", 2),
                ("power", names.DEVICE_POWER, "watt", 0),
                ("throttled", names.DEVICE_CAPPED, "percentunit", 1),
            )
        ],
    )
    memory = _bars("Peak GPU memory of a worker", "Of all its GPUs' memory in use.", "bytes", names.DEVICE_MEMORY)
    return Row("GPUs", 8, ((16, kinds), (8, memory)))


def _by_device(metric: Metric) -> str:
    """Return an expression for a figure of GPUs with their name as a label."""
    named = by((*_WHICH, "device"), names.DEVICE, _CELLS)
    return f"{by(_WHICH, metric, _CELLS)} * on ({_clusters.labels(_WHICH)}) group_left (device) {named}"


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

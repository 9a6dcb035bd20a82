"""List what a reader must know beside the table: one sentence for each kind of trouble, with count and remedy."""

from collections import Counter
from collections.abc import Iterator, Sequence

from stepmark.analysis.cells import CellResult
from stepmark.analysis.summary import Summary
from stepmark.report import collectives, lengths, machine, ranking, sentences, words
from stepmark.results.certificate import TRANSPORT

# Verdicts of cells that have figures, and what a reader can do about them.
_REMEDIES = {
    "undecided": "the windows are too short for the noise to tell whether steps were steady. Raise minSeconds",
    "drifting": "the steps changed over the steady part. Raise warmupSeconds and minSeconds",
    "slowdown": "the steps became slower and stayed so. Look at temperature, clocks and other work",
    "no steady state": "the last level holds too little of the window. Raise warmupSeconds and minSeconds",
}
# Verdicts of cells without figures; their reasons say what to do.
_WITHOUT_FIGURES = ("failed", "not measured", "unsupported")


def notes(summary: Summary) -> list[str]:
    """Return the notes, the most serious first."""
    return [
        *_without_figures(summary.cells),
        *_failed_launches(summary.cells),
        *_parity(summary),
        *_slow_ranks(summary),
        *_unsteady(summary.cells),
        *_devices(summary.cells),
        *_transports(summary),
        *_calls(summary.cells),
        *_ranking(summary),
        *(f"{line}." for line in lengths.lines(summary)),
        *(f"Bus bandwidth of {line}." for line in collectives.limits(summary)),
        f"{machine.sentence(summary)}",
        *_departures(summary),
        *([f"{family}."] if (family := words.family(summary.family)) else []),
    ]


# These are the words for one cell and for several cells.
_WORDS = {
    "failed": ("failed", "failed"),
    "not measured": ("was not measured", "were not measured"),
    "unsupported": ("is unsupported", "are unsupported"),
    "not comparable": ("is not comparable", "are not comparable"),
    "undecided": ("is undecided", "are undecided"),
    "drifting": ("drifted", "drifted"),
    "slowdown": ("slowed down", "slowed down"),
    "no steady state": ("has no steady state", "have no steady state"),
}


def _cells(count: int, total: int, verdict: str) -> str:
    """Return how many of all cells have this verdict, in words."""
    return f"{count} of {total} cells {_WORDS[verdict][count > 1]}"


def _first(found: Sequence[tuple[str, str]]) -> str:
    """Return the first cell's text, and how many more there are."""
    key, text = found[0]
    more = f" ({len(found) - 1} more in report.md)" if len(found) > 1 else ""
    return f"{key}: {text}{more}."


def _without_figures(cells: Sequence[CellResult]) -> Iterator[str]:
    for verdict in _WITHOUT_FIGURES:
        found = [(cell.key, cell.reason) for cell in cells if cell.verdict == verdict]
        if found:
            yield f"{_cells(len(found), len(cells), verdict)}. {_first(found)}"


def _failed_launches(cells: Sequence[CellResult]) -> Iterator[str]:
    found = [cell for cell in cells if cell.launches_failed and cell.verdict not in _WITHOUT_FIGURES]
    if found:
        launches = sum(cell.launches_failed for cell in found)
        reasons = [(cell.key, cell.reason.split("; ")[0]) for cell in found]
        yield f"{launches} {'launch' if launches == 1 else 'launches'} failed and gave no figures. {_first(reasons)}"


def _parity(summary: Summary) -> Iterator[str]:
    found = [(one.cell, one.text) for one in summary.certificates if not one.comparable]
    if found:
        yield f"{_cells(len(found), len(summary.cells), 'not comparable')}. {_first(found)}"


def _slow_ranks(summary: Summary) -> Iterator[str]:
    found = [(key, line.split("; ")[0]) for key, line in sentences.straggler_lines(summary, slow=True)]
    if found:
        cells = "1 cell has" if len(found) == 1 else f"{len(found)} cells have"
        yield f"{cells} slow ranks. {_first(found)}"


def _unsteady(cells: Sequence[CellResult]) -> Iterator[str]:
    for verdict, remedy in _REMEDIES.items():
        count = sum(cell.verdict == verdict for cell in cells)
        if count:
            yield f"{_cells(count, len(cells), verdict)}: {remedy}."


_POWER_APART = 0.1


def _devices(cells: Sequence[CellResult]) -> Iterator[str]:
    counts = Counter(note for cell in cells for note in cell.device_notes)
    for note, count in counts.items():
        yield f"{'1 cell' if count == 1 else f'{count} cells'}: {note}."
    known = sorted((cell.power_capped_ratio, cell.key) for cell in cells if cell.power_capped_ratio is not None)
    if known and known[-1][0] - known[0][0] > _POWER_APART:
        (least, one), (most, other) = known[0], known[-1]
        yield (
            f"The power limit slowed GPUs down in {most:.0%} of the windows of {other}, and in {least:.0%} of those of "
            f"{one}: their ratio is one at this power limit."
        )


def _transports(summary: Summary) -> Iterator[str]:
    """Yield by which ways NCCL connected the ranks, as its own log said in the parity checks."""
    ways = Counter(one.flags[TRANSPORT] for one in summary.certificates if TRANSPORT in one.flags)
    for way, count in ways.items():
        yield f"NCCL connected the ranks of {'1 cell' if count == 1 else f'{count} cells'} by {way}."


def _calls(cells: Sequence[CellResult]) -> Iterator[str]:
    """Yield what calls of the frameworks' own loops took beside their steps."""
    found = [(cell.key, cell.rest_of_call_seconds) for cell in cells if cell.rest_of_call_seconds is not None]
    if found:
        each = ", ".join(f"{key} {seconds * 1e3:.3g} ms" for key, seconds in found)
        yield f"Each call of fit took time beside its steps, which no figure contains: {each}."


def _ranking(summary: Summary) -> Iterator[str]:
    found = ranking.fastest(summary)
    if found:
        yield f"Highest measured throughput, in samples/s: {'; '.join(found)}."


def _departures(summary: Summary) -> Iterator[str]:
    count = len({one.knob for cell in summary.cells for one in cell.departures})
    if count:
        settings = "1 setting differs" if count == 1 else f"{count} settings differ"
        yield f"{settings} from what the frameworks' users get without asking; report.md says which, and why."

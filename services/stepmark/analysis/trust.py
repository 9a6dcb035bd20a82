"""Say how far to trust a forecast: how far forecasts of its kind were off on curves not used to make them.

Figures are those that benchmarks/forecast_backtest.py prints last, with machines left out in turn; a test compares
them.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from stepmark.analysis.bands import Boundary, Mode


@dataclass(frozen=True)
class HeldOut:
    """Store errors in per cent, and the per cent of 80 % bands that held.

    `holds_80` is None where there are too few machines to fit a band.
    """

    curves: int
    machines: int
    median: float
    p90: float
    holds_80: int | None


FIGURES: dict[tuple[Boundary, Mode], HeldOut] = {
    ("not needed", "weak"): HeldOut(125, 6, 1.4, 10.7, 85),
    ("seen", "weak"): HeldOut(29, 4, 1.7, 5.4, 81),
    ("unseen", "weak"): HeldOut(27, 3, 6.5, 9.7, None),
    ("not needed", "strong"): HeldOut(14, 4, 3.1, 14.3, 83),
    ("seen", "strong"): HeldOut(2, 1, 3.7, 8.8, None),
    ("unseen", "strong"): HeldOut(2, 1, 4.0, 8.8, None),
}
_MODES = {"weak": "constant batch per worker", "strong": "constant global batch"}
_WAYS = {
    "not needed": "inside one node",
    "seen": "between nodes, which the points had crossed",
    "unseen": "between nodes, from points inside one",
    "unknown": "where the nodes are unknown",
}
_TOO_FEW = {
    ("unseen", "weak"): "all with fast networks. On slower ones an earlier version was off by 16 % and 58 %,"
    " mostly too fast, and the band allows for that. Measure two nodes",
    ("seen", "strong"): "too few to fit a band, so the widest band is used, that of a network never crossed. On"
    " others an earlier version was off by 6 % and 30 %",
    ("unseen", "strong"): "too few to fit a band, so twice the widest band is used, a guess. Measure two nodes",
}


def sentences(kinds: Iterable[tuple[Boundary, Mode]]) -> tuple[str, ...]:
    """Return one sentence for each kind of forecast that is given."""
    return tuple(_sentence(boundary, mode) for boundary, mode in dict.fromkeys(kinds))


def _sentence(boundary: Boundary, mode: Mode) -> str:
    known: Boundary = "unseen" if boundary == "unknown" else boundary
    found = FIGURES[known, mode]
    what = f"how far to trust a forecast {_WAYS[boundary]}, {_MODES[mode]}"
    machines = "1 machine" if found.machines == 1 else f"{found.machines} machines"
    curves = f"{found.curves} published curves of {machines}"
    if mode == "strong":
        curves = f"{found.curves} curves of {machines}, derived from published ones at two batches"
    off = f"off by {found.median:g} % (median) and {found.p90:g} % (90th percentile)"
    if found.holds_80 is None:
        return f"{what}: {off} on {curves}, {_TOO_FEW[known, mode]}"
    return f"{what}: each machine held out in turn, {off} on {curves}; 80 % bands held {found.holds_80} %"

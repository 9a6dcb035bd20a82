"""The shipped constants, bands and sentences are what the back-test on the curves of benchmarks/data gives."""

import sys

import numpy as np
import pytest

from conftest import ROOT
from stepmark.analysis import bands, trust
from stepmark.analysis.bands import Boundary, Mode
from stepmark.analysis.forecast import Prediction

sys.path.insert(0, str(ROOT / "benchmarks"))
from forecast_backtest import ENOUGH, KINDS, Case, cases, fitted, grid_errors, held_out

Judged = list[tuple[Case, Prediction]]
FITTED = [kind for kind in KINDS if trust.FIGURES[kind].holds_80 is not None]
each_kind = pytest.mark.parametrize(("boundary", "mode"), KINDS)
each_fitted = pytest.mark.parametrize(("boundary", "mode"), FITTED)


@pytest.fixture(scope="module")
def judged() -> Judged:
    return [(case, case.prediction) for case in cases()]


@pytest.fixture(scope="module")
def grid(judged: Judged) -> dict[Case, np.ndarray]:
    return grid_errors([case for case, _ in judged])


def errors(judged: Judged) -> np.ndarray:
    return np.array([abs(prediction.step_seconds / case.truth - 1) for case, prediction in judged])


def of_kind(judged: Judged, boundary: Boundary, mode: Mode = "weak") -> Judged:
    return [(case, p) for case, p in judged if (p.boundary, case.mode) == (boundary, mode)]


def holds(judged: Judged) -> np.ndarray:
    return np.array([p.low_80 <= case.truth <= p.high_80 for case, p in judged])


def test_errors_are_small_where_the_boundary_was_seen(judged: Judged) -> None:
    seen = errors(of_kind(judged, "seen"))
    assert np.median(seen) <= 0.03
    assert np.percentile(seen, 90) <= 0.09


def test_the_models_have_smaller_errors_than_taking_the_last_point(judged: Judged) -> None:
    """The time that a forecast adds for networks that these curves lack is taken out."""
    weak = [(case, p) for case, p in judged if case.mode == "weak"]
    naive = np.array([abs(case.seconds[-1] / case.truth - 1) for case, _ in weak])
    added = [np.exp(bands.network(c.target / c.per_node)) if c.boundary == "unseen" else 1.0 for c, _ in weak]
    models = np.array([abs(p.step_seconds / a / c.truth - 1) for (c, p), a in zip(weak, added, strict=True)])
    assert models.mean() < 0.75 * naive.mean()


@each_kind
def test_a_sentence_of_trust_has_the_errors_seen_on_machines_left_out(
    grid: dict[Case, np.ndarray], boundary: Boundary, mode: Mode
) -> None:
    kind = [case for case in grid if (case.boundary, case.mode) == (boundary, mode)]
    found, told = held_out(kind, grid, lambda case: case.machine), trust.FIGURES[boundary, mode]
    off = 100 * np.abs(np.expm1(found.errors))
    machines = len({case.machine for case in kind})
    assert (told.curves, told.machines) == (len({case.curve for case in kind}), machines)
    assert (told.median, told.p90) == pytest.approx((np.median(off), np.percentile(off, 90)), abs=0.051)
    assert (told.holds_80 is None) == (machines < ENOUGH)


@each_fitted
@pytest.mark.parametrize("fold", ["machine", "source"])
def test_80_percent_bands_hold_75_to_88_percent_on_what_they_were_not_fitted_to(
    grid: dict[Case, np.ndarray], boundary: Boundary, mode: Mode, fold: str
) -> None:
    kind = [case for case in grid if (case.boundary, case.mode) == (boundary, mode)]
    share = held_out(kind, grid, lambda case: str(getattr(case, fold))).holds[80].mean()
    assert 0.75 <= share <= 0.88
    if fold == "machine":
        assert trust.FIGURES[boundary, mode].holds_80 == round(100 * share)


@each_fitted
def test_the_shipped_bands_are_the_quantiles_of_all_curves(
    grid: dict[Case, np.ndarray], boundary: Boundary, mode: Mode
) -> None:
    for level, limit in fitted(grid, boundary, mode)[1].items():
        assert bands.SCORES[boundary, mode][level] == pytest.approx(limit, rel=0.12)


def test_flat_and_steep_curves_are_covered_alike(judged: Judged) -> None:
    known = [*of_kind(judged, "not needed"), *of_kind(judged, "seen")]
    loss = np.array([case.seconds[-1] / case.seconds[0] for case, _ in known])
    steep = loss > np.quantile(loss, 2 / 3)
    assert abs(holds(known)[steep].mean() - holds(known)[~steep].mean()) < 0.12

"""The shipped constants keep their figures on the curves of benchmarks/data; the honest split is in the benchmark."""

import sys

import numpy as np
import pytest

from conftest import ROOT
from stepmark.analysis.forecast import Point, Prediction, forecast

sys.path.insert(0, str(ROOT / "benchmarks"))
from forecast_backtest import Case, cases

Judged = list[tuple[Case, Prediction]]


@pytest.fixture(scope="module")
def judged() -> Judged:
    found = []
    for case in cases():
        points = [Point(int(n), t) for n, t in zip(case.workers, case.seconds, strict=True)]
        found.append((case, forecast(points, [case.target], case.per_node)[0]))
    return found


def errors(judged: Judged) -> np.ndarray:
    return np.array([abs(prediction.step_seconds / case.truth - 1) for case, prediction in judged])


def test_errors_where_the_boundary_was_seen(judged: Judged) -> None:
    seen = errors([(case, p) for case, p in judged if p.boundary == "seen"])
    assert np.median(seen) <= 0.03
    assert np.percentile(seen, 90) <= 0.09


def test_it_beats_taking_the_last_point(judged: Judged) -> None:
    naive = np.array([abs(case.seconds[-1] / case.truth - 1) for case, _ in judged])
    assert errors(judged).mean() < 0.75 * naive.mean()


def test_the_80_percent_bands_hold_as_often_as_they_say(judged: Judged) -> None:
    known = [p.low_80 <= case.truth <= p.high_80 for case, p in judged if p.boundary in ("seen", "not needed")]
    assert 0.75 <= np.mean(known) <= 0.88


def test_flat_and_steep_curves_are_covered_alike(judged: Judged) -> None:
    known = [(case, p) for case, p in judged if p.boundary in ("seen", "not needed")]
    loss = np.array([case.seconds[-1] / case.seconds[0] for case, _ in known])
    holds = np.array([p.low_80 <= case.truth <= p.high_80 for case, p in known])
    steep = loss > np.quantile(loss, 2 / 3)
    assert abs(holds[steep].mean() - holds[~steep].mean()) < 0.12

"""`parity: required` lets no comparison through without certificates of both sides."""

from conftest import scenario_document
from stepmark.analysis.compare import comparisons
from stepmark.analysis.pairs import Measured
from stepmark.plan.cells import Cell, Machine, cells
from stepmark.results.certificate import Certificate
from stepmark.scenario.load import scenario_from_object

CANDIDATES = [
    {"name": "one", "engine": "torch", "strategy": "ddp"},
    {"name": "two", "engine": "keras-tensorflow", "strategy": "multi-worker-mirrored"},
]


def found(parity: str, **badges: str) -> tuple[str, str]:
    document = scenario_document(candidates=CANDIDATES, workload={"model": "mlp"}, parity=parity)
    scenario = scenario_from_object(document)
    both = cells(scenario, Machine(places=2, programs=("c++",)))
    seconds = {cell.key: {b: (1.0 if cell.candidate == "one" else 2.0) + b * 1e-6 for b in range(5)} for cell in both}
    measured = {key: Measured(mean_seconds=by_block, median_seconds=by_block) for key, by_block in seconds.items()}
    certificates = {cell.key: certificate(cell, badges[cell.candidate]) for cell in both if cell.candidate in badges}
    [comparison], _ = comparisons(scenario, both, measured, certificates)
    return comparison.verdict, comparison.reason + comparison.parity


def certificate(cell: Cell, badge: str) -> Certificate:
    return Certificate(cell=cell.key, reference="r", badge=badge, text=f"{badge}: because")


def test_two_certified_cells_get_a_verdict() -> None:
    assert found("required", one="certified", two="certified") == ("slower", "certified")


def test_a_cell_within_limits_gets_a_verdict_that_says_so() -> None:
    verdict, text = found("required", one="certified", two="within limits")
    assert verdict == "slower"
    assert "within limits" in text


def test_a_cell_that_is_not_comparable_gets_no_verdict() -> None:
    verdict, text = found("required", one="certified", two="not comparable")
    assert verdict == "inconclusive"
    assert "not comparable: because" in text


def test_a_cell_without_a_certificate_gets_no_verdict() -> None:
    assert found("required", one="certified")[0] == "inconclusive"


def test_where_parity_is_only_reported_a_cell_that_is_not_comparable_gets_a_verdict_that_says_so() -> None:
    verdict, text = found("reported", one="certified", two="not comparable")
    assert verdict == "slower"
    assert "not comparable: because" in text

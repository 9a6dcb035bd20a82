"""One count of a model's operations serves all cells: the formula's, or torch's counter before XLA's analysis."""

from stepmark.analysis.model_facts import counted
from stepmark.results.record import ModelFacts

TORCH = ModelFacts(parameters=5, flops_per_sample=30, flops_source="torch's FlopCounterMode")
XLA = ModelFacts(parameters=5, flops_per_sample=33, flops_source="XLA's cost analysis")
UNKNOWN = ModelFacts(parameters=5)


def test_torchs_count_is_preferred_to_xlas_whatever_the_order() -> None:
    assert counted([None, UNKNOWN, XLA, TORCH]) == TORCH
    assert counted([UNKNOWN, XLA]) == XLA


def test_what_no_launch_counted_is_unknown() -> None:
    assert counted([UNKNOWN, None]) == UNKNOWN
    assert counted([None]) is None

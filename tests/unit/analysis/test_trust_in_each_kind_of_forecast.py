"""The sentence of trust depends on boundary and mode, and says where too few curves stand behind it."""

import pytest

from stepmark.analysis.bands import Boundary, Mode
from stepmark.analysis.trust import sentences


@pytest.mark.parametrize(
    ("boundary", "mode", "words"),
    [
        ("not needed", "weak", "inside one node, constant batch per worker: each machine held out in turn"),
        ("seen", "weak", "between nodes, which the points had crossed"),
        ("unseen", "weak", "of 3 machines, all with fast networks"),
        ("unknown", "weak", "where the nodes are unknown"),
        ("not needed", "strong", "14 curves of 4 machines, derived from published ones at two batches"),
        ("seen", "strong", "2 curves of 1 machine, derived from published ones at two batches, too few to fit a band"),
        ("unknown", "strong", "a guess. Measure two nodes"),
    ],
)
def test_each_kind_of_forecast_has_a_sentence_of_its_own(boundary: Boundary, mode: Mode, words: str) -> None:
    [told] = sentences([(boundary, mode), (boundary, mode)])
    assert words in told


def test_kinds_without_enough_machines_claim_no_share_of_bands_that_hold() -> None:
    told = sentences([("seen", "strong"), ("unseen", "weak"), ("unseen", "strong")])
    assert not any("bands held" in line for line in told)

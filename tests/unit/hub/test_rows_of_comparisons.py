"""What a hub stores of a comparison gives the same sentence as the comparison itself."""

from collections import namedtuple

import pytest

from stepmark.hub.derive import _comparison_row
from stepmark.hub.verdicts import _comparison
from stepmark.report import headline
from unit.report.example_summary import example

FIRST = example().comparisons[0]


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({}, "keras.default.float32.w1"),
        ({"batch_per_worker": 64}, "keras.default.float32.w1.b64"),
        (
            {"reference": "keras", "precision": "bfloat16", "reference_precision": "float32"},
            "keras.default.bfloat16.w1",
        ),
    ],
)
def test_batch_and_precisions_are_stored(changes: dict[str, object], key: str) -> None:
    one = FIRST.model_copy(update=changes)
    row = _comparison_row(one)
    assert row["key"] == key
    stored = _comparison(namedtuple("Row", row)(**row))
    assert headline.sentence(stored, [stored]) == headline.sentence(one, [one])

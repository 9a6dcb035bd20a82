"""A candidate that is compared with itself at another execution or precision is named with what differs."""

import pytest

from stepmark.report import headline, words
from unit.report.example_summary import example

OF_TWO = example().comparisons[0]
EXECUTIONS = {"reference": "keras", "candidate_execution": "compiled", "execution": "compiled"}
PRECISIONS = {"reference": "keras", "reference_execution": "graph", "precision": "bfloat16"}


@pytest.mark.parametrize(
    ("changes", "sides", "said"),
    [
        (
            EXECUTIONS | {"reference_execution": "graph"},
            ("keras compiled", "keras graph"),
            "keras (graph) needs 1.17 times as long a step as keras (compiled) with 1 worker",
        ),
        (
            PRECISIONS | {"reference_precision": "float32"},
            ("keras bfloat16", "keras float32"),
            "keras (graph, float32) needs 1.17 times as long a step as keras (graph, bfloat16) with 1 worker",
        ),
    ],
)
def test_a_sentence_names_what_differs(changes: dict[str, str], sides: tuple[str, str], said: str) -> None:
    one = OF_TWO.model_copy(update=changes)
    assert words.sides(one) == sides
    assert headline.sentence(one, [one]).startswith(said)
    assert words.sentence(one).startswith(f"{sides[0]} against {sides[1]}, ")
    assert f"{sides[0]} is faster" in words.sentence(one)

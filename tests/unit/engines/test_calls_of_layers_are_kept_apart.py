"""What each call of a layer takes and gives is kept for the whole batch, whose micro-batches follow each other."""

import numpy as np

from stepmark.engines._calls import Calls


def test_calls_are_numbered_within_each_micro_batch() -> None:
    calls = Calls()
    for part in range(2):
        calls.begin_part()
        calls.add("tokens", np.array([[part]]), np.array([[part, 1]]))
        calls.add("norm", None, np.array([[part]]))
        calls.add("tokens", np.array([[part, 2]]), None)
    found = {name: values.tolist() for name, values in calls}
    assert found == {
        "tokens/input": [[0], [1]],
        "tokens/output": [[0, 1], [1, 1]],
        "norm/output": [[0], [1]],
        "tokens#2/input": [[0, 2], [1, 2]],
    }
    assert list(found)[-1] == "tokens#2/input"


def test_a_call_whose_shape_differs_between_micro_batches_is_left_out() -> None:
    calls = Calls()
    for samples in (3, 2):
        calls.begin_part()
        calls.add("expert", np.ones((samples, 4)), np.ones((4, 4)))
    assert [name for name, _ in calls] == ["expert/output"]

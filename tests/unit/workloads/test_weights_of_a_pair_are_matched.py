"""Weights of a Keras model get torch's names and layouts by their names or by a map, and come back unchanged."""

from collections.abc import Mapping

import numpy as np
import pytest

from stepmark.workloads._pairing import Pairing, Place, unique

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("path", "shape", "name", "torch_shape"),
    [
        ("fc/kernel", (3, 5), "fc.weight", (5, 3)),
        ("net/blocks/0/conv/kernel", (3, 3, 2, 4), "blocks.0.conv.weight", (4, 2, 3, 3)),
        ("conv1d/kernel", (3, 2, 4), "conv1d.weight", (4, 2, 3)),
        ("depth/kernel", (3, 3, 4, 2), "depth.weight", (8, 1, 3, 3)),
        ("norm/gamma", (4,), "norm.weight", (4,)),
        ("positions", (7, 3), "pos_embed", (1, 7, 3)),
        ("scale/variable_9", (4,), "gamma", (4, 1, 1)),
        ("head/kernel", (3, 5), "classifier.weight", (5, 3)),
    ],
)
def test_a_variable_is_converted_to_torch_and_back(
    path: str, shape: tuple[int, ...], name: str, torch_shape: tuple[int, ...]
) -> None:
    names: Mapping[str, str | Place] = {
        "positions": Place("pos_embed", shape=(1, 7, 3)),
        "scale": Place("gamma", shape=(4, 1, 1)),
        "head": "classifier",
    }
    pairing, values = Pairing(names, "net", frozenset({"depth/kernel"})), RNG.standard_normal(shape)
    found = pairing.common_weights([(path, values)])
    assert {name: array.shape for name, array in found.items()} == {name: torch_shape}
    assert np.array_equal(pairing.keras_values(path, shape, found), values)


def test_parts_of_one_parameter_are_joined_in_their_order_and_taken_apart_again() -> None:
    names = {f"attn/{one}/kernel": Place("qkv", part, 3) for part, one in enumerate(("query", "key", "value"))}
    given = [(f"attn/{one}/kernel", RNG.standard_normal((4, 4))) for one in ("value", "query", "key")]
    pairing = Pairing(names, "net")
    found = pairing.common_weights(given)
    assert np.array_equal(found["qkv"][:4], given[1][1].T)
    assert all(np.array_equal(pairing.keras_values(path, (4, 4), found), values) for path, values in given)


def test_variables_of_one_path_are_told_apart() -> None:
    assert unique(["a", "b", "a", "a"]) == ["a", "b", "a#2", "a#3"]

"""Layers are compared in the order of calls, whatever their axes, and tensors without counterparts are all listed."""

import numpy as np
import pytest

from stepmark.engines._protocol import Weights
from stepmark.parity.figures import compare
from stepmark.parity.judge import FLOAT32, problem
from stepmark.parity.layers import first_difference, layer_errors
from stepmark.parity.probe import STEPS, Trace
from stepmark.results.certificate import LayerError

RNG = np.random.default_rng(0)
X = RNG.standard_normal((4, 3, 5, 5))


def test_channels_last_is_the_same_output() -> None:
    [found] = layer_errors(
        [("conv/input", X), ("conv/output", X)], [("conv/input", X.transpose(0, 2, 3, 1))], slice(None)
    )
    assert (found.layer, found.input, found.output) == ("conv", 0.0, None)


def test_a_rank_is_compared_with_its_own_samples() -> None:
    [found] = layer_errors([("conv/output", X)], [("conv/output", X[::2])], slice(0, None, 2))
    assert found.output == 0.0


@pytest.mark.parametrize(
    ("errors", "words"),
    [
        ([(0, 0), (0, 0)], ""),
        ([(0, 1e-7), (1e-7, 0.5)], "part in b: its input agrees, its output is off by 5.0e-01"),
        ([(0, 1e-7), (0.5, 0.5)], "part between a and b, whose input is off by 5.0e-01"),
        ([(0.5, 0.5), (0.5, 0.5)], "part before a, whose input"),
    ],
)
def test_the_first_layer_that_differs_is_named(errors: list[tuple[float, float]], words: str) -> None:
    layers = [LayerError(layer=name, input=i, output=o) for name, (i, o) in zip("ab", errors, strict=True)]
    found = first_difference(layers, 1e-5)
    assert words in found if words else not found


def trace(weights: Weights) -> Trace:
    return Trace(None, np.ones(STEPS), weights, weights, 1.0, "0" * 64)


def test_every_tensor_without_a_counterpart_is_listed_with_its_shape() -> None:
    ours: Weights = {"same": np.ones(2), "fc.weight": np.ones((3, 4)), "extra": np.ones(5)}
    theirs: Weights = {
        "same": np.ones(2),
        "fc.weight": np.ones((4, 3)),
        **{f"theirs{n:02}": np.ones(1) for n in range(70)},
    }
    found = compare(trace(theirs), trace(ours), slice(None)).unmatched
    assert found[:3] == ("extra (5)", "fc.weight (3, 4), (4, 3) in the reference", "theirs00 (1) of the reference")
    assert found[-1] == "and 9 more"
    assert "extra (5); fc.weight" in problem(compare(trace(theirs), trace(ours), slice(None)), FLOAT32, (), False)

"""Own models of torch, of Keras and of both are proven, counted and refused as stepmark's own are."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import forked
import pytest


@cache
def found() -> Any:
    ended = forked.run("keras-torch", Path(__file__).with_name("own_models.py"))
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])


def test_a_pair_whose_weights_are_matched_is_the_same_model() -> None:
    pair = found()["pair"]
    assert pair["worst"] < 1e-5
    assert (pair["unmatched"], pair["parts"]) == ([], "")
    assert pair["layers"] == ["0", "2", "4", "5"]


def test_the_layer_that_differs_first_is_named() -> None:
    assert "part in 4: its input agrees" in found()["epsilon"]["parts"]


def test_weights_that_do_not_match_are_listed_with_their_shapes() -> None:
    assert found()["unmapped"]["unmatched"] == [
        "norm.bias (384)",
        "norm.weight (384)",
        "4.bias (384) of the reference",
        "4.weight (384) of the reference",
    ]


@pytest.mark.parametrize("model", ["torch", "pair", "keras", "group", "unscaled"])
def test_no_input_of_a_relu_behind_a_norm_lies_near_zero(model: str) -> None:
    assert found()["nearest"][model] > 0.3


def test_a_pair_with_batchnorm_starts_from_the_same_weights_in_both_frameworks() -> None:
    pair = found()["residual"]
    assert (pair["worst"] < 1e-5, pair["unmatched"], pair["parts"]) == (True, [], "")


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("dropout", "rate of 0 in: 1"),
        ("functional", "found others each time"),
        ("tuple", "one tensor of logits, found tuple"),
        ("shape", "expected outputs of shape (batch, 4), found (batch, 7)"),
        ("softmax", "expected logits, found probabilities"),
    ],
)
def test_a_model_that_cannot_be_measured_is_refused_in_words(model: str, words: str) -> None:
    assert words in found()[model]


def test_a_dropout_of_rate_0_is_accepted() -> None:
    assert found()["no dropout"] == ""


def test_operations_are_counted_as_the_formulas_count_them() -> None:
    counted, by_formula = found()["flops"]
    assert counted == by_formula


def test_operations_that_the_counter_does_not_see_are_unknown() -> None:
    assert found()["recurrent"] is None


def test_weights_that_are_used_twice_are_named_and_counted_once() -> None:
    assert found()["shared"] == "second.weight is first.weight"
    assert "second.weight" not in found()["shared names"]


def test_values_are_learnt_and_an_own_loss_is_used() -> None:
    given, own = found()["losses"]
    assert given[-1] < given[0]
    assert own == pytest.approx(given, rel=1e-5)

"""Known differences between two traces, and the figures and problems that they give."""

import json

import numpy as np
import pytest

from stepmark.parity.figures import compare
from stepmark.parity.judge import FLOAT32, MIXED, limits_for, problem
from stepmark.parity.probe import Trace
from stepmark.results.certificate import Figures

RNG = np.random.default_rng(0)
GRADIENTS = {"a.weight": RNG.normal(0, 1.0, (30, 20)), "b.weight": RNG.normal(0, 1.0, (5, 5))}
WEIGHTS = {name: RNG.normal(0, 1.0, g.shape) for name, g in GRADIENTS.items()}
LOGITS = RNG.normal(0, 1.0, (8, 4))


def trace(**changes: object) -> Trace:
    losses = np.array([2.0, 1.5])
    parts = {"logits": LOGITS, "losses": losses, "gradients": GRADIENTS, "end": WEIGHTS, "moved": 1.0}
    parts["start_digest"] = "0" * 64
    return Trace(**(parts | changes))  # type: ignore[arg-type]


def figures(**changes: object) -> Figures:
    return compare(trace(), trace(**changes), slice(None))


def test_equal_traces_have_figures_of_zero_and_no_problem() -> None:
    assert figures().worst == 0
    assert problem(figures(), FLOAT32, (), distributed=False) == ""


@pytest.mark.parametrize("change", ["logits", "losses", "gradients", "end"])
def test_each_figure_by_itself_fails_the_check(change: str) -> None:
    off = {
        "logits": LOGITS * (1 + 2e-5),
        "losses": np.array([2.0, 1.5 * (1 + 2e-5)]),
        "gradients": {name: g * (1 + 2e-5) for name, g in GRADIENTS.items()},
        "end": {name: w * (1 + 2e-5) for name, w in WEIGHTS.items()},
    }
    assert problem(figures(**{change: off[change]}), FLOAT32, (), distributed=False)


def test_one_wrong_tensor_is_named() -> None:
    wrong = GRADIENTS | {"b.weight": GRADIENTS["b.weight"] + 4e-5 * np.sign(GRADIENTS["b.weight"])}
    found = figures(gradients=wrong)
    assert found.gradient < 1e-5  # its error is too small to show among the other tensors
    assert "worst tensor b.weight" in problem(found, FLOAT32, (), distributed=False)


@pytest.mark.parametrize(("share", "words"), [(4e-3, "input of a ReLU"), (8e-2, "epsilon in it")])
def test_gradients_that_are_off_alone_are_explained_by_how_much(share: float, words: str) -> None:
    off = {name: g + share * RNG.normal(0, 1.0, g.shape) for name, g in GRADIENTS.items()}
    text = problem(figures(gradients=off), FLOAT32, (), distributed=False)
    assert "Likely: outputs agree and gradients" in text
    assert words in text
    assert len(text) < 1000  # A certificate keeps as many characters.


def test_noise_in_a_gradient_that_is_zero_in_theory_does_not_matter() -> None:
    null = {"c.bias": 1e-9 * RNG.normal(0, 1, 20)}
    noise = {"c.bias": 1e-9 * RNG.normal(0, 1, 20)}
    end = WEIGHTS | {"c.bias": np.zeros(20)}
    found = compare(
        trace(gradients=GRADIENTS | null, end=end), trace(gradients=GRADIENTS | noise, end=end), slice(None)
    )
    assert problem(found, FLOAT32, (), distributed=False) == ""


def test_a_scaled_gradient_is_distinguished_from_a_wrong_one() -> None:
    found = figures(gradients={name: 2 * g for name, g in GRADIENTS.items()})
    assert found.gradient_scale == pytest.approx(2)
    assert found.gradient_rest < 1e-12
    assert "gradients are scaled" in problem(found, FLOAT32, (), distributed=False)


def test_a_tensor_on_one_side_only_is_named() -> None:
    more = {"lstm.bias_hh_l0": np.zeros(4)}
    found = figures(gradients=GRADIENTS | more, end=WEIGHTS | more)
    text = problem(found, FLOAT32, (), distributed=False)
    assert "lstm.bias_hh_l0" in text
    assert "second LSTM bias" in text


@pytest.mark.parametrize("broken", [np.full((8, 4), np.nan), np.full((8, 4), np.inf), np.zeros((8, 5))])
def test_logits_that_are_not_finite_or_of_another_shape_are_infinitely_off(broken: np.ndarray) -> None:
    assert figures(logits=broken).forward == np.inf


def test_an_infinite_figure_survives_the_store_and_is_valid_json() -> None:
    found = figures(logits=np.full((8, 4), np.nan))
    text = found.model_dump_json()
    assert json.loads(text, parse_constant=pytest.fail)["forward"] == "Infinity"
    assert Figures.model_validate_json(text) == found
    assert Figures.model_validate_json(json.dumps(found.model_dump(mode="json"))) == found


def test_an_update_is_judged_by_its_own_size() -> None:
    """An error of about a thousandth of a small update does not show in the weights."""
    shifted = {name: values + 2e-3 * 1e-3 / np.sqrt(values.size) for name, values in WEIGHTS.items()}
    found = compare(trace(moved=1e-3), trace(end=shifted), slice(None))
    assert found.weights < FLOAT32.weights
    assert "update off by" in problem(found, FLOAT32, (), distributed=False)


def test_an_update_where_nothing_should_move_is_infinitely_off() -> None:
    moved = {name: values + 1e-9 for name, values in WEIGHTS.items()}
    assert compare(trace(moved=0.0), trace(end=moved), slice(None)).update == np.inf
    assert compare(trace(moved=0.0), trace(), slice(None)).update == 0


def test_without_logits_the_forward_pass_is_not_judged() -> None:
    found = compare(trace(logits=None), trace(logits=None), slice(None))
    assert found.forward is None
    assert problem(found, FLOAT32, (), distributed=False) == ""


@pytest.mark.parametrize("precision", MIXED)
def test_exact_figures_are_refused_as_those_of_mixed_precision(precision: str) -> None:
    for exact in (figures(), compare(trace(logits=None), trace(logits=None), slice(None))):
        assert "off by only 0.0e+00" in problem(exact, MIXED[precision], (), distributed=False)


def test_weights_that_do_not_come_back_as_they_were_loaded_are_not_float32() -> None:
    assert "not kept in float32" in problem(figures(start_digest="1" * 64), FLOAT32, (), distributed=False)


def test_a_rank_is_compared_with_its_own_samples() -> None:
    assert compare(trace(), trace(logits=LOGITS[1::2]), slice(1, None, 2)).forward == 0


def test_limits_of_float64_are_the_workloads_and_mixed_or_compiled_cells_have_wider_ones_than_float32() -> None:
    assert limits_for("float64", "eager", 1e-12).gradient == 1e-12
    assert limits_for("bfloat16", "compiled", 1e-12).gradient > 1e-2
    assert limits_for("float32", "compiled", 1e-12) != FLOAT32


def test_adamw_has_limits_of_its_own_for_weights_and_update_in_mixed_precision_alone() -> None:
    for precision in ("float32", "float64"):
        assert limits_for(precision, "eager", 1e-12, optimizer="adamw") == limits_for(precision, "eager", 1e-12)
    found, plain = limits_for("bfloat16", "eager", 1e-12, optimizer="adamw"), MIXED["bfloat16"]
    assert found.update is not None
    assert found.update > plain.update  # type: ignore[operator]
    assert found.model_copy(update={"weights": plain.weights, "update": plain.update}) == plain


def test_a_trace_is_the_same_after_saving_and_loading(tmp_path) -> None:  # type: ignore[no-untyped-def]
    trace().save(tmp_path / "t.npz")
    assert compare(trace(), Trace.load(tmp_path / "t.npz"), slice(None)).worst == 0

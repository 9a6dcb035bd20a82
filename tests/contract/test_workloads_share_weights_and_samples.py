"""Weights mean the same in every framework, and each token is labelled with the next. No framework is imported."""

from typing import Any

import numpy as np
import pytest

from conftest import needs
from stepmark.workloads._batches import global_batches
from stepmark.workloads._protocol import InputSpec
from stepmark.workloads._weights import Array, digest, initial, keras_values, torch_weights

RNG = np.random.default_rng(0)
# Path and shape of a Keras variable, torch's name, and the same tensor in torch's layout.
KEPT = [
    ("layer1-0-conv1/kernel", (3, 3, 2, 4), "layer1.0.conv1.weight", lambda k: k.transpose(3, 2, 0, 1)),
    ("layer1-0-bn1/gamma", (4,), "layer1.0.bn1.weight", lambda g: g),
    ("layer1-0-bn1/beta", (4,), "layer1.0.bn1.bias", lambda b: b),
    ("fc/kernel", (3, 5), "fc.weight", lambda k: k.T),
    ("fc/bias", (5,), "fc.bias", lambda b: b),
    ("tokens/embeddings", (7, 3), "tokens.weight", lambda e: e),
    ("lstm/lstm_cell/kernel", (3, 8), "lstm.weight_ih_l0", lambda k: k.T),
    ("lstm/lstm_cell/recurrent_kernel", (2, 8), "lstm.weight_hh_l0", lambda k: k.T),
    ("lstm/lstm_cell/bias", (8,), "lstm.bias_ih_l0", lambda b: b),
    ("layers-0-self_attn/attention_output/kernel", (2, 3, 6), "layers.0.self_attn.out_proj.weight", None),
    ("layers-0-self_attn/attention_output/bias", (6,), "layers.0.self_attn.out_proj.bias", lambda b: b),
]
ATTENTION = {
    f"attn/{part}/{kind}": RNG.standard_normal((6, 2, 3) if kind == "kernel" else (2, 3))
    for part in ("value", "query", "key")  # This is not torch's order.
    for kind in ("bias", "kernel")
}


@pytest.mark.parametrize(("path", "shape", "name", "expected"), KEPT)
def test_each_kind_of_variable_is_converted_to_torch_and_back(
    path: str, shape: tuple[int, ...], name: str, expected: Any
) -> None:
    values = RNG.standard_normal(shape)
    found = torch_weights([(path, values)])
    assert list(found) == [name]
    assert np.array_equal(found[name], expected(values) if expected else values.reshape(6, 6).T)
    assert np.array_equal(keras_values(path, shape, found), values)


def test_attention_is_packed_as_torch_packs_it_and_unpacked_again() -> None:
    packed = torch_weights(ATTENTION.items())
    assert {name: values.shape for name, values in packed.items()} == {
        "attn.in_proj.weight": (18, 6),
        "attn.in_proj.bias": (18,),
    }
    x = RNG.standard_normal((4, 6))
    ours = x @ packed["attn.in_proj.weight"].T + packed["attn.in_proj.bias"]
    theirs = [
        np.einsum("te,ehd->thd", x, ATTENTION[f"attn/{part}/kernel"]) + ATTENTION[f"attn/{part}/bias"]
        for part in ("query", "key", "value")
    ]
    assert np.allclose(ours, np.concatenate([part.reshape(4, 6) for part in theirs], axis=1), rtol=1e-12)
    assert all(np.array_equal(keras_values(path, v.shape, packed), v) for path, v in ATTENTION.items())


@pytest.mark.parametrize(("path", "shape"), [(path, shape) for path, shape, _, _ in KEPT])
def test_converted_weights_are_copies(path: str, shape: tuple[int, ...]) -> None:
    """A view of an engine's memory would change with its next step."""
    values = np.zeros(shape)
    out = torch_weights([(path, values)])
    back = keras_values(path, shape, out)
    for array in out.values():
        assert not np.shares_memory(array, values)
        assert not np.shares_memory(array, back)


def test_an_unknown_kind_of_layer_is_refused() -> None:
    with pytest.raises(KeyError):
        torch_weights([("conv/depthwise_kernel", np.zeros((3, 3, 2, 1)))])


def test_initial_weights_depend_only_on_seed_and_name() -> None:
    shapes = {"a.weight": (4, 3), "b.weight": (4, 3), "b.bias": (4,)}
    whole, alone = initial(shapes, 7), initial({"b.weight": (4, 3)}, 7)
    assert np.array_equal(whole["b.weight"], alone["b.weight"])
    assert not np.array_equal(whole["a.weight"], whole["b.weight"])
    assert not np.array_equal(whole["b.weight"], initial(shapes, 8)["b.weight"])
    assert all(values.dtype == np.float32 for values in whole.values())
    assert whole["b.bias"].all()


def changed(weights: dict[str, Array]) -> list[dict[str, Array]]:
    more = weights["a"].copy()
    more[0] = np.nextafter(more[0], 2, dtype=more.dtype)
    return [{"b": weights["a"]}, {"a": more}, {"a": weights["a"].reshape(2, 2)}, {"a": weights["a"].astype(np.float64)}]


def test_a_digest_changes_with_names_values_shapes_and_types() -> None:
    weights = {"a": np.ones(4, np.float32)}
    assert digest(weights) == digest({"a": np.ones((2, 4), np.float32)[0]})
    assert digest(weights | {"b": weights["a"]}) == digest({"b": weights["a"]} | weights)
    assert digest(weights) not in {digest(other) for other in changed(weights)}


@pytest.mark.parametrize("source", ["synthetic", "digits"])
def test_each_token_is_labelled_with_the_next(source: str) -> None:
    if source == "digits":
        needs("sklearn")
    spec = InputSpec("tokens", (63,), 17, 17, next_token=True)
    assert spec.why_not(source) is None
    inputs, labels = global_batches(spec, source, 7, 5, 1)[0]
    assert inputs.shape == labels.shape == (5, 63)
    assert inputs.dtype == labels.dtype == np.int64
    assert np.array_equal(inputs[:, 1:], labels[:, :-1])
    assert not np.array_equal(inputs, labels)

"""Parity fails for each planted mistake, at its limits, and names the mistake.

Two processes, one for each framework, train everything; the tests compare their traces.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import forked
import planted
import pytest

from conftest import needs
from stepmark.parity.figures import compare
from stepmark.parity.judge import ADAMW_ON_GPU, FLOAT32, FLOAT32_ON_GPU, MIXED, problem
from stepmark.parity.probe import Trace
from stepmark.results.certificate import Figures

BOTH_SIDES = {
    "lstm-second-bias",
    "weight-decay",
    "adam-epsilon",
    "rate-change",
    "adamw-epsilon-as-torch-places-it",
}  # These are planted in torch, too.

NAMED = {
    "bn-epsilon": "BatchNorm's epsilon",
    "same-padding": "padding or pooling",
    "max-pool-same": "padding or pooling",
    "kernel-axes": "an axis order",
    "average-pool-same": "padding or pooling",
    "flatten-order": "flattening",
    "lstm-second-bias": "second LSTM bias",
    "layer-norm-epsilon": "LayerNorm's epsilon",
    "gelu-form": "GELU",
    "attention-packing": "packing of the attention",
    "no-causal-mask": "causal mask",
    "dropout": "dropout",
    "local-batch": "divided by the local",
    "nesterov": "Nesterov",
    "weight-decay": "weight decay",
    "adam-epsilon": "epsilon in it",
    "rate-change": "learning rate",
    "adamw-epsilon-of-keras": "AdamW's epsilon",
    "adamw-epsilon-of-torch": "AdamW's epsilon",
    "adamw-epsilon-as-torch-places-it": "AdamW's epsilon",
    "adamw-no-bias-correction": "bias correction",
    "adamw-l2": "weight decay that is added to gradients",
    "adamw-decay-of-keras": "weight decay",
    "adamw-first-beta": "scaled",
    "adamw-second-beta": "the optimiser",
}
ALL = planted.MISTAKES | planted.ADAMW


def train(folder: Path) -> None:
    """Train every plant in both frameworks, and write the traces into `folder`."""
    plants = {"torch": [*planted.AS_WRITTEN, *BOTH_SIDES], "keras-tensorflow": [*planted.AS_WRITTEN, *ALL]}
    plants["torch"] += [*planted.ON_GPUS, *planted.TF32]
    for engine, short in planted.SHORT.items():
        plants[engine] += short
    with ThreadPoolExecutor(len(plants)) as pool:
        script = Path(planted.__file__)
        for ended in pool.map(lambda engine: forked.run(engine, script, str(folder), engine, *plants[engine]), plants):
            assert ended.returncode == 0, ended.stderr[-3000:]


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    needs("torch", "tensorflow", "keras")
    folder = tmp_path_factory.mktemp("traces")
    train(folder)
    return folder


def figures(traces: Path, mistake: str) -> tuple[Figures, str]:
    """Return the figures of the check, and the problem that it names."""
    model, _ = planted.PLANTS[mistake]
    kind = "adamw-" if mistake.startswith("adamw") else ""
    written = f"torch.{mistake if mistake in BOTH_SIDES else f'{kind}{model}-as-written'}.npz"
    reference, candidate = Trace.load(traces / written), Trace.load(traces / f"keras-tensorflow.{mistake}.npz")
    found = compare(reference, candidate, slice(None))
    return found, problem(found, FLOAT32, tuple(reference.end), distributed=False)


def in_bfloat16(traces: Path, engine: str, plant: str) -> tuple[Figures, str]:
    """Return the same for a cell in bfloat16, compared with float32."""
    model, _ = planted.PLANTS[plant]
    reference = Trace.load(traces / f"torch.{model}-as-written.npz")
    found = compare(reference, Trace.load(traces / f"{engine}.{plant}.npz"), slice(None))
    return found, problem(found, MIXED["bfloat16"], tuple(reference.end), distributed=False)


@pytest.mark.parametrize("engine", planted.SHORT)
@pytest.mark.parametrize("model", planted.WORKLOADS)
def test_mixed_precision_as_written_passes(traces: Path, engine: str, model: str) -> None:
    found, text = in_bfloat16(traces, engine, f"bfloat16-{model}-as-written")
    assert text == "", found


@pytest.mark.parametrize(
    ("engine", "plant", "words"),
    [
        ("torch", "bfloat16-no-autocast", "not computed in the precision asked for"),
        ("keras-tensorflow", "bfloat16-policy-float32", "not computed in the precision asked for"),
        ("torch", "bfloat16-weights-mlp", "not kept in float32"),
        ("torch", "bfloat16-weights-resnet", "not kept in float32"),
    ],
)
def test_mixed_precision_that_is_not_switched_on_or_not_kept_is_refused(
    traces: Path, engine: str, plant: str, words: str
) -> None:
    found, text = in_bfloat16(traces, engine, plant)
    assert words in text, found


@pytest.mark.parametrize("model", ["mlp", "resnet"])
def test_weights_kept_in_bfloat16_exceed_the_limits_of_weights_and_update(traces: Path, model: str) -> None:
    found, _ = in_bfloat16(traces, "torch", f"bfloat16-weights-{model}")
    assert found.weights > 5 * MIXED["bfloat16"].weights
    assert found.update is not None
    assert found.update > 4 * MIXED["bfloat16"].update  # type: ignore[operator]


@pytest.mark.parametrize("model", planted.WORKLOADS)
def test_a_model_that_is_written_right_passes(traces: Path, model: str) -> None:
    assert figures(traces, f"{model}-as-written")[1] == ""


@pytest.mark.parametrize("model", planted.WORKLOADS)
def test_adamw_makes_the_same_updates_in_both_frameworks(traces: Path, model: str) -> None:
    found, text = figures(traces, f"adamw-{model}-as-written")
    assert text == "", found
    assert found.update is not None
    assert found.update < 3e-4  # The smallest planted mistake is thirty times this.


@pytest.mark.parametrize("mistake", ALL)
def test_a_planted_mistake_is_caught_and_named(traces: Path, mistake: str) -> None:
    found, text = figures(traces, mistake)
    assert text, found
    assert NAMED[mistake] in text
    assert any(f"worst tensor {t.tensor}" in text for t in found.tensors) or "lstm.bias_hh_l0" in text


def test_every_mistake_is_far_above_the_limit(traces: Path) -> None:
    """The margin is at least three: a mistake that is barely above the limit would be missed on another model."""
    for mistake in set(ALL) - {"lstm-second-bias"}:  # That one shows in the tensors' names.
        found, _ = figures(traces, mistake)
        margin = max(getattr(found, n) / getattr(FLOAT32, n) for n in ("forward", "loss", "gradient", "weights"))
        assert margin > 3, (mistake, margin)


def on_a_gpu(traces: Path, engine: str, plant: str) -> tuple[Figures, str]:
    """What the check of a GPU's cell sees and says: against float64, within the limits of GPUs."""
    model, _ = planted.PLANTS[plant]
    reference = Trace.load(traces / f"torch.float64-{model}-as-written.npz")
    found = compare(reference, Trace.load(traces / f"{engine}.{plant}.npz"), slice(None))
    return found, problem(found, FLOAT32_ON_GPU, tuple(reference.end), distributed=False)


@pytest.mark.parametrize("engine", planted.SHORT)
@pytest.mark.parametrize("model", planted.WORKLOADS)
def test_float32_as_written_passes_against_float64(traces: Path, engine: str, model: str) -> None:
    found, text = on_a_gpu(traces, engine, f"{model}-as-written")
    assert text == "", found


@pytest.mark.parametrize("plant", planted.TF32)
def test_tf32_that_was_left_on_does_not_pass_for_float32(traces: Path, plant: str) -> None:
    found, text = on_a_gpu(traces, "torch", plant)
    assert "forward off by" in text, found


@pytest.mark.parametrize("mistake", planted.ADAMW)
def test_a_mistake_in_adamw_is_caught_within_the_limits_of_gpus_too(traces: Path, mistake: str) -> None:
    found, _ = figures(traces, mistake)
    assert problem(found, FLOAT32_ON_GPU.model_copy(update=ADAMW_ON_GPU), (), distributed=False), found


@pytest.mark.parametrize("mistake", sorted(set(planted.MISTAKES) - BOTH_SIDES))
def test_a_planted_mistake_is_caught_within_the_limits_of_gpus_too(traces: Path, mistake: str) -> None:
    found, text = on_a_gpu(traces, "keras-tensorflow", mistake)
    assert text, found

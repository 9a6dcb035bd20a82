"""Test samples are counted once, over all ranks, and a model whose outputs depend on other samples is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from conftest import needs, scenario_document
from stepmark.engines._device import CPU
from stepmark.errors import CannotRun, ModelRefused
from stepmark.launch.learning import Exam
from stepmark.launch.lesson import Lesson
from stepmark.launch.spec import LaunchSpec, Placement, RankGroup
from stepmark.plan.blocks import make_plan
from stepmark.plan.cells import Machine
from stepmark.plan.learning import learning_blocks
from stepmark.scenario.load import scenario_from_object
from stepmark.workloads._protocol import TEXT_TOKENS, InputSpec

VECTOR = InputSpec("vector", (64,), 10)
TEXT = InputSpec("tokens", (16,), TEXT_TOKENS, TEXT_TOKENS, next_token=True)
MLP, GPT = {"model": "mlp"}, {"model": "gpt", "params": {"length": 16, "vocabulary": TEXT_TOKENS}}


def lesson(inputs: InputSpec = VECTOR, batch: int = 64, max_steps: int = 3, block: int = 0) -> Lesson:
    source, workload = ("digits", MLP) if inputs is VECTOR else ("python-docs", GPT)
    document = scenario_document(
        workload=workload,
        candidates=[{"name": "torch", "engine": "torch"}],
        scale={"batchPerWorker": batch},
        data={"source": source},
        target={"accuracy": 0.9, "evaluateEverySteps": 1, "maxSteps": max_steps},
    )
    plan = make_plan(scenario_from_object(document), Machine(places=1, programs=()))
    asked = plan.scenario.spec
    spec = LaunchSpec(
        launch=learning_blocks(plan)[block][0],
        workload=asked.workload,
        data=asked.data,
        training=asked.training,
        measurement=asked.measurement,
        group=RankGroup(rank=0, addresses=("",), control_address="", control_token=""),
        placement=Placement(node="", cpus=(0,), device=CPU, directory=Path()),
        reference=None,
        requested_at_ns=0,
    )
    return Lesson.of(spec, inputs)


class Group:
    """Stand for ranks that all have the same value."""

    def agree_mean(self, value: float) -> float:
        return value


class Knowing:
    """Predict every label right, with outputs that depend on the last sample of the batch where `by_batch` says so."""

    def __init__(self, made: Lesson, rank: int = 0, world_size: int = 1, by_batch: float = 0.0) -> None:
        self._batches = made.batches(rank, world_size)
        self._by_batch = by_batch

    def forward(self, index: int) -> NDArray[Any]:
        inputs, labels = self._batches[index]
        classes = TEXT_TOKENS if inputs.dtype == np.int64 else 10
        return np.eye(classes)[labels] + self._by_batch * float(inputs[-1].mean())


def exam(made: Lesson, rank: int = 0, world_size: int = 1, by_batch: float = 0.0) -> Exam:
    engine: Any = Knowing(made, rank, world_size, by_batch)
    group: Any = Group()
    return Exam(engine, group, made, rank, world_size)


@pytest.mark.parametrize("batch", [64, 360, 7])
def test_samples_that_fill_up_the_last_batch_are_not_counted(batch: int) -> None:
    needs("sklearn")
    assert exam(lesson(batch=batch)).correct() == 360


def test_each_token_of_a_test_sample_is_counted() -> None:
    found = exam(lesson(TEXT))
    assert (found.labels_per_sample, found.correct()) == (16, 512 * 16)


def test_ranks_share_the_test_samples() -> None:
    needs("sklearn")
    made = lesson(batch=64)
    own = [made.counted(rank, 3).sum() for rank in range(3)]
    assert sum(own) == 360
    assert max(own) < 360 / 2
    assert exam(made, rank=1, world_size=3).correct() == own[1] * 3


def test_outputs_that_depend_on_the_other_samples_of_a_batch_are_refused() -> None:
    needs("sklearn")
    made = lesson(batch=64)
    exam(made).check_samples_are_apart()
    with pytest.raises(ModelRefused, match="as with BatchNorm"):
        exam(made, by_batch=1.0).check_samples_are_apart()


def test_batches_are_the_steps_then_the_test_then_a_mixed_one() -> None:
    needs("sklearn")
    made = lesson(batch=64, max_steps=3)
    batches = made.batches(0, 1)
    assert len(batches) == 3 + 6 + 1
    first_test, mixed = batches[made.first_test][0], batches[-1][0]
    assert np.array_equal(first_test[:32], mixed[:32])
    assert not np.array_equal(first_test[32:], mixed[32:])
    halves = [made.batches(rank, 2)[0][0] for rank in range(2)]
    assert np.array_equal(np.stack(halves, axis=1).reshape(64, 64), batches[0][0])


def test_blocks_have_orders_of_their_own_and_the_same_test() -> None:
    needs("sklearn")
    one, other = lesson(), lesson(block=1)
    assert not np.array_equal(one.order, other.order)
    assert np.array_equal(one.tests, other.tests)
    assert not set(one.order.ravel()) & set(one.tests.ravel())


def test_batches_that_would_fill_the_memory_are_refused() -> None:
    with pytest.raises(CannotRun, match=r"spec.target.maxSteps: expected batches of at most 1 GiB, found 1\.2 GiB"):
        lesson(TEXT, batch=8192, max_steps=600).batches(0, 1)

"""Train from the seed's weights on real samples, and count after every so many steps what is predicted right.

The steps between two evaluations are a window of the timed loop, so their seconds are those of steps. The first step
and the warm-up come before: then the weights are set anew, and training begins.
"""

import gc
import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stepmark.engines._optimizers import RATES
from stepmark.engines._protocol import Engine, Weights
from stepmark.errors import ModelRefused
from stepmark.launch import loop, reporting
from stepmark.launch.group import ControlGroup
from stepmark.launch.interference import Meter
from stepmark.launch.lesson import Lesson
from stepmark.launch.own_model import SAME
from stepmark.launch.spec import LaunchSpec
from stepmark.parity.probe import begin
from stepmark.results.learning import Evaluation, LearningReport
from stepmark.workloads import _weights
from stepmark.workloads._protocol import InputSpec, Workload


def learn(
    spec: LaunchSpec,
    engine: Engine,
    group: ControlGroup,
    workload: Workload,
    inputs: InputSpec,
    recorder: loop.Recorder,
) -> LearningReport:
    """Train and evaluate a built engine that has made its first step. All ranks must call this together.

    Raises:
        ModelRefused: a sample's outputs depend on the other samples of its batch.
    """
    target, its, rate = spec.launch.target, spec.group, RATES[spec.training.optimizer]
    assert target is not None
    lesson = Lesson.of(spec, inputs)
    exam = Exam(engine, group, lesson, its.rank, its.world_size)
    loop.warm_up(recorder, spec.measurement)
    held = begin(engine, lambda shapes: workload.initial_weights(shapes, spec.launch.seed), rate)
    exam.check_samples_are_apart()
    gc.collect()
    gc.freeze()
    loop.agree_on_stretch(recorder, target.max_steps)
    recorder.begin_anew()
    evaluations = []
    meter = Meter(spec.placement.cpus, spec.measurement.max_taken_share)
    with meter.measuring():
        for done in range(0, target.max_steps, target.evaluate_every_steps):
            steps = min(target.evaluate_every_steps, target.max_steps - done)
            evaluations.append(_evaluated(spec, recorder, exam, done + steps, steps))
    return LearningReport(
        rank=its.rank,
        seed=spec.launch.seed,
        train_samples=lesson.train_samples,
        test_samples=lesson.test_samples,
        test_labels=lesson.test_samples * exam.labels_per_sample,
        data_digest=lesson.samples.digest,
        order_digest=hashlib.sha256(lesson.order.tobytes()).hexdigest(),
        weights_digest=_digest(held),
        learning_rate=rate,
        evaluations=tuple(evaluations),
        flags=engine.flags(),
        host=spec.placement.node,
        cpus=spec.placement.cpus,
        interference=meter.found,
    )


def _digest(held: Weights) -> str:
    return _weights.digest({name: values.astype(np.float32) for name, values in held.items()})


def _evaluated(spec: LaunchSpec, recorder: loop.Recorder, exam: "Exam", done: int, steps: int) -> Evaluation:
    """Make the next steps, `done` with those before, and count what is predicted right then."""
    before = reporting.joules(spec)
    recorder.window("measured", steps)
    after = reporting.joules(spec)
    loss = recorder.synchronize()
    return Evaluation(
        steps=done,
        nanoseconds=recorder.windows[-1].host_nanoseconds,
        joules=None if before is None or after is None else max(after - before, 0.0),
        loss=loss if np.isfinite(loss) else None,
        correct=exam.correct(),
    )


class Exam:
    """Have an engine predict the test samples."""

    def __init__(self, engine: Engine, group: ControlGroup, lesson: Lesson, rank: int, world_size: int) -> None:
        self._engine, self._group, self._world_size = engine, group, world_size
        self._first = lesson.first_test
        self._labels = [lesson.samples.take(row[rank::world_size])[1] for row in lesson.tests]
        self._counted = lesson.counted(rank, world_size)
        self._apart = len(range(rank, len(lesson.mixed) // 2, world_size))

    @property
    def labels_per_sample(self) -> int:
        """The number of labels that a sample has: one, or one for each token."""
        return int(self._labels[0][0].size)

    def correct(self) -> int:
        """Return how many test labels of all ranks are predicted right. All ranks must call this together."""
        own = sum(self._right(index) for index in range(len(self._labels)))
        return round(self._group.agree_mean(own) * self._world_size)

    def _right(self, index: int) -> int:
        found = self._engine.forward(self._first + index).argmax(axis=-1)
        return int((found == self._labels[index])[self._counted[index]].sum())

    def check_samples_are_apart(self) -> None:
        """Check that the outputs of a sample do not depend on the other samples of its batch.

        Raises:
            ModelRefused: they do, as with BatchNorm in training.
        """
        outputs: Sequence[NDArray[Any]] = [
            self._engine.forward(index)[: self._apart] for index in (self._first, self._first + len(self._labels))
        ]
        if np.linalg.norm(outputs[0] - outputs[1]) > SAME * np.linalg.norm(outputs[0]):
            raise ModelRefused(
                "expected outputs of a sample that do not depend on the other samples of its batch, found others, as "
                "with BatchNorm in training. Choose a model without it."
            )

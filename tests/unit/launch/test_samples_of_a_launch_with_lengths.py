"""What a rank is given where samples differ in length: its padded share, what of it is real, and the same samples."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stepmark import catalog
from stepmark.errors import CannotRun
from stepmark.launch import samples
from stepmark.launch.spec import LaunchSpec
from stepmark.parity.probe import batches_digest
from stepmark.scenario.data import Data
from stepmark.scenario.model import WorkloadChoice
from unit.launch.test_files_of_a_child_are_not_trusted import spec

GPT = catalog.load_workload("gpt")
INPUTS = GPT.input(GPT.parse({"length": 64}))
LENGTHS = Data.model_validate({"lengths": {"least": 8, "most": 48, "batches": 6}})


def of(folder: Path, options: tuple[str, ...], rank: int = 0, data: Data = LENGTHS) -> LaunchSpec:
    made = spec(folder)
    cell = made.cell.model_copy(update={"options": options, "workers": 2, "processes": 2, "batch_per_worker": 3})
    changes: dict[str, Any] = {
        "data": data,
        "workload": WorkloadChoice(model="gpt"),
        "launch": made.launch.__class__(cell, 0, 0, 0),
        "group": made.group.model_copy(update={"rank": rank, "addresses": ("a:1", "b:1")}),
    }
    return made.model_copy(update=changes)


@pytest.mark.parametrize("options", [(), ("bucketed",), ("dynamic-length",)])
def test_a_rank_knows_the_real_and_the_padded_tokens_of_its_batches(tmp_path: Path, options: tuple[str, ...]) -> None:
    given = of(tmp_path, options, rank=1)
    tokens, own = samples.batch_tokens(given, INPUTS), samples.own_samples(given, INPUTS)
    assert tokens is not None
    assert list(tokens.padded) == [inputs.size for inputs, _ in own]
    assert list(tokens.real) == [int((labels >= 0).sum()) for _, labels in own]
    assert samples.steps_of_a_round(given, INPUTS) == len(own) == 6


def test_all_ways_to_pad_have_the_same_samples(tmp_path: Path) -> None:
    ways = [of(tmp_path, options) for options in ((), ("bucketed",), ("dynamic-length",))]
    assert len({batches_digest(samples.all_samples(way, INPUTS)) for way in ways}) == 1
    real = [[inputs[labels >= 0] for inputs, labels in samples.own_samples(way, INPUTS)] for way in ways]
    assert all(np.array_equal(a, b) for other in real[1:] for a, b in zip(real[0], other, strict=True))
    assert {inputs.shape for inputs, _ in samples.own_samples(ways[0], INPUTS)} == {(3, 48)}


def test_a_workload_of_one_shape_is_refused_where_there_are_lengths(tmp_path: Path) -> None:
    with pytest.raises(CannotRun, match="expected a workload of tokens"):
        samples.shaped(of(tmp_path, ()), catalog.load_workload("resnet"))
    assert samples.shaped(of(tmp_path, (), data=Data()), GPT) is GPT


def test_without_lengths_all_batches_have_one_shape(tmp_path: Path) -> None:
    plain = of(tmp_path, (), data=Data())
    assert samples.batch_tokens(plain, INPUTS) is None
    assert samples.steps_of_a_round(plain, INPUTS) == 1
    assert {inputs.shape for inputs, _ in samples.own_samples(plain, INPUTS)} == {(3, 64)}

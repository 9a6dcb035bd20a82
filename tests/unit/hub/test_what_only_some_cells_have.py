"""What the hub keeps of a cell's GPUs and of how it is fed; nothing for a cell on CPU cores with resident samples."""

import re
from typing import Any

import pytest

from stepmark.analysis.cells import CellResult
from stepmark.analysis.feeding import Feeding
from stepmark.analysis.intervals import Estimate
from stepmark.analysis.length_figures import LengthFigures
from stepmark.analysis.step_times import Rate
from stepmark.hub.cell_extras import device_row, device_word, input_row


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("NVIDIA H100 80GB HBM3", "nvidia-h100-80gb-hbm3"),
        ("Tesla T4 (rev. 2)", "tesla-t4-rev-2"),
        ('"} evil{x="', "evil-x"),
        ("x" * 400, "x" * 63),
        ("日本", "unknown"),
    ],
)
def test_the_name_of_a_gpu_becomes_a_label_whatever_it_is(name: str, word: str) -> None:
    assert device_word(name) == word
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", word)


def cell(**known: Any) -> CellResult:
    values: dict[str, Any] = {"key": "a", **known}
    return CellResult.model_construct(**values)


def test_a_cell_of_which_nothing_is_known_of_gpus_has_no_row() -> None:
    assert device_row(cell()) is None
    row = device_row(cell(device_name="NVIDIA T4", power_capped_ratio=0.0))
    assert row is not None
    assert (row["device"], row["power_capped_ratio"], row["sm_clock_hz"]) == ("nvidia-t4", 0.0, None)


def test_a_cell_whose_samples_of_one_length_stay_on_the_device_has_no_row_of_inputs() -> None:
    assert input_row(cell()) is None


def test_waits_of_a_cell_are_kept_and_what_was_not_timed_is_unknown() -> None:
    fed = Feeding(
        way="tf.data", copied=None, bytes_per_second=1e6, wait_ratio=Estimate(value=0.4, low=0.3, high=0.5),
        ceiling_samples_per_second=None,
    )  # fmt: skip
    row = input_row(cell(feeding=fed))
    assert row is not None
    assert (row["wait_ratio"], row["ceiling_samples_per_second"], row["tokens_per_second"]) == (0.4, None, None)


def test_real_tokens_and_recompiles_of_a_cell_are_kept() -> None:
    lengths = LengthFigures(
        shapes=3, padding_ratio=0.25, recompiles=2.0,
        tokens_per_second=Rate.model_construct(median=9000.0, low=None, high=None),
        graph_breaks=None, compile_seconds=6.5, first_visit_seconds=None,
    )  # fmt: skip
    row = input_row(cell(lengths=lengths))
    assert row is not None
    assert (row["tokens_per_second"], row["padding_ratio"], row["recompiles"]) == (9000.0, 0.25, 2.0)

"""What the hub keeps of a cell's GPUs: a name that is a label, figures, and nothing for a cell on CPU cores."""

import re
from typing import Any

import pytest

from stepmark.analysis.cells import CellResult
from stepmark.hub.cell_devices import device_row, device_word


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

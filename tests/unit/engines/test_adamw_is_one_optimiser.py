"""AdamW's settings are exact, and torch's epsilon makes the update that is documented."""

from dataclasses import astuple
from math import sqrt
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from stepmark.engines._optimizers import ADAMW, RATES
from stepmark.engines._torch_optimizers import KerasEpsilon


def test_float32_holds_every_setting_exactly() -> None:
    assert all(float(np.float32(value)) == value for value in (*astuple(ADAMW), *RATES.values()))


def test_torchs_epsilon_starts_again_with_an_optimiser_without_memory() -> None:
    optimizer: Any = SimpleNamespace(state={}, param_groups=[{}])
    hook, seen = KerasEpsilon(), []
    for memory in ({}, {"a weight": 1}, {"a weight": 2}, {}):
        optimizer.state = memory
        hook(optimizer)
        seen.append(optimizer.param_groups[0]["eps"])
    expected = [ADAMW.epsilon / sqrt(1 - ADAMW.beta2**step) for step in (1, 2, 3, 1)]
    assert seen == pytest.approx(expected, rel=1e-12)

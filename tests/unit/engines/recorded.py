"""Frameworks that only record what they are asked, in place of those that a test must not start."""

import sys
from typing import Any
from unittest import mock

import pytest

from stepmark.engines._device import CPU, GPU, Device
from stepmark.engines._protocol import RankContext


def context(device: Device = GPU, strategy: str = "single", **changes: Any) -> RankContext:
    """A rank of a launch, number 1 of two where the strategy is one of several processes."""
    several = strategy in ("multi-worker-mirrored", "data-parallel")
    fixed = {
        "rank": int(several),
        "world_size": 2 if several else 1,
        "variant": None,
        "execution": "graph",
        "precision": "float32",
        "addresses": ("10.0.0.1:5001", "10.0.0.2:5002"),
        "threads": 4,
        "seed": 7,
        "launch_seed": 7,
        "block": 0,
        "collective_timeout_seconds": 60,
    }
    return RankContext(strategy=strategy, device=device, **(fixed | changes))


def framework(monkeypatch: pytest.MonkeyPatch, name: str) -> mock.MagicMock:
    """What `import NAME` gives until the test ends."""
    double = mock.MagicMock(name=name)
    monkeypatch.setitem(sys.modules, name, double)
    return double


__all__ = ["CPU", "GPU", "context", "framework"]

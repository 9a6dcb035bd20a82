"""The checks, with their time limits, and the sizes at which they run."""

import argparse
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Self

SizeName = Literal["full", "quick", "rehearse"]


@dataclass(frozen=True)
class Size:
    """Say how much is measured, and on which kind of device."""

    name: SizeName
    ranks: int = 1

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> Self:
        """Return the size that the command line asks for."""
        name: SizeName = "rehearse" if arguments.rehearse else "quick" if arguments.quick else "full"
        return cls(name, arguments.ranks)

    @property
    def flags(self) -> list[str]:
        """Return the options that ask for this size."""
        return [*([] if self.name == "full" else [f"--{self.name}"]), "--ranks", str(self.ranks)]

    @property
    def on_gpu(self) -> bool:
        """Return whether the checks run on a GPU."""
        return self.name != "rehearse"

    def pick(self, full: Any, quick: Any, rehearse: Any) -> Any:
        """Return the value for this size."""
        return {"full": full, "quick": quick, "rehearse": rehearse}[self.name]


@dataclass(frozen=True)
class Check:
    """Name a check: the function of that name in the module of that name, and its limits in seconds by size."""

    name: str
    full: int
    quick: int
    rehearse: int

    def limit_seconds(self, size: Size) -> int:
        """Return the time limit at this size."""
        return int(size.pick(self.full, self.quick, self.rehearse))

    def function(self) -> Callable[[Size, Any], None]:
        """Return the function, which takes the size and the findings that it fills."""
        return getattr(importlib.import_module(f"check_{self.name}"), "check")  # type: ignore[no-any-return]  # noqa: B009


CHECKS = (
    Check("machine", 20, 10, 60),
    Check("zygotes", 60, 40, 120),
    Check("forks", 60, 25, 240),
    Check("clock", 60, 25, 120),
    Check("products", 40, 15, 60),
    Check("parity", 110, 40, 240),
    Check("collectives", 50, 25, 120),
    Check("faults", 40, 20, 120),
    Check("runs", 180, 50, 240),
)

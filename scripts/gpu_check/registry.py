"""The checks, with their time limits, and the sizes at which they run."""

import argparse
import importlib
import importlib.util
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
    """Describe a check: the module `check_NAME` has its function. The limits are seconds by size.

    `engine` is the one engine whose framework the check imports, or None: one process has one backend of Keras.
    """

    kind: str
    full: int
    quick: int
    rehearse: int
    engine: str | None = None

    @property
    def name(self) -> str:
        """Return the name in results and options."""
        return self.kind if self.engine is None else f"{self.kind}.{self.engine}"

    def limit_seconds(self, size: Size) -> int:
        """Return the time limit at this size."""
        return int(size.pick(self.full, self.quick, self.rehearse))

    def run(self, size: Size, findings: Any) -> None:
        """Run the check, which fills the findings."""
        function: Callable[..., None] = importlib.import_module(f"check_{self.kind}").check
        function(size, findings, *([] if self.engine is None else [self.engine]))


_MODULES = {"torch": ("torch",), "keras-torch": ("torch", "keras"), "keras-jax": ("jax", "keras")}
"""The engines that are checked one by one, the one with the float64 reference first, with the modules they need."""


def _each(kind: str, full: int, quick: int, rehearse: int) -> tuple[Check, ...]:
    return tuple(
        Check(kind, full, quick, rehearse, engine)
        for engine, modules in _MODULES.items()
        if all(importlib.util.find_spec(module) is not None for module in modules)
    )


CHECKS = (
    Check("machine", 20, 10, 60),
    Check("zygotes", 60, 40, 120),
    Check("forks", 60, 25, 240),
    *_each("clock", 30, 12, 120),
    Check("products", 40, 15, 60),
    *_each("parity", 60, 20, 120),
    Check("collectives", 50, 25, 120),
    Check("faults", 40, 20, 120),
    Check("runs", 180, 50, 240),
)

"""What a check found: figures, and problems where a figure contradicts what stepmark assumes."""

import json
from pathlib import Path
from typing import Any


class Findings:
    """Collect figures and problems, and write both to a file after each, so that a kill loses none."""

    def __init__(self, path: Path, folder: Path) -> None:
        self._path, self.folder = path, folder
        self._figures: dict[str, Any] = {}
        self._problems: list[str] = []

    def figure(self, name: str, value: Any) -> None:
        """Store a figure. Its unit is in its name."""
        self._figures[name] = round(value, 6) if isinstance(value, float) else value
        self._write()

    def problem(self, text: str) -> None:
        """Store what contradicts an assumption."""
        self._problems.append(text)
        self._write()

    def at_most(self, name: str, value: float, limit: float) -> None:
        """Store a figure, and a problem if it is over its limit."""
        self.figure(name, value)
        if not value <= limit:
            self.problem(f"{name}: expected at most {limit:g}, found {value:g}")

    def at_least(self, name: str, value: float, limit: float) -> None:
        """Store a figure, and a problem if it is under its limit."""
        self.figure(name, value)
        if not value >= limit:
            self.problem(f"{name}: expected at least {limit:g}, found {value:g}")

    def _write(self) -> None:
        self._path.write_text(json.dumps({"figures": self._figures, "problems": self._problems}))

"""Packages of other people, as tests write them: a module and a dist-info with entry points in a temporary folder."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from stepmark import catalog

SCRIPTED = """
from stepmark.workloads.scripted import Scripted
WORKLOAD = Scripted()
"""
"""The source of a module with a workload that the sleeper runs."""


def write_package(folder: Path, name: str, entries: Mapping[str, str], source: str = SCRIPTED) -> Path:
    """Write a package whose module has this source, and return the folder that belongs on the path.

    `entries` holds `GROUP:NAME` and the entry point's value for each.
    """
    module, info = folder / name.replace("-", "_"), folder / f"{name.replace('-', '_')}-1.0.dist-info"
    module.mkdir(parents=True)
    info.mkdir()
    (module / "__init__.py").write_text(source)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    groups: dict[str, list[str]] = {}
    for entry, value in entries.items():
        group, _, key = entry.partition(":")
        groups.setdefault(f"stepmark.{group}", []).append(f"{key} = {value}")
    text = "".join(f"[{group}]\n" + "\n".join(lines) + "\n" for group, lines in groups.items())
    (info / "entry_points.txt").write_text(text)
    return folder


@contextmanager
def on_path(*folders: Path) -> Iterator[None]:
    """Have this process find the packages in these folders before all others, and forget their modules afterwards."""
    before = set(sys.modules)
    with pytest.MonkeyPatch.context() as patch:
        for folder in folders:
            patch.syspath_prepend(str(folder))
        _forget()
        yield
    _forget()
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(tuple(map(str, folders))):
            del sys.modules[name]


def _forget() -> None:
    for cached in (catalog._entries, catalog._own_names, catalog._load):
        cached.cache_clear()

"""The interpreters that engines run in, and what is installed there.

Frameworks whose CUDA libraries collide cannot share one. Where STEPMARK_ENGINE_PYTHONS names a folder, engines run in
the interpreter of their extra, EXTRA/bin/python in that folder. Those that have none there run in this one.
"""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from stepmark import __version__, catalog
from stepmark.errors import CannotRun

FOLDER_VARIABLE = "STEPMARK_ENGINE_PYTHONS"


def python_of(engine: str) -> str:
    """The interpreter that an engine's processes are started with."""
    folder, extra = os.environ.get(FOLDER_VARIABLE), catalog.load_engine(engine).SUPPORT.extra
    if folder and extra and (own := Path(folder, extra, "bin", "python")).exists():
        return str(own)
    return sys.executable


def pythons() -> list[str]:
    """This interpreter, and those of the engines."""
    return list(dict.fromkeys([sys.executable, *map(python_of, catalog.engine_names())]))


def missing(python: str, modules: Sequence[str]) -> list[str]:
    """Those of the modules that this interpreter does not have. Imports none of them.

    Raises:
        CannotRun: it has another stepmark than this one, or none.
    """
    if python != sys.executable:
        return list(_ask(python, "missing", modules))
    return [name for name in modules if importlib.util.find_spec(name) is None]


def versions(python: str, packages: Sequence[str]) -> dict[str, str]:
    """The versions of those of the packages that this interpreter has.

    Raises:
        CannotRun: it has another stepmark than this one, or none.
    """
    if python != sys.executable:
        return dict(_ask(python, "versions", packages))
    return {name: version for name in packages if (version := _version(name)) is not None}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _ask(python: str, question: str, names: Sequence[str]) -> Any:
    command = [python, "-m", "stepmark.interpreters", question, *names]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        found = (done.stderr.strip().splitlines() or ["no word"])[-1]
    else:
        theirs, answer = json.loads(done.stdout)
        if theirs == __version__:
            return answer
        found = f"stepmark {theirs}"
    raise CannotRun(
        f"{python}: expected stepmark {__version__}, found: {found}. Install it, or unset {FOLDER_VARIABLE}."
    )


def main() -> None:
    answer = {"missing": missing, "versions": versions}[sys.argv[1]](sys.executable, sys.argv[2:])
    print(json.dumps([__version__, answer]))


if __name__ == "__main__":
    main()

"""Find the Python interpreters that engines run in, and what is installed there.

Frameworks whose CUDA libraries conflict cannot share an interpreter. If STEPMARK_ENGINE_PYTHONS names a folder, an
engine runs in the interpreter of its extra, EXTRA/bin/python in that folder. An engine that has no interpreter there
runs in this one.
"""

import importlib.util
import json
import os
import re
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
    """Return the interpreter that an engine's processes are started with."""
    folder, extra = os.environ.get(FOLDER_VARIABLE), catalog.load_engine(engine).SUPPORT.extra
    if folder and extra and (own := Path(folder, extra, "bin", "python")).exists():
        return str(own)
    return sys.executable


def pythons() -> list[str]:
    """Return this interpreter and those of the engines, each once."""
    return list(dict.fromkeys([sys.executable, *map(python_of, catalog.engine_names())]))


def missing(python: str, modules: Sequence[str]) -> list[str]:
    """Return those of the modules that this interpreter does not have. None of them is imported.

    Raises:
        CannotRun: the interpreter has another version of stepmark, or none.
    """
    if python != sys.executable:
        return list(_ask(python, "missing", modules))
    return [name for name in modules if importlib.util.find_spec(name) is None]


def versions(python: str, packages: Sequence[str]) -> dict[str, str]:
    """Return the versions of those of the packages that this interpreter has.

    Raises:
        CannotRun: the interpreter has another version of stepmark, or none.
    """
    if python != sys.executable:
        return dict(_ask(python, "versions", packages))
    return {name: version for name in packages if (version := _version(name)) is not None}


def cuda_versions(python: str, frameworks: Sequence[str]) -> dict[str, str]:
    """Return the CUDA versions that those of the frameworks with CUDA are built for. None of them is imported.

    Raises:
        CannotRun: the interpreter has another version of stepmark, or none.
    """
    if python != sys.executable:
        return dict(_ask(python, "cuda", frameworks))
    return {name: version for name in frameworks if (version := _CUDA_OF.get(name, _no_cuda)()) is not None}


def _cuda_of_torch() -> str | None:
    """Return the value of torch.version.cuda; the file is read, since its package would be imported with it."""
    spec = importlib.util.find_spec("torch")
    file = Path(spec.origin).parent / "version.py" if spec is not None and spec.origin is not None else None
    found = re.search(r"^cuda\b[^=]*= *'([0-9.]+)'", file.read_text(), re.MULTILINE) if file and file.exists() else None
    return found[1] if found is not None else None


def _cuda_of_tensorflow() -> str | None:
    return _version("nvidia-cuda-runtime-cu12") if _version("tensorflow") is not None else None


def _cuda_of_jax() -> str | None:
    return next((f"{major}.0" for major in (13, 12) if _version(f"jax-cuda{major}-plugin") is not None), None)


def _no_cuda() -> None:
    return None


_CUDA_OF = {"torch": _cuda_of_torch, "tensorflow": _cuda_of_tensorflow, "jax": _cuda_of_jax}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _ask(python: str, question: str, names: Sequence[str]) -> Any:
    command = [python, "-m", "stepmark.interpreters", question, *names]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        found = (done.stderr.strip().splitlines() or ["no output"])[-1]
    else:
        theirs, answer = json.loads(done.stdout)
        if theirs == __version__:
            return answer
        found = f"stepmark {theirs}"
    raise CannotRun(
        f"{python}: expected stepmark {__version__}, found: {found}. "
        f"Install that version there, or unset {FOLDER_VARIABLE}."
    )


def main() -> None:
    """Answer the question in the first argument about the names in the others, as JSON on standard output."""
    answer = {"missing": missing, "versions": versions, "cuda": cuda_versions}[sys.argv[1]](
        sys.executable, sys.argv[2:]
    )
    print(json.dumps([__version__, answer]))


if __name__ == "__main__":
    main()

"""`--workload FILE:NAME`: a model in a file of the person's own, for a run on the person's own machine."""

import hashlib
import os
from pathlib import Path

from stepmark.errors import CannotRun
from stepmark.plan.foreign import WorkloadFile
from stepmark.scenario.model import Spec

_BYTES_MOST = 1 << 20


def workload_file(given: str | None, spec: Spec) -> WorkloadFile | None:
    """Return the file with the scenario's workload, or None where none is given. Nothing of it is executed.

    Raises:
        CannotRun: it cannot be read, the scenario names another workload, or the run is in a cluster.
    """
    if given is None:
        return None
    if "RAY_ADDRESS" in os.environ:
        raise CannotRun(
            "--workload: expected a run on this machine, found a cluster (RAY_ADDRESS). There, workloads come from "
            "packages that the profile lists and its image has."
        )
    path, _, attribute = given.rpartition(":")
    if not path or not attribute.isidentifier():
        raise CannotRun(f"--workload: expected FILE:NAME such as my_model.py:UNET, found {given!r}. Name both.")
    found = WorkloadFile(path=Path(path).resolve(), attribute=attribute, sha256=_digest(Path(path)))
    if spec.workload.model != found.model:
        raise CannotRun(
            f"spec.workload.model: expected {found.model}, which --workload {given} gives, found "
            f"{spec.workload.model}. Change the scenario, or leave out --workload."
        )
    return found


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_BYTES_MOST + 1)
    except OSError as error:
        raise CannotRun(f"{path}: expected a readable Python file, found: {error.strerror}. Check the path.") from None
    if len(data) > _BYTES_MOST:
        raise CannotRun(f"{path}: expected at most {_BYTES_MOST} bytes, found more. Give the file with the model.")
    return hashlib.sha256(data).hexdigest()

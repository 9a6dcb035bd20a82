"""Load a scenario's workload in the process of a launch. Code of others is executed here, and nowhere else in a run."""

import hashlib
import os
import random
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import numpy as np

from stepmark import catalog
from stepmark.errors import CannotRun
from stepmark.launch.spec import LaunchSpec
from stepmark.plan.foreign import Question, WorkloadFile
from stepmark.workloads._protocol import FOREIGN_FLOAT64_LIMIT, Workload


def workload_of(spec: LaunchSpec | Question) -> Workload:
    """Return the workload of a launch, or of a question about one.

    Raises:
        CannotRun: it is not installed, its file has changed, it is no workload, or its import changed the process.
    """
    model, file = spec.workload.model, spec.workload_file
    if not catalog.is_foreign(model):
        return catalog.load_workload(model)
    with _unchanged_process(model):
        found: object = catalog.load_workload(model) if file is None else _from_file(file)
    if not isinstance(found, Workload):
        raise CannotRun(f"{model}: expected a stepmark workload, found {type(found).__name__}. See docs/own-model.md.")
    if found.float64_limit > FOREIGN_FLOAT64_LIMIT:
        raise CannotRun(
            f"{model}: expected a float64_limit of at most {FOREIGN_FLOAT64_LIMIT:g}, found more. Lower it."
        )
    return found


def _from_file(file: WorkloadFile) -> object:
    """Execute exactly the bytes whose digest was checked, and return the object, or what its class makes."""
    source = file.path.read_bytes()
    if hashlib.sha256(source).hexdigest() != file.sha256:
        raise CannotRun(f"{file.path}: expected the file as it was when the run began, found another. Begin a new run.")
    module = ModuleType(f"stepmark_local_{file.path.stem}")
    module.__file__ = str(file.path)
    sys.modules[module.__name__] = module  # Dataclasses and Pydantic look their module up there.
    exec(compile(source, str(file.path), "exec"), module.__dict__)  # noqa: S102  (the person's own file, as they asked)
    if not hasattr(module, file.attribute):
        raise CannotRun(f"{file.path}: expected {file.attribute} in it, found no such name. Correct --workload.")
    found = getattr(module, file.attribute)
    return found() if isinstance(found, type) else found


@contextmanager
def _unchanged_process(model: str) -> Iterator[None]:
    """Check that an import has left alone what decides how fast and on what this process computes.

    Variables that stepmark did not set may appear. The states of Python's and NumPy's random numbers are put back,
    since many modules seed them; engines seed their frameworks afterwards.
    """
    variables, threads = dict(os.environ), set(threading.enumerate())
    place = (os.getcwd(), os.sched_getaffinity(0))
    state, numpy_state = random.getstate(), np.random.get_state()
    yield
    random.setstate(state)
    np.random.set_state(numpy_state)
    changed = sorted(name for name, value in variables.items() if os.environ.get(name) != value)
    if changed:
        raise _refused(model, "the environment as it was", f"other values of {', '.join(changed)}")
    if (os.getcwd(), os.sched_getaffinity(0)) != place:
        raise _refused(model, "the folder and the cores of the process as they were", "others")
    started = [thread.name for thread in threading.enumerate() if thread not in threads]
    if started:
        raise _refused(model, "no threads that disturb the measurement", ", ".join(started))


def _refused(model: str, expected: str, found: str) -> CannotRun:
    return CannotRun(f"{model}: expected its import to leave {expected}, found {found}. Remove that from the module.")

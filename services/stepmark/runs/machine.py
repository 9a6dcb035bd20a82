"""What this machine offers to a plan, and whether everything that a plan needs is installed."""

import os
import shutil
import sys

from stepmark import catalog, interpreters
from stepmark.devices.nvml import here
from stepmark.devices.visible import VARIABLE, visible_gpus
from stepmark.errors import CannotRun
from stepmark.orchestrate.drivers import why_no_cuda
from stepmark.plan.blocks import Plan
from stepmark.plan.cells import PROGRAMS, Machine
from stepmark.plan.foreign import WorkloadFile
from stepmark.scenario.model import Spec
from stepmark.terms import DeviceChoice, DeviceKind

DEVICE_VARIABLE = "STEPMARK_DEVICE"
_PLACES_UNKNOWN = 4096
# The module that ships a source's samples, its name for people, and what to do where it is missing.
_SHIPPED_BY = {
    "digits": ("sklearn", "scikit-learn", "pip install 'stepmark[digits]'"),
    "python-docs": ("pydoc_data", "Python's help topics (pydoc_data)", "Install the whole standard library."),
}
_COMPILERS = {"c++": ("c++", "g++", "clang++")}


def machine_for(spec: Spec) -> Machine:
    """Return what this machine offers to a scenario.

    Under `auto`, GPUs that the packages of one of its engines cannot use are left alone, since a run has one kind of
    device; that is said on standard error.

    Raises:
        CannotRun: a GPU is asked for, and there is none.
    """
    why = _why_gpus_are_left_alone(spec)
    if why is None:
        return this_machine(spec.device)
    print(f"device auto: CPU cores, though there are GPUs, since {why}", file=sys.stderr, flush=True)
    return this_machine("cpu")


def _why_gpus_are_left_alone(spec: Spec) -> str | None:
    if spec.device != "auto" or "RAY_ADDRESS" in os.environ or not visible_gpus(here()):
        return None
    engines = dict.fromkeys(str(candidate.engine) for candidate in spec.candidates)
    reasons = ((engine, why_no_cuda(engine, here())) for engine in engines if not missing_modules(engine))
    return next((f"engine {engine}: {why}" for engine, why in reasons if why is not None), None)


def this_machine(choice: DeviceChoice) -> Machine:
    """Return what this machine offers to a scenario with this `spec.device`. Each worker has its own core, or GPU.

    In a cluster (RAY_ADDRESS is set) only Ray knows the number of places, and it refuses a run that needs too many; the
    head has no GPU, so the profile says in STEPMARK_DEVICE what the workers have.

    Raises:
        CannotRun: a GPU is asked for, and there is none.
    """
    programs = tuple(name for name in PROGRAMS if find_program(name))
    if "RAY_ADDRESS" in os.environ:
        return Machine(places=_PLACES_UNKNOWN, programs=programs, device=_device_of_cluster(choice))
    gpus = visible_gpus(here()) if choice != "cpu" else ()
    if gpus:
        name, capability = here().name(gpus[0]), here().compute_capability(gpus[0])
        return Machine(places=len(gpus), programs=programs, device="gpu", gpu_name=name, compute_capability=capability)
    if choice == "gpu":
        hidden = len(here().gpus())
        found = f"{hidden} GPUs that {VARIABLE} hides" if hidden else "no GPU that the driver shows here"
        raise CannotRun(
            f"spec.device: expected gpu, found {found}. `stepmark doctor` says more. With device: auto or cpu the "
            "scenario runs on CPU cores."
        )
    return Machine(places=len(os.sched_getaffinity(0)), programs=programs)


def _device_of_cluster(choice: DeviceChoice) -> DeviceKind:
    offered: DeviceKind = "gpu" if os.environ.get(DEVICE_VARIABLE) == "gpu" else "cpu"
    if choice == "gpu" and offered != "gpu":
        raise CannotRun(
            f"spec.device: expected gpu, found a profile without devices ({DEVICE_VARIABLE} is not gpu). Choose a "
            "profile with devices, or device: auto."
        )
    return offered if choice == "auto" else choice


def find_program(name: str) -> str | None:
    """Return the path of a program that engines start, or None. CXX overrides the search, as it does for torch."""
    for candidate in (os.environ.get("CXX"), *_COMPILERS[name]):
        if candidate and (path := shutil.which(candidate)):
            return path
    return None


def missing_modules(engine: str) -> list[str]:
    """Return the modules that an engine needs and that its interpreter lacks. None of them is imported."""
    return interpreters.missing(interpreters.python_of(engine), catalog.load_engine(engine).SUPPORT.requires)


def install_hint(engine: str) -> str:
    """Return the command that installs an engine's packages, or an empty string."""
    extra = catalog.load_engine(engine).SUPPORT.extra
    return f"pip install 'stepmark[{extra}]'" if extra else ""


def check_names(spec: Spec, file: WorkloadFile | None) -> None:
    """Check that the engines of a scenario, and its workload unless a file has it, come from installed packages.

    Raises:
        CannotRun: one of them is not installed; the message says which package brings it.
    """
    model = spec.workload.model
    asked = [("spec.workload.model", catalog.why_not("workloads", model) if file is None else None)]
    asked += [
        (f"spec.candidates[{index}].engine", catalog.why_not("engines", candidate.engine))
        for index, candidate in enumerate(spec.candidates)
    ]
    problems = [f"{path}: {why}" for path, why in asked if why is not None]
    if problems:
        raise CannotRun("\n".join(problems))


def check_installed(plan: Plan) -> None:
    """Check that all engines and data sources of the plan are installed.

    Raises:
        CannotRun: something is missing; the message names all of it.
    """
    engines = dict.fromkeys(cell.engine for cell in plan.measurable)
    problems = [
        f"engine {engine}: expected the module {', '.join(missing)}, found none. {install_hint(engine)}"
        for engine in engines
        if (missing := missing_modules(engine))
    ]
    if plan.machine.gpu_name is not None:  # In a cluster, the head's driver says nothing.
        problems += [
            f"engine {engine}: {why} With device: cpu the scenario runs on CPU cores."
            for engine in engines
            if not missing_modules(engine) and (why := why_no_cuda(engine, here())) is not None
        ]
    source = plan.scenario.spec.data.source
    module, what, remedy = _SHIPPED_BY.get(source, ("", "", ""))
    if module and any(interpreters.missing(interpreters.python_of(engine), [module]) for engine in engines):
        problems.append(f"data source {source}: expected {what}, found none. {remedy}")
    if problems:
        raise CannotRun("\n".join(problems))

"""`stepmark doctor`: show what this machine can run, and what to do about the rest."""

import json
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
import typer
from rich.console import Console

from stepmark import catalog, interpreters
from stepmark.cli.machine import find_program, install_hint, missing_modules, why_no_cuda
from stepmark.devices.facts import gpu_of
from stepmark.devices.nvml import here
from stepmark.devices.visible import VARIABLE, visible_gpus
from stepmark.errors import CannotRun
from stepmark.report.rich_tables import shown

_CPU_ONLY = "{}-cpu"  # TensorFlow's package without CUDA has a name of this form.


@dataclass(frozen=True)
class Finding:
    """The result of one check. `remedy` is empty if there is nothing to do."""

    subject: str
    ok: bool
    found: str
    remedy: str = ""


def doctor(as_json: bool) -> None:
    """Print all findings.

    Raises:
        typer.Exit: 3, if no engine except `sleeper` can run here.
    """
    found = list(findings())
    runnable = any(f.ok and f.subject.startswith("engine ") and "sleeper" not in f.subject for f in found)
    if as_json:
        typer.echo(json.dumps({"can_run": runnable, "findings": [asdict(finding) for finding in found]}, indent=2))
    else:
        _print(found)
    if not runnable:
        raise typer.Exit(3)


def _print(found: list[Finding]) -> None:
    console = Console()
    for finding in found:
        mark, style = ("ok     ", "green") if finding.ok else ("missing", "yellow")
        console.print(
            f"[{style}]{mark}[/] {shown(finding.subject)}: {shown(finding.found)}", highlight=False, soft_wrap=True
        )
        if finding.remedy:
            console.print(f"        {shown(finding.remedy)}", highlight=False, soft_wrap=True)


def findings() -> Iterator[Finding]:
    """Yield everything that decides whether and what can be measured here. No framework is imported."""
    yield Finding(
        "system", sys.platform == "linux", sys.platform, "" if sys.platform == "linux" else "Linux is needed."
    )
    yield _cores()
    yield _memory()
    yield _shared_memory()
    for engine in catalog.engine_names():
        yield _engine(engine)
    yield from (_of_others("engines", name) for name in catalog.names_of_others("engines"))
    yield from (_of_others("workloads", name) for name in catalog.names_of_others("workloads"))
    yield _package("launcher ray", "ray", {sys.executable}, "pip install 'stepmark[ray]', or run with --launcher bare")
    yield _compiler()
    yield _package("data source digits", "scikit-learn", _pythons_of_frameworks(), "pip install 'stepmark[digits]'")
    yield from _gpus()


def _of_others(kind: catalog.Kind, name: str) -> Finding:
    """Say which package brings this engine or workload. Its code is not loaded."""
    package, version = catalog.package_of(kind, name)
    refusal = catalog.why_not(kind, name)
    return Finding(f"{kind[:-1]} {name}", refusal is None, f"package {package} {version or 'unknown'}", refusal or "")


def _cores() -> Finding:
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    busy = load > 0.5
    text = f"{cores}, so up to {cores} workers; load {load:.2f}"
    return Finding("cores", cores >= 2 and not busy, text, _cores_remedy(cores, busy))


def _cores_remedy(cores: int, busy: bool) -> str:
    if cores < 2:
        return "Scenarios with two workers will show those cells as unsupported."
    return "Something else is running: stop it before measuring, or the intervals will be wide." if busy else ""


def _memory() -> Finding:
    free = psutil.virtual_memory().available / 2**30
    return Finding(
        "memory", free >= 4, f"{free:.1f} GiB available", "" if free >= 4 else "Two frameworks need about 4 GiB."
    )


def _shared_memory() -> Finding:
    folder = Path("/dev/shm")  # noqa: S108
    if not folder.is_dir():
        return Finding(
            "shared memory", False, "no /dev/shm", "Stamps go to the temporary folder; a slow disk may disturb them."
        )
    free = shutil.disk_usage(folder).free / 2**20
    remedy = "" if free >= 16 else "Give the container more shared memory (--shm-size)."
    return Finding("shared memory", free >= 16, f"{free:.0f} MiB free", remedy)


def _compiler() -> Finding:
    found = find_program("c++")
    return Finding("compiler for torch.compile", found is not None, found or "none", "" if found else "Install g++.")


def _engine(name: str) -> Finding:
    missing = missing_modules(name)
    support = catalog.load_engine(name).SUPPORT
    if missing:
        return Finding(f"engine {name}", False, f"no module {', '.join(missing)}", install_hint(name))
    python = interpreters.python_of(name)
    versions = interpreters.versions(python, [*support.requires, *map(_CPU_ONLY.format, support.requires)])
    said = ", ".join(f"{package} {version}" for package, version in versions.items()) or "built in, for tests"
    where = "" if python == sys.executable else f"; {python}"
    return Finding(f"engine {name}", True, f"{said}; strategies {', '.join(support.strategies)}{where}")


def _pythons_of_frameworks() -> set[str]:
    engines = [name for name in catalog.engine_names() if catalog.load_engine(name).SUPPORT.requires]
    return {interpreters.python_of(name) for name in engines if not missing_modules(name)} or {sys.executable}


def _package(subject: str, package: str, pythons: set[str], remedy: str) -> Finding:
    """Check a package. It counts as installed only if each of these interpreters has it."""
    found = [interpreters.versions(python, [package]).get(package) for python in sorted(pythons)]
    if None in found:
        return Finding(subject, False, "not installed", remedy)
    return Finding(subject, True, f"{package} {', '.join(dict.fromkeys(map(str, found)))}")


def _gpus() -> Iterator[Finding]:
    """Yield the GPUs that scenarios find here, and what each engine can do with them."""
    nvml, devices = here(), list(Path("/dev").glob("nvidia[0-9]*"))
    visible = visible_gpus(nvml)
    if not visible and not devices and not nvml.gpus():
        yield Finding("GPUs", True, "none; cells run on CPU cores")
        return
    if not visible:
        yield _unseen(len(nvml.gpus()))
        return
    for number, uuid in enumerate(visible):
        yield _gpu(number, uuid)
    for engine in catalog.engine_names():
        if catalog.load_engine(engine).SUPPORT.requires and not missing_modules(engine):
            yield _on_gpus(engine)


def _unseen(hidden: int) -> Finding:
    if hidden:
        return Finding("GPUs", False, f"{hidden}, all hidden by {VARIABLE}", f"Unset {VARIABLE} to measure on them.")
    return Finding(
        "GPUs",
        False,
        "there are device files, and the driver does not answer",
        "Install the driver's libnvidia-ml.so.1; in a container, set NVIDIA_DRIVER_CAPABILITIES=compute,utility.",
    )


def _gpu(number: int, uuid: str) -> Finding:
    try:
        facts = gpu_of(here(), uuid).facts
    except CannotRun as error:
        return Finding(f"GPU {number}", False, uuid, str(error))
    memory = f"{facts.memory_bytes / 2**30:.0f} GiB" if facts.memory_bytes is not None else "unknown memory"
    found = (
        f"{facts.name}, {memory}, compute capability {facts.compute_capability or 'unknown'}; driver "
        f"{facts.driver or 'unknown'}, which knows CUDA {facts.cuda_driver or 'unknown'}; {uuid}"
    )
    remedy = "Switch MIG mode off: a part of a GPU is not measured." if facts.mig else ""
    return Finding(f"GPU {number}", not facts.mig, found, remedy)


def _on_gpus(engine: str) -> Finding:
    subject, support = f"GPUs for {engine}", catalog.load_engine(engine).SUPPORT
    if support.no_gpu is not None:
        return Finding(subject, False, support.no_gpu, "Scenarios with device: cpu run.")
    why = why_no_cuda(engine)
    if why is not None:
        return Finding(subject, False, "not with these packages", why[0].upper() + why[1:])
    return Finding(subject, True, f"strategies {', '.join(support.strategies)}")

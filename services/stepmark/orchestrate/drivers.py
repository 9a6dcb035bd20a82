"""Say whether the frameworks that are installed and the GPUs' driver fit together. No framework is imported."""

from stepmark import catalog, interpreters
from stepmark.devices.nvml import Nvml
from stepmark.errors import CannotRun
from stepmark.scenario.model import Scenario

_OWN_INTERPRETER = f"into an interpreter of its own ({interpreters.FOLDER_VARIABLE})"
_CUDA_PACKAGES = {
    "torch": "Install PyPI's torch, which is for CUDA.",
    "tensorflow": f"Install requirements/keras-cuda.txt {_OWN_INTERPRETER}.",
    "jax": f"Install requirements/jax-cuda.txt {_OWN_INTERPRETER}.",
}


def why_no_cuda(engine: str, nvml: Nvml) -> str | None:
    """Return why the installed packages of an engine cannot use this machine's GPUs, with what to do.

    It is None where nothing speaks against it; an engine without a framework needs no CUDA. A driver serves programs of
    its own major version of CUDA and of older ones.
    """
    requires, python = catalog.load_engine(engine).SUPPORT.requires, interpreters.python_of(engine)
    frameworks = [name for name in requires if name in _CUDA_PACKAGES]
    built = interpreters.cuda_versions(python, frameworks)
    driver = nvml.cuda_driver()
    for name in frameworks:
        if name not in built:
            return f"expected {name} for CUDA, found one for CPU cores. {_CUDA_PACKAGES[name]}"
        if driver is not None and driver[0] < int(built[name].partition(".")[0]):
            return (
                f"{name} is for CUDA {built[name]}: expected a driver that knows it, found {nvml.driver()}, which "
                f"knows CUDA {driver[0]}.{driver[1]}. Update the driver, or install {name} for that version."
            )
    return None


def check_drivers(scenario: Scenario, nvml: Nvml, node: str) -> None:
    """Check on a rank's node, before the first block, that its driver serves all engines of the scenario.

    Raises:
        CannotRun: it does not serve one of them; the message names the node.
    """
    for engine in dict.fromkeys(str(candidate.engine) for candidate in scenario.spec.candidates):
        why = why_no_cuda(engine, nvml)
        if why is not None:
            raise CannotRun(f"engine {engine} on node {node}: {why}")

"""A process that has started CUDA must not be forked. No import of a framework starts it; controls that do are seen.

Each zygote runs in the environment that a session on GPUs gives it, with two GPUs by a fake NVML and a CUDA driver that
writes down who calls it. It forks a launch that fails at once, since there is no other rank to join.

PyPI's torch is the one for CUDA. TensorFlow's and JAX's wheels for CUDA have interpreters of their own, which
`make test-cuda-imports` installs and names in STEPMARK_ENGINE_PYTHONS.
"""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from fakes.gpus import FakeDriver, some_gpus, uuid
from stepmark import catalog
from stepmark.interpreters import missing, python_of, versions
from stepmark.launch.spawn import ForkedChild, Zygote, child_environment
from unit.launch.test_files_of_a_child_are_not_trusted import spec

WHEELS = {
    "torch": "torch",
    "keras-torch": "torch",
    "keras-tensorflow": "nvidia-cuda-runtime-cu12",
    "tf-keras": "nvidia-cuda-runtime-cu12",
    "keras-jax": "jax-cuda13-plugin",
}
"""The package that an engine's interpreter has where its framework is the one for CUDA."""


@pytest.fixture
def driver(tmp_path: Path) -> FakeDriver:
    folder = tmp_path / "driver"
    folder.mkdir()
    made = FakeDriver(folder)
    made.write(some_gpus(2))
    return made


def environment(engine: str, driver: FakeDriver, folder: Path) -> dict[str, str]:
    gpus = (uuid(0), uuid(1))
    return child_environment(engine, 1, folder, "gpu", gpus) | {
        "LD_LIBRARY_PATH": str(driver.folder),
        "FAKE_CUDA_LOG": str(driver.cuda_log),
    }


def calls(driver: FakeDriver, pid: int) -> list[str]:
    """What the process with this pid asked of the CUDA driver."""
    log = driver.cuda_log.read_text() if driver.cuda_log.exists() else ""
    lines = [line.split() for line in log.splitlines()]
    return [words[2] for words in lines if words[0] == str(pid) and words[1] == "call"]


def python_with_cuda(engine: str) -> str:
    python = python_of(engine)
    if missing(python, catalog.load_engine(engine).SUPPORT.requires) or not versions(python, [WHEELS[engine]]):
        pytest.skip(f"needs {WHEELS[engine]} in the interpreter of {engine}: make test-cuda-imports")
    return python


@pytest.mark.parametrize("engine", WHEELS)
def test_a_zygote_imports_its_framework_and_forks_without_cuda(tmp_path: Path, driver: FakeDriver, engine: str) -> None:
    python_with_cuda(engine)
    zygote = Zygote(engine, tmp_path / "z.sock", environment(engine, driver, tmp_path))
    try:
        assert zygote.wait_until_ready()
        made = spec(tmp_path / "launch")
        (tmp_path / "launch").mkdir()
        launch = replace(made.launch, cell=made.cell.model_copy(update={"engine": engine}))
        assert ForkedChild(made.model_copy(update={"launch": launch}), zygote.path).wait(60) == 1
        assert calls(driver, zygote._process.pid) == []
    finally:
        zygote.stop()


@pytest.mark.parametrize(
    ("engine", "question", "nvml"),
    [
        ("torch", "torch._C._cuda_getDeviceCount()", True),
        ("torch", "torch.cuda.is_available()", False),
        ("keras-tensorflow", "tensorflow.config.list_physical_devices('GPU')", True),
        ("keras-jax", "jax.devices()", True),
    ],
    ids=["torch", "torch without NVML", "tensorflow", "jax"],
)
def test_a_question_that_starts_cuda_is_seen(
    tmp_path: Path, driver: FakeDriver, engine: str, question: str, nvml: bool
) -> None:
    """The controls: without these lines in the log, the test above would prove nothing."""
    if not nvml:
        (driver.folder / "libnvidia-ml.so.1").unlink()
    assert {"cuInit", "cuGetProcAddress"} & set(calls(driver, asked(engine, question, driver, tmp_path)))


def test_with_nvml_torch_asks_for_gpus_without_cuda(tmp_path: Path, driver: FakeDriver) -> None:
    assert calls(driver, asked("torch", "assert torch.cuda.is_available()", driver, tmp_path)) == []


def asked(engine: str, question: str, driver: FakeDriver, folder: Path) -> int:
    """The pid of a process that has imported the framework and asked this."""
    framework = catalog.load_engine(engine).SUPPORT.requires[0]
    code = f"import os, {framework}; print(os.getpid(), flush=True); {question}"
    done = subprocess.run(
        [python_with_cuda(engine), "-c", code],
        env=environment(engine, driver, folder) | {"JAX_PLATFORMS": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[0])

"""A real Prometheus for tests, and what it scrapes beside a hub: other exporters, and results of a GPU machine."""

import json
import re
import shutil
import socket
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import ROOT, scenario_document
from running_hub import Results, wait_for
from stepmark.generate.rules import FILE
from stepmark.plan.cells import Cell, cells
from stepmark.results.certificate import Certificate
from stepmark.results.device import DeviceFacts, DeviceMemory, DeviceUse
from stepmark.results.feeding import Feeding
from stepmark.results.record import LaunchHeader, Parts
from stepmark.results.shapes import BatchTokens, Recompilations
from stepmark.scenario.load import scenario_from_object

PROMETHEUS, PROMTOOL = shutil.which("prometheus") or "", shutil.which("promtool") or ""
needs_prometheus = pytest.mark.skipif(
    not (PROMETHEUS and PROMTOOL), reason="prometheus and promtool are not on the PATH (Debian: prometheus)"
)

Labels = dict[str, str]


@dataclass(frozen=True)
class Sample:
    labels: Labels
    value: float


@dataclass(frozen=True)
class Prometheus:
    """A running Prometheus. Every method fails the test if Prometheus refuses the request."""

    url: str

    def get(self, path: str, **query: str) -> Any:
        address = f"{self.url}{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(address, timeout=120) as answer:
            body = json.load(answer)
        assert body["status"] == "success", body
        return body["data"]

    def query(self, expression: str) -> list[Sample]:
        """Return the present value of each series of the expression."""
        found = self.get("/api/v1/query", query=expression)
        assert found["resultType"] == "vector", expression
        return [Sample(row["metric"], float(row["value"][1])) for row in found["result"]]

    def value(self, expression: str) -> float:
        """Return the present value of the only series of the expression."""
        [sample] = self.query(expression)
        return sample.value

    def label_values(self, label: str, selector: str) -> list[str]:
        return self.get(f"/api/v1/label/{label}/values", **{"match[]": selector})

    def scraped(self, job: str) -> bool:
        """Return whether the job was scraped successfully at least once."""
        return any(sample.value == 1 for sample in self.query(f'up{{job="{job}"}}'))


@contextmanager
def prometheus(folder: Path, jobs: Sequence[Mapping[str, Any]]) -> Iterator[Prometheus]:
    """Run a Prometheus with the committed rules, which scrapes these jobs every second.

    `folder`/data may hold older samples already.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    every = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config = {"global": every, "rule_files": [str(ROOT / FILE)], "scrape_configs": list(jobs)}
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
    command = [
        PROMETHEUS, f"--config.file={folder / 'prometheus.yaml'}", f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn",
    ]  # fmt: skip
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, stderr=log, stdout=log)
    try:
        wait_for(lambda: _ready(port) or process.poll() is not None)
        assert process.poll() is None, (folder / "prometheus.log").read_text()
        yield Prometheus(f"http://127.0.0.1:{port}")
    finally:
        process.kill()
        process.wait()


def _ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def job(name: str, address: str, path: str = "/metrics", honor: bool = False, **labels: str) -> dict[str, Any]:
    """Return a scrape job. `address`: HOST:PORT. `labels`: what a discovery puts on every series of the target."""
    targets = [{"targets": [address], "labels": labels}]
    return {"job_name": name, "metrics_path": path, "honor_labels": honor, "static_configs": targets}


@contextmanager
def static_exporter(folder: Path) -> Iterator[str]:
    """Run a process that serves the files of the folder; yields HOST:PORT."""
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        try:
            yield f"127.0.0.1:{re.findall(r'port ([0-9]+)', said)[0]}"
        finally:
            process.kill()


def backfill(folder: Path, openmetrics: str) -> None:
    """Write older samples into the data of a Prometheus that is not started yet."""
    file = folder / "past.txt"
    file.write_text(openmetrics)
    command = [PROMTOOL, "tsdb", "create-blocks-from", "openmetrics", str(file), str(folder / "data")]
    subprocess.run(command, check=True, capture_output=True)


GPU_PODS = ("bench-worker-a", "bench-worker-b")
DCGM = "".join(
    f"# TYPE {name} gauge\n"
    + "".join(f'{name}{{gpu="{gpu}",UUID="GPU-{gpu}",pod="{pod}",namespace="bench",container="ray-worker"}} {value}\n'
              for gpu, pod in enumerate(GPU_PODS))
    + f'{name}{{gpu="9",UUID="GPU-9"}} 0\n'  # This GPU is idle: it belongs to no pod.
    for name, value in {
        "DCGM_FI_DEV_GPU_UTIL": 87, "DCGM_FI_DEV_FB_USED": 1024, "DCGM_FI_DEV_POWER_USAGE": 412,
        "DCGM_FI_DEV_SM_CLOCK": 1980, "DCGM_FI_DEV_GPU_TEMP": 61,
        "DCGM_FI_DEV_XID_ERRORS": 79, "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE": 0.42,
    }.items()
)  # fmt: skip
"""Metrics as dcgm-exporter writes them, with the pods that have the GPUs."""

RAY = """# TYPE ray_node_cpu_utilization gauge
ray_node_cpu_utilization{ip="10.0.0.1",SessionName="s",Version="2.60"} 55
# TYPE ray_node_mem_used gauge
ray_node_mem_used{ip="10.0.0.1",SessionName="s",Version="2.60"} 4294967296
"""
"""Metrics as a Ray node writes them. They do not name the pod, so a discovery does."""


H100 = "NVIDIA H100 80GB HBM3"
USE = DeviceUse(
    sm_clock_mean_hz=1.7e9, power_mean_watts=650.0, counted_seconds=10.0, capped_seconds={"software-power": 1.0}
)


def results_of_gpus(measured: Results, name: str) -> Results:
    """Return a campaign of two frameworks on one and two H100, with certificates, energy and `measured` step times.

    Its steps wait for a DataLoader, and a quarter of the tokens that they are given is padding.
    """
    document = scenario_document(
        workload={"model": "mlp", "params": {"features": 4096, "hidden": 8192}},
        candidates=[
            {"name": "torch", "engine": "torch", "strategy": "ddp"},
            {"name": "keras", "engine": "keras-torch", "strategy": "ddp"},
        ],
        scale={"workers": [1, 2], "batchPerWorker": 8},
        parity="required",
    )
    document["metadata"]["name"] = name
    scenario = scenario_from_object(document)
    run = measured.run.model_copy(update={"scenario": document, "scenario_digest": scenario.digest()})
    planned = cells(scenario, run.machine)
    rows = tuple(_launch(scenario.digest(), cell, old) for cell in planned for old in _launches_like(measured, cell))
    return Results(measured.folder, run, rows, tuple(_certificate(cell, planned[0]) for cell in planned))


def _launches_like(measured: Results, cell: Cell) -> Iterator[dict[str, Any]]:
    """Yield the sleeper's launches with as many workers. Its slower variant stands for Keras."""
    candidate = {"torch": "plain", "keras": "slow"}[cell.candidate]
    for _, row in measured.rows:
        if (row["header"]["cell"]["candidate"], row["header"]["cell"]["workers"]) == (candidate, cell.workers):
            yield row


def _launch(digest: str, cell: Cell, old: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    header = LaunchHeader.model_validate(old["header"])
    launch_id = f"b{header.block:03d}.{cell.key}"
    ranks = tuple(
        rank.model_copy(update={
            "flags": {"device_name": H100}, "energy_joules": 31.0, "peak_memory_bytes": 5 << 30,
            "device": DeviceFacts(kind="gpu", name=H100, uuid_tail=f"{rank.rank}"), "device_use": USE,
            "device_memory": DeviceMemory(used_peak_bytes=7 << 30), "parts": _with_pipeline(rank.parts),
            "feeding": Feeding(way="DataLoader", batch_bytes=1 << 20, wait_nanoseconds=1_000_000),
            "batch_tokens": BatchTokens(real=(30,), padded=(40,)),
            "recompilations": Recompilations(recompiles=2, compile_seconds=6.5),
        })
        for rank in header.ranks
    )  # fmt: skip
    changed = header.model_copy(
        update={"launch_id": launch_id, "scenario_digest": digest, "cell": cell, "ranks": ranks}
    )
    return launch_id, {"header": json.loads(changed.model_dump_json()), "steps_npz": old["steps_npz"]}


def _with_pipeline(parts: Parts | None) -> Parts:
    """Return the parts with batches that were taken without training, each in a millisecond."""
    assert parts is not None
    return parts.model_copy(update={"nanoseconds": {**parts.nanoseconds, "pipeline": (1_000_000,) * 10}})


def _certificate(cell: Cell, reference: Cell) -> Certificate:
    badge = "certified" if cell.candidate == reference.candidate else "within limits"
    return Certificate(cell=cell.key, reference=reference.key, badge=badge, text=badge)

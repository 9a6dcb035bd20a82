"""A real Prometheus with everything that the boards ask for: a hub with results, a run, a controller, exporters.

A test module asks for `world` with `pytest_plugins = ["running_hub", "prometheus_world"]`.
"""

import functools
import json
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import yaml
from prometheus_controller import controller
from prometheus_fixtures import DCGM, RAY, Prometheus, job, prometheus, results_of_gpus, static_exporter

from conftest import PATIENCE_SECONDS, ROOT, scenario_document
from running_hub import STEPMARK, Hub, Results, Runner, serve, wait_for
from stepmark.hub.tables import cells, collectives, comparisons, latest
from stepmark.telemetry import names

BOARDS = [json.loads(path.read_text()) for path in sorted((ROOT / "charts/stepmark/dashboards").glob("*.json"))]
GPUS = "mlp-on-gpus"
EXCHANGE = "exchange"
CHOSEN = {"stepmark-live": "test", "stepmark-collectives": EXCHANGE}  # All other boards show GPUS.
CLUSTER = "east"
here = functools.partial(job, cluster=CLUSTER)


@dataclass(frozen=True)
class Query:
    """The query of a panel, with its variables filled in. `number`: the query's index in its panel."""

    board: str
    title: str
    number: int
    expression: str

    def __str__(self) -> str:
        return f"{self.board.removeprefix('stepmark-')}: {self.title} {self.number}"


def filled(expression: str, board: str) -> str:
    values = {
        "scenario": CHOSEN.get(board, GPUS), "__rate_interval": "1m", "execution": "eager", "precision": "float32",
        "workers": ".+", "collective": ".+", "workload": ".+", "cluster": CLUSTER,
    }  # fmt: skip
    return re.sub(r"\$([a-z_]\w*)", lambda found: values[found[1]], expression)


def queries() -> Iterator[Query]:
    """Yield the queries of all panels of all boards."""
    for board in BOARDS:
        for panel in board["panels"]:
            for number, target in enumerate(panel.get("targets", ())):
                yield Query(board["uid"], panel["title"], number, filled(target["expr"], board["uid"]))


QUERIES = list(queries())
VARIABLES = [
    (board["uid"], variable["name"], filled(variable["query"], board["uid"]), variable.get("regex", ""))
    for board in BOARDS
    for variable in board["templating"]["list"]
    if variable["type"] == "query"
]


@dataclass(frozen=True)
class World:
    """Every service that runs, and what the hub's database holds."""

    prometheus: Prometheus
    hub: Hub
    cells: list[dict[str, Any]]
    pairs: list[dict[str, Any]]
    collectives: list[dict[str, Any]]

    def ask(self, board: str, title: str, number: int = 0) -> dict[tuple[str, ...], float]:
        """Return what a panel shows: label values, in the order of their names, -> value."""
        [query] = [one for one in QUERIES if (one.board, one.title, one.number) == (board, title, number)]
        found = self.prometheus.query(query.expression)
        left = ("job", "instance", "cluster")
        plain = [({k: v for k, v in one.labels.items() if k not in left}, one.value) for one in found]
        return {tuple(labels[name] for name in sorted(labels)): value for labels, value in plain}


@pytest.fixture(scope="module")
def world(results: Results, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("prometheus")
    exported = folder / "exported"
    exported.mkdir()
    (exported / "dcgm").write_text(DCGM)
    (exported / "ray").write_text(RAY)
    hub = serve(folder, f"sqlite:///{folder / 'hub.db'}")
    with _running(folder) as live, static_exporter(exported) as others, controller(folder) as controlled:
        jobs = [
            here("hub", hub.metrics_url.removeprefix("http://").removesuffix("/metrics")),
            here("live", live, pod="driver"),
            here("controller", controlled, pod="controller-1"),
            here("dcgm", others, "/dcgm", pod="dcgm-exporter-x", namespace="monitoring", container="exporter"),
            here("dcgm-honoured", others, "/dcgm", honor=True, pod="dcgm-exporter-y"),
            here("ray", others, "/ray", pod="bench-head"),
        ]
        with prometheus(folder, jobs) as server:
            wait_for(lambda: all(server.scraped(one["job_name"]) for one in jobs))
            _feed(hub, results, _exchanged(folder))
            fed = time.time()
            wait_for(lambda: server.query(f"timestamp({names.DATABASE_UP}) > {fed + 1.5}"))
            wait_for(
                lambda: server.query(f"rate({names.LIVE_STEPS}[5s]) > 0 and on () {names.LIVE_SAMPLES_PER_SECOND}")
            )
            tables = (("cell", cells), ("comparison", comparisons), ("collective", collectives))
            yield World(server, hub, *(_latest(hub, what, table) for what, table in tables))
    assert hub.end() == 0, hub.log.read_text()


class _running:
    """A run of one long launch, followed on a port of its own; yields HOST:PORT."""

    def __init__(self, folder: Path) -> None:
        document = scenario_document(
            workload={"model": "scripted", "params": {"stepSeconds": 0.05}},
            measurement={"launches": 2, "minSteps": 5000, "minSeconds": 0, "warmupSteps": 2, "warmupSeconds": 0},
        )
        (folder / "live.yaml").write_text(yaml.safe_dump(document))
        command = [*STEPMARK, "run", "live.yaml", "--launcher", "bare", "--out", "live", "--live-listen", "127.0.0.1:0"]
        self._process = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)

    def __enter__(self) -> str:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if found := re.search(r"http://([0-9.:]+)/metrics", line):
                return found[1]
        pytest.fail("the run did not say where it can be followed")

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.communicate(timeout=PATIENCE_SECONDS)


def _exchanged(folder: Path) -> Results:
    """Measure the sleeper's all-reduce with messages of two sizes."""
    document = scenario_document(
        workload={"model": "collective", "params": {"collective": "all-reduce"}},
        sweep={"messageBytes": [1024, 1 << 20]},
        measurement={"launches": 5, "minSteps": 20, "minSeconds": 0, "warmupSteps": 2, "warmupSeconds": 0},
        scale={"workers": [2], "batchPerWorker": 1},
    )
    document["metadata"]["name"] = EXCHANGE
    (folder / "exchange.yaml").write_text(yaml.safe_dump(document))
    command = [*STEPMARK, "run", "exchange.yaml", "--launcher", "bare", "--out", "exchanged"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return Results.of(folder / "exchanged")


def _feed(hub: Hub, results: Results, exchanged: Results) -> None:
    for sent, namespace in ((results, None), (exchanged, "team-b"), (results_of_gpus(results, GPUS), "team-a")):
        runner = Runner(hub, sent, f"of-{namespace or 'nobody'}")
        assert runner.register(namespace=namespace).status_code == 201
        runner.send_all()
        hub.wait_until_derived(runner.run_id)
    running = hub.runner(results)
    assert [running.claim().status_code, running.state(1).status_code] == [201, 201]
    stranger = Runner(hub, results, "nobody", token="smk_wrong")
    assert stranger.claim().status_code == 401


def _latest(hub: Hub, what: str, table: sa.Table) -> list[dict[str, Any]]:
    engine = sa.create_engine(hub.database_url)
    same = sa.and_(table.c.execution_id == latest.c.execution_id, table.c.key == latest.c.key)
    with engine.connect() as connection:
        rows = connection.execute(sa.select(table).join(latest, same).where(latest.c.what == what)).mappings()
        found = [dict(row) | {names.NAMESPACE: row["namespace"]} for row in rows]
    engine.dispose()
    return found

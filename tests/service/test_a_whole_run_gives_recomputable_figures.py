"""One real run of PyTorch and Keras through Ray Train; other code computes every figure again from the raw arrays."""

import io
import json
import math
import sqlite3
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from conftest import CommandLine, needs, scenario_document

SPEC = {
    "workload": {"model": "mlp", "params": {"hidden": 64}},
    "candidates": [
        {"name": "torch", "engine": "torch", "strategy": "ddp"},
        {"name": "keras", "engine": "keras-tensorflow", "strategy": "multi-worker-mirrored"},
    ],
    "sweep": {"execution": ["default", "graph"]},
    "parity": "required",
    "scale": {"workers": [1, 2, 64], "batchPerWorker": 16},
    "data": {"source": "digits"},
    "measurement": {"launches": 2, "minSteps": 30, "minSeconds": 0.1, "warmupSteps": 5, "warmupSeconds": 0},
}


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    needs("ray", "torch", "tensorflow", "keras")
    command_line = CommandLine(tmp_path_factory.mktemp("run"))
    (command_line.folder / "scenario.yaml").write_text(yaml.safe_dump(scenario_document(**SPEC)))
    done = command_line("run", "scenario.yaml", "--out", "out")
    assert done.returncode == 0, done.stderr
    assert " against " in done.stdout or " as long a step as " in done.stdout or " equally long steps " in done.stdout
    return command_line.folder / "out"


@pytest.fixture(scope="module")
def summary(out: Path) -> dict[str, Any]:
    return json.loads((out / "summary.json").read_text())


@pytest.fixture(scope="module")
def raw(out: Path) -> dict[str, dict[int, tuple[dict[str, Any], np.ndarray]]]:
    """Return cell key -> block -> (header, the job's measured step seconds), read without stepmark."""
    cells: dict[str, dict[int, tuple[dict[str, Any], np.ndarray]]] = defaultdict(dict)
    with sqlite3.connect(out / "results.db") as database:
        for text, blob in database.execute("select header, step_nanoseconds_npz from launches"):
            header = json.loads(text)
            steps = np.load(io.BytesIO(blob))["step_nanoseconds"]
            cell = header["cell"]
            key = f"{cell['candidate']}.{cell['execution']}.{cell['precision']}.w{cell['workers']}"
            cells[key][header["block"]] = (header, job_seconds(header["ranks"][0]["windows"], steps))
    return cells


def job_seconds(windows: list[dict[str, Any]], steps: np.ndarray) -> np.ndarray:
    """Return the seconds of each measured step, which ends when its last rank ends; ranks begin a window together."""
    found: list[float] = []
    for window in windows:
        own, steps = steps[:, : window["steps"]], steps[:, window["steps"] :]
        ends = [max(row[: index + 1].sum() for row in own) for index in range(window["steps"])]
        if window["kind"] == "measured":
            found += [(after - before) / 1e9 for before, after in zip([0, *ends], ends, strict=False)]
    return np.array(found)


def t_interval(values: list[float]) -> tuple[float, float, float]:
    """Compute (value, low, high) by hand for two values. t(0.975, 1 degree of freedom) is 12.7062."""
    logs = [math.log(value) for value in values]
    half = 12.706204736 * statistics.stdev(logs) / math.sqrt(2)
    return tuple(math.exp(statistics.mean(logs) + side * half) for side in (0, -1, 1))  # type: ignore[return-value]


def cut_off(interval: tuple[float, float, float], low: float, high: float) -> list[float]:
    """Cut an interval off at the shortest and the longest single step."""
    value, least, most = interval
    return [value, max(least, low), min(most, high)]


def measured(summary: dict[str, Any]) -> list[dict[str, Any]]:
    return [cell for cell in summary["cells"] if cell["step_seconds"]]


def steady(steps: np.ndarray) -> np.ndarray:
    from stepmark.analysis.steady import steady_state

    return steps[steady_state(steps).start :]


def test_the_default_execution_is_shown_as_what_it_resolves_to(summary: dict[str, Any]) -> None:
    levels = {(cell["candidate"], cell["execution"]): cell["levels"] for cell in summary["cells"]}
    assert levels[("torch", "eager")] == ["default"]
    assert levels[("keras", "graph")] == ["default", "graph"]


def test_an_unsupported_cell_is_a_result_with_its_reason(summary: dict[str, Any]) -> None:
    reasons = {cell["key"]: cell["reason"] for cell in summary["cells"] if cell["verdict"] == "unsupported"}
    assert "use compiled" in reasons["torch.graph.float32.w1"]
    assert "the cell needs 64 workers" in reasons["keras.graph.float32.w64"]


def test_step_times_and_throughput_follow_from_the_raw_arrays(summary: dict[str, Any], raw: dict) -> None:
    assert len(measured(summary)) == 4
    for cell in measured(summary):
        launches = [steady(steps) for _, steps in raw[cell["key"]].values()]
        pooled, batch, step = np.concatenate(launches), cell["global_batch"], cell["step_seconds"]
        ends = float(pooled.min()), float(pooled.max())
        medians = t_interval([float(np.median(steps)) for steps in launches])
        assert [step["median"], step["low"], step["high"]] == pytest.approx(cut_off(medians, *ends), rel=1e-6)
        means = t_interval([float(steps.mean()) for steps in launches])
        assert list(step["mean"].values()) == pytest.approx(cut_off(means, *ends), rel=1e-6)
        assert [step["p5"], step["p95"], step["p99"]] == pytest.approx(np.percentile(pooled, [5, 95, 99]).tolist())
        rates = t_interval([batch * len(steps) / steps.sum() for steps in launches])
        rate = cell["samples_per_second"]
        expected = cut_off(rates, batch / ends[1], batch / ends[0])
        assert [rate["median"], rate["low"], rate["high"]] == pytest.approx(expected, rel=1e-6)


def test_speedup_and_efficiency_follow_from_the_raw_arrays(summary: dict[str, Any], raw: dict) -> None:
    def rates(key: str) -> list[float]:
        batch = next(cell["global_batch"] for cell in summary["cells"] if cell["key"] == key)
        return [batch * len(s) / s.sum() for s in (steady(raw[key][block][1]) for block in (0, 1))]

    for cell in measured(summary):
        base = cell["key"].replace(".w2", ".w1")
        expected = t_interval([two / one for two, one in zip(rates(cell["key"]), rates(base), strict=True)])
        assert list(cell["scaling"]["speedup"].values()) == pytest.approx(expected, rel=1e-6)
        assert cell["scaling"]["efficiency"]["value"] == pytest.approx(expected[0] / cell["workers"], rel=1e-6)


def test_comparisons_follow_from_the_raw_arrays(summary: dict[str, Any], raw: dict) -> None:
    compared = [c for c in summary["comparisons"] if c["ratio"]]
    assert [(c["candidate"], c["reference"], c["execution"], c["workers"]) for c in compared] == [
        ("keras", "torch", "default", 1),
        ("keras", "torch", "default", 2),
    ]
    for comparison in compared:
        workers = comparison["workers"]
        ours, theirs = raw[f"keras.graph.float32.w{workers}"], raw[f"torch.eager.float32.w{workers}"]
        for name, figure in (("ratio", np.mean), ("median_ratio", np.median)):
            figures = [[float(figure(steady(side[block][1]))) for block in (0, 1)] for side in (ours, theirs)]
            expected = t_interval([a / b for a, b in zip(*figures, strict=True)])
            assert list(comparison[name].values()) == pytest.approx(expected, rel=1e-6)
        assert (comparison["verdict"], comparison["p_adjusted"]) == ("inconclusive", None)


def test_memory_and_startup_times_follow_from_the_ranks_reports(summary: dict[str, Any], raw: dict) -> None:
    for cell in measured(summary):
        headers = [header for header, _ in raw[cell["key"]].values()]
        assert cell["peak_memory_bytes"] == max(rank["peak_memory_bytes"] for h in headers for rank in h["ranks"])
        for part in ("spawn", "import", "group", "build", "first_step"):
            slowest = [max(rank["startup_seconds"][part] for rank in header["ranks"]) for header in headers]
            assert cell["startup_seconds"][part] == pytest.approx(statistics.median(slowest))


def test_every_rank_had_its_own_core_and_recorded_its_settings(raw: dict) -> None:
    for blocks in raw.values():
        for header, _ in blocks.values():
            cores = [core for rank in header["ranks"] for core in rank["cpus"]]
            assert len(cores) == len(set(cores)) == header["cell"]["workers"]
            assert all(rank["flags"]["threads"] == "1" for rank in header["ranks"])
            assert header["launcher"] == "ray"
            assert header["forked"]


def test_both_frameworks_learned_the_digits(raw: dict) -> None:
    for blocks in raw.values():
        for header, _ in blocks.values():
            assert all(rank["last_loss"] < rank["first_loss"] for rank in header["ranks"])


def test_the_summary_names_its_scenario_and_packages(summary: dict[str, Any]) -> None:
    assert summary["scenario"] == "test"
    assert len(summary["scenario_digest"]) == 64
    assert summary["environment"]["packages"].keys() >= {"torch", "keras", "ray", "stepmark"}


def test_results_and_report_give_the_same_figures_again(out: Path, summary: dict[str, Any]) -> None:
    command_line = CommandLine(out.parent)
    again = command_line("results", "out", "--json")
    assert json.loads(again.stdout) == summary
    before = (out / "report.md").read_text()
    (out / "report.md").unlink()
    assert command_line("report", "out").returncode == 0
    assert (out / "report.md").read_text() == before


def test_every_measured_cell_has_a_certificate_with_its_proof(summary: dict[str, Any], out: Path) -> None:
    measured = {cell["key"] for cell in summary["cells"] if cell["verdict"] not in ("unsupported", "not measured")}
    found = {certificate["cell"]: certificate for certificate in summary["certificates"]}
    assert found.keys() == measured
    assert all(certificate["badge"] == "certified" for certificate in found.values())
    [timed] = [s for s in found["keras.graph.float32.w2"]["stages"] if s["name"] == "as timed"]
    assert timed["ranks_agree"]
    assert 0 < timed["figures"]["gradient"] < timed["limits"]["gradient"]
    for key, certificate in found.items():  # Every launch was proven after its windows, on all its samples.
        proof = certificate["stages"][-1]
        assert (proof["name"], proof["problem"]) == ("timed run", "")
        assert proof["ranks_agree"] is (True if key.endswith(".w2") else None)
        assert 0 <= proof["figures"]["update"] < proof["limits"]["update"]
    judged = [comparison for comparison in summary["comparisons"] if comparison["ratio"] is not None]
    assert judged
    assert all(comparison["parity"] == "certified" for comparison in judged)
    assert "| keras.graph.float32.w2 | torch | as timed |" in (out / "report.md").read_text()


def test_time_split_and_matrix_product_follow_from_the_ranks_reports(summary: dict[str, Any], raw: dict) -> None:
    for cell in measured(summary):
        launches = [[rank["parts"] for rank in header["ranks"]] for header, _ in raw[cell["key"]].values()]

        def means(name: str, launches: list[Any] = launches) -> list[list[float]]:
            """Return the median seconds of a part of the step, for each rank of each launch."""
            return [[statistics.median(one["nanoseconds"][name]) / 1e9 for one in launch] for launch in launches]

        whole, alone, without_update = map(means, ("step", "step_without_reduce", "step_without_update"))
        exchange = [[w - a for w, a in zip(*pair, strict=True)] for pair in zip(whole, alone, strict=True)]
        split = cell["time_split"]
        assert split["launches"] == cell["launches"] == len(launches)
        exposed = statistics.mean(min(one) for one in exchange)
        assert split["exposed_communication_seconds"]["value"] == pytest.approx(exposed)
        waits = statistics.mean(statistics.mean(one) - min(one) for one in exchange)
        assert split["wait_seconds"]["value"] == pytest.approx(waits)
        compute = statistics.mean(map(statistics.mean, without_update))
        assert split["compute_seconds"]["value"] == pytest.approx(compute)
        update = statistics.mean(map(statistics.mean, alone)) - compute
        assert split["update_seconds"]["value"] == pytest.approx(update)
        products = [
            sum(one["matmul_flops"] / median for one, median in zip(launch, medians, strict=True))
            for launch, medians in zip(launches, means("matmul"), strict=True)
        ]
        product = max(products)
        used = cell["utilization"]
        assert used["matmul_flops_per_second"] == pytest.approx(product)
        flops = used["flops_per_sample"] * cell["samples_per_second"]["median"]
        assert used["matmul_utilization"] == pytest.approx(flops / product)
        assert (used["mfu"], used["joules_per_sample"], used["cost_per_million_samples"]) == (None, None, None)

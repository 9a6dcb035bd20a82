"""`stepmark first-step` says what it measured to people and programs, keeps every process, and goes on from there."""

import json

from conftest import ROOT, CommandLine, trained_models
from stepmark.results.starts import FILE, Starts

QUICKSTART = ROOT / "scenarios" / "quickstart.yaml"


def test_starts_are_kept_continued_and_recomputed_from_their_record(stepmark: CommandLine) -> None:
    file = stepmark.scenario(
        candidates=[{"name": name, "engine": "sleeper", "strategy": "parallel"} for name in ("a", "b")],
        workload={"model": "scripted", "params": {"stepSeconds": 0.004, "startupSeconds": 0.05}},
    )
    first = stepmark("first-step", file, "--blocks", 1, "--edit", "startupSeconds=0.4", "--out", "out")
    assert first.returncode == 0, first.stderr
    assert "seconds to the first step" in first.stdout
    assert max(map(len, first.stdout.splitlines())) <= 100
    assert "[8/8]" in first.stderr

    refused = stepmark("first-step", file, "--blocks", 1, "--edit", "startupSeconds=0.4", "--out", "out")
    assert (refused.returncode, refused.stdout) == (3, "")
    assert "Add --resume" in refused.stderr
    other = stepmark("first-step", file, "--edit", "startupSeconds=0.5", "--out", "out", "--resume")
    assert other.returncode == 3
    assert "expected edit as in the first part" in other.stderr

    again = stepmark(
        "first-step", file, "--blocks", 1, "--edit", "startupSeconds=0.4", "--out", "out", "--resume", "--json"
    )
    assert (again.returncode, again.stderr) == (0, "")
    found = json.loads(again.stdout)
    starts = Starts.load(stepmark.folder / "out")
    assert starts is not None
    assert (found["blocks"], len(starts.starts), found["edit"]) == (1, 6, {"startupSeconds": 0.4})
    by_start = {(start.cell, start.kind): start.slowest for start in starts.starts}
    for one in found["results"]:
        slowest = by_start[one["cell"], one["kind"]]
        assert slowest is not None
        assert round(one["seconds"]["value"], 9) == round(slowest.script_seconds, 9)
    assert {(one["kind"], one["verdict"]) for one in found["comparisons"]} == {
        (kind, "inconclusive") for kind in ("cold", "warm", "edited")
    }


def test_a_failed_start_ends_with_1_and_its_cause(stepmark: CommandLine) -> None:
    file = stepmark.scenario(workload={"model": "scripted", "params": {"fault": "raise", "faultStep": 0}})
    done = stepmark("first-step", file, "--blocks", 1)
    assert done.returncode == 1
    assert "failed: RuntimeError: the script asked for this error" in done.stdout
    assert (stepmark.folder / "out" / "test" / FILE).exists()


def test_code_of_every_model_is_counted_without_a_framework(stepmark: CommandLine) -> None:
    counts = json.loads(stepmark("first-step", "--code", "--json").stdout)
    parts = {(one["model"], one["part"]): one["lines"] for one in counts}
    assert {model for model, _ in parts} == set(trained_models()) >= {"gpt", "lstm", "mlp", "resnet", "transformer"}
    assert (parts["mlp", "torch"], parts["mlp", "keras"]) == (6, 6)
    of_one = stepmark("first-step", QUICKSTART, "--code")
    assert of_one.returncode == 0
    assert "tokens" in of_one.stdout

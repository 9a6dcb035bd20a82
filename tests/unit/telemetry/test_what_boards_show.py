"""What panels show of given series, by promtool: cells that parity has not refused, and one cluster or all."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
from promtool import PROMTOOL, needs_promtool

from conftest import ROOT

FOLDER = ROOT / "charts" / "stepmark" / "dashboards"
BOARDS = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}


def expression(board: str, title: str, cluster: str) -> str:
    """Return the first query of a panel, with all scenarios and these clusters chosen."""
    [panel] = [one for one in BOARDS[board]["panels"] if one["title"] == title]
    text: str = panel["targets"][0]["expr"]
    return text.replace("$scenario", ".*").replace("$cluster", cluster)


def check(folder: Path, series: list[dict[str, str]], asked: str, expected: list[dict[str, Any]]) -> None:
    test = {"expr": asked, "eval_time": "0m", "exp_samples": expected}
    case = {"interval": "1m", "input_series": series, "promql_expr_test": [test]}
    (folder / "case.yaml").write_text(json.dumps({"rule_files": [], "tests": [case]}))
    tested = subprocess.run([PROMTOOL, "test", "rules", folder / "case.yaml"], capture_output=True, text=True)
    assert tested.returncode == 0, tested.stdout + tested.stderr


def series(rates: dict[str, tuple[float, str]], scenario: str, cluster: str = "") -> Iterator[dict[str, str]]:
    """Yield the input series of promtool: throughput and parity of each candidate."""
    for candidate, (rate, parity) in rates.items():
        labels = f'scenario="{scenario}", candidate="{candidate}"' + (f', cluster="{cluster}"' if cluster else "")
        yield {"series": f"stepmark_throughput_samples_per_second{{{labels}}}", "values": str(rate)}
        yield {"series": f'stepmark_parity_state{{{labels}, state="{parity}"}}', "values": "1"}


@needs_promtool
def test_the_fastest_candidate_of_a_scenario_is_never_one_that_parity_refused_or_left_open(tmp_path: Path) -> None:
    required = {
        "a": (1.0, "certified"),
        "b": (2.0, "within-limits"),
        "c": (3.0, "not-comparable"),
        "d": (4.0, "not-checked"),
    }
    skipped = {"a": (1.0, "not-checked"), "b": (2.0, "not-checked")}
    given = [*series(required, "one"), *series(skipped, "two")]
    expected = [{"labels": f'{{scenario="{name}", candidate="b"}}', "value": 2} for name in ("one", "two")]
    check(tmp_path, given, expression("stepmark-overview", "Fastest of each scenario", ".*"), expected)


@needs_promtool
@pytest.mark.parametrize(("chosen", "shown"), [("east", ["east"]), (".*", ["east", "west"])], ids=["one", "all"])
def test_clusters_are_kept_apart_and_the_chosen_ones_are_shown(tmp_path: Path, chosen: str, shown: list[str]) -> None:
    rates = {"east": 1.0, "west": 2.0}
    given = [one for name, rate in rates.items() for one in series({"a": (rate, "certified")}, "same", name)]
    expected = [
        {"labels": f'{{cluster="{name}", scenario="same", candidate="a"}}', "value": rates[name]} for name in shown
    ]
    check(tmp_path, given, expression("stepmark-overview", "Fastest of each scenario", chosen), expected)


def selectors(found: Any) -> Iterator[Any]:
    """Yield all vector selectors of a parsed expression."""
    if isinstance(found, promql_parser.VectorSelector):
        yield found
    for part in ("expr", "lhs", "rhs", "vector_selector", "args"):
        inside = getattr(found, part, None)
        for one in inside if isinstance(inside, list) else [inside] if inside is not None else []:
            yield from selectors(one)


QUERIES = [
    (name, panel["title"], target["expr"])
    for name, board in BOARDS.items()
    for panel in board["panels"]
    for target in panel.get("targets", ())
]


@pytest.mark.parametrize(("board", "title", "asked"), QUERIES, ids=lambda text: text[:40])
def test_every_series_that_a_panel_asks_for_is_of_the_chosen_clusters(board: str, title: str, asked: str) -> None:
    found = list(selectors(promql_parser.parse(asked.replace("$__rate_interval", "1m"))))
    assert len(found) == asked.count("{") > 0
    for one in found:
        assert [str(m.value) for m in one.matchers.matchers if m.name == "cluster"] == ["$cluster"], one.name


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_all_clusters_are_chosen_at_first_and_series_without_a_cluster_are_among_them(board: dict[str, Any]) -> None:
    [cluster] = [one for one in board["templating"]["list"] if one["name"] == "cluster"]
    assert cluster["current"]["value"] == "$__all"
    assert (cluster["includeAll"], cluster["multi"], cluster["allValue"]) == (True, True, ".*")

"""The committed boards: the SDK reads them, panels fill the grid, and every query uses known metric names."""

import json
import re
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import promql_parser
import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from conftest import ROOT
from stepmark.telemetry.names import EXTERNAL, METRICS

FOLDER = ROOT / "charts" / "stepmark" / "dashboards"
UIDS = {
    "stepmark-overview", "stepmark-frameworks", "stepmark-scaling", "stepmark-collectives", "stepmark-live",
    "stepmark-hub", "stepmark-controller",
}  # fmt: skip
BOARDS = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
each_board = pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def expressions(board: dict[str, Any]) -> Iterator[str]:
    for panel in panels(board):
        for target in panel["targets"]:
            yield target["expr"]


def variables(board: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {variable["name"]: variable for variable in board["templating"]["list"]}


def test_the_uids_of_boards_never_change_since_links_name_them() -> None:
    assert {board["uid"] for board in BOARDS.values()} == UIDS


@each_board
def test_the_sdk_reads_a_board_and_writes_the_same_board(board: dict[str, Any]) -> None:
    again = json.loads(json.dumps(Dashboard.from_json(board), cls=JSONEncoder))
    assert again == board


@each_board
def test_panels_fill_the_grid_and_do_not_overlap(board: dict[str, Any]) -> None:
    places = [panel["gridPos"] for panel in board["panels"]]
    for a, b in combinations(places, 2):
        apart = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"] or a["y"] + a["h"] <= b["y"]
        assert apart or b["y"] + b["h"] <= a["y"], (a, b)
    for y in {place["y"] for place in places}:
        assert sum(place["w"] for place in places if place["y"] == y) == 24
    heights = {place["y"]: place["h"] for place in places}
    assert [y + heights[y] for y in sorted(heights)][:-1] == sorted(heights)[1:], "no gaps between rows"


@each_board
def test_panels_have_unique_ids_and_their_queries_are_lettered_in_order(board: dict[str, Any]) -> None:
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in panels(board):
        letters = [target["refId"] for target in panel["targets"]]
        assert letters == list("ABCDEFGH"[: len(letters)])


@each_board
def test_every_panel_has_a_title_of_its_own_a_description_and_a_unit(board: dict[str, Any]) -> None:
    for panel in panels(board):
        assert panel["title"], panel["id"]
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["options"], panel["title"]
    titles = [panel["title"] for panel in panels(board)]
    assert len(set(titles)) == len(titles)


@each_board
def test_every_panel_query_and_variable_takes_the_datasource_from_a_variable(board: dict[str, Any]) -> None:
    ours = {"type": "prometheus", "uid": "${datasource}"}
    queries = [variable for variable in board["templating"]["list"] if variable["type"] == "query"]
    targets = [target for panel in panels(board) for target in panel["targets"]]
    assert all(one["datasource"] == ours for one in (*queries, *targets, *panels(board)))
    assert variables(board)["datasource"]["type"] == "datasource"


@each_board
def test_a_board_defines_exactly_the_variables_that_its_queries_use(board: dict[str, Any]) -> None:
    text = json.dumps([panels(board), [variable.get("query") for variable in board["templating"]["list"]]])
    used = set(re.findall(r"\$\{?([a-zA-Z_]+)", text)) - {"__rate_interval", "__value"}
    assert used == set(variables(board))


@each_board
def test_legends_use_labels_that_some_metric_has(board: dict[str, Any]) -> None:
    known = {label for metric in METRICS for label in metric.labels} | {x for one in EXTERNAL for x in one.labels}
    for panel in panels(board):
        for target in panel["targets"]:
            assert set(re.findall(r"\{\{(\w+)\}\}", target.get("legendFormat", ""))) <= known, panel["title"]


@each_board
def test_boards_link_to_each_other(board: dict[str, Any]) -> None:
    assert any(link["type"] == "dashboards" and link["tags"] == ["stepmark"] for link in board["links"])
    assert board["tags"] == ["stepmark"]
    assert set(re.findall(r"/d/([a-z-]+)", json.dumps(board))) <= UIDS


@each_board
def test_every_query_is_promql_over_known_metric_names(board: dict[str, Any]) -> None:
    allowed = {name for metric in METRICS for name in (metric.name, f"{metric.name}_bucket")}
    allowed |= {one.name for one in EXTERNAL}
    for expression in expressions(board):
        plain = expression.replace("$__rate_interval", "1m")
        promql_parser.parse(plain)
        used = set(re.findall(r"\b(?:stepmark|DCGM|ray|scrape)_\w+", plain))
        assert used, expression
        assert used <= allowed, expression


def test_every_series_is_on_a_board_or_in_a_rule() -> None:
    """A series that no board and no rule uses need not exist."""
    rules = (ROOT / "charts" / "stepmark" / "rules" / "stepmark.rules.yaml").read_text()
    seen = json.dumps(list(BOARDS.values())) + rules
    missing = [metric.name for metric in METRICS if not re.search(rf"\b{metric.name}(_bucket)?\b", seen)]
    assert not missing

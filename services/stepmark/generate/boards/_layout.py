"""The frame of a dashboard: variables, links to the others, and panels in rows on a grid of 24 columns."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models.dashboard import (
    Dashboard,
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    GridPos,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from stepmark.generate.boards._clusters import LABEL, of_cluster

COLUMNS = 24
TAG = "stepmark"
SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")

Panel = Any  # The SDK's panel builders have no common type.
Variable = Any


@dataclass(frozen=True)
class Row:
    """A row of panels beside each other, each with its width."""

    title: str
    height: int
    panels: tuple[tuple[int, Panel], ...]


@dataclass(frozen=True)
class Page:
    """Properties of a whole dashboard. `uid` never changes, since links and bookmarks contain it."""

    uid: str
    title: str
    description: str
    since: str = "now-7d"
    refresh: str = "1m"


def built(page: Page, variables: Sequence[Variable], rows: Sequence[Row]) -> Dashboard:
    """Return the dashboard, with variables for data source and cluster, and links to the other dashboards."""
    links = dashboard.DashboardLink("Boards").type(DashboardLinkType.DASHBOARDS).tags([TAG]).icon("external link")
    source = dashboard.DatasourceVariable("datasource").type("prometheus").label("Data source")
    board = (
        dashboard.Dashboard(f"stepmark / {page.title}")
        .uid(page.uid)
        .description(page.description)
        .tags([TAG])
        .time(page.since, "now")
        .refresh(page.refresh)
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .link(links.keep_time(True).include_vars(True))
        .variables([source, _clusters(), *variables])
    )
    _place(board, rows)
    return board.build()


def _place(board: dashboard.Dashboard, rows: Sequence[Row]) -> None:
    top, number = 0, 0
    for row in rows:
        number += 1
        board.with_row(dashboard.Row(row.title).id(number).grid_pos(GridPos(h=1, w=COLUMNS, x=0, y=top)))
        top, left = top + 1, 0
        for width, panel in row.panels:
            number += 1
            board.with_panel(panel.id(number).grid_pos(GridPos(h=row.height, w=width, x=left, y=top)))
            left += width
        top += row.height


def _clusters() -> Variable:
    """Return the variable that separates clusters; All, which it is at first, also means series that name none."""
    query = f'label_values({{__name__=~"stepmark_.+"}}, {LABEL})'
    everything = VariableOption(selected=True, text="All", value="$__all")
    return _of_query(LABEL, "Cluster", query).multi(True).include_all(True).all_value(".*").current(everything)


def choice(name: str, label: str, query: str, regex: str = "") -> Variable:
    """Return a variable that holds one of the values that a query finds."""
    return _of_query(name, label, of_cluster(query)).regex(regex)


def _of_query(name: str, label: str, query: str) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(SOURCE)
        .query(query)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.NUMERICAL_ASC if name == "workers" else VariableSort.ALPHABETICAL_ASC)
    )


def choices(name: str, label: str, query: str, regex: str = "") -> Variable:
    """Return a variable that holds any number of the values that a query finds; all, if none is chosen."""
    return choice(name, label, query, regex).multi(True).include_all(True).all_value(".+")

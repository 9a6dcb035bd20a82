"""The few kinds of panels that the dashboards use. `queries` maps legends to expressions; `about` describes a panel."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase

from grafana_foundation_sdk.builders import barchart, bargauge, common, dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.models import common as kinds
from grafana_foundation_sdk.models.dashboard import (
    DataTransformerConfig,
    DynamicConfigValue,
    FieldColorModeId,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from stepmark.generate.boards._clusters import LABEL, of_cluster
from stepmark.generate.boards._layout import SOURCE, Panel

GOOD, FAIR, BAD, PLAIN = "green", "orange", "red", "text"
SAMPLES = "si:samples/s"

_STATES = {
    "complete": GOOD, "running": "blue", "waiting": PLAIN, "failed": BAD, "lost": BAD, "interrupted": FAIR,
    "cancelled": FAIR, "superseded": PLAIN,
    "certified": GOOD, "within-limits": GOOD, "not-comparable": BAD, "not-checked": FAIR,
    "steady": GOOD, "undecided": FAIR, "drifting": FAIR, "slowdown": FAIR, "no-steady-state": FAIR,
    "unsupported": PLAIN, "not-measured": FAIR,
    "faster": GOOD, "slower": BAD, "no-measurable-difference": PLAIN, "inconclusive": FAIR,
}  # fmt: skip

Queries = Mapping[str, str]
Steps = Sequence[tuple[float | None, str]]


def graph(
    title: str, about: str, unit: str, queries: Queries, *, stacked: bool = False, lowest: float | None = 0
) -> Panel:
    """Return a panel with lines over time. `lowest` is the start of the vertical axis; None derives it from the data.

    The lines are stacked if `stacked` is set.
    """
    panel = _common(timeseries.Panel(), title, about, unit)
    _ask(panel, queries, instant=False)
    tooltip = common.VizTooltipOptions().mode(kinds.TooltipDisplayMode.MULTI).sort(kinds.SortOrder.DESCENDING)
    panel.legend(_legend().calcs(["lastNotNull", "max"])).tooltip(tooltip)
    panel.line_width(2).fill_opacity(30 if stacked else 0).show_points(kinds.VisibilityMode.AUTO)
    if lowest is not None:
        panel.min(lowest)
    if stacked:
        panel.stacking(common.StackingConfig().mode(kinds.StackingMode.NORMAL))
    return panel


def figure(
    title: str, about: str, unit: str, expression: str, steps: Steps, words: Mapping[str, str] | None = None
) -> Panel:
    """Return a panel with one number.

    `steps` are the values from which on each colour holds. `words` maps values to the texts that are shown instead.
    """
    panel = _common(stat.Panel(), title, about, unit)
    _ask(panel, {"": expression})
    thresholds = dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE)
    panel.thresholds(thresholds.steps([Threshold(value=value, color=color) for value, color in steps]))
    panel.color_scheme(dashboard.FieldColor().mode(FieldColorModeId.THRESHOLDS)).reduce_options(_last())
    if words:
        panel.mappings([ValueMap(options={value: ValueMappingResult(text=text) for value, text in words.items()})])
    return panel.graph_mode(kinds.BigValueGraphMode.NONE).no_value("no data")


def names(title: str, about: str, queries: Queries) -> Panel:
    """Return a panel that shows the legends of the series found, for series whose value is always 1."""
    panel = _common(stat.Panel(), title, about, "none")
    _ask(panel, queries)
    panel.text_mode(kinds.BigValueTextMode.NAME).color_mode(kinds.BigValueColorMode.NONE).reduce_options(_last())
    return panel.graph_mode(kinds.BigValueGraphMode.NONE).no_value("nothing")


def bars(title: str, about: str, unit: str, queries: Queries) -> Panel:
    """Return a panel with one bar for each series, at its last value in the time range."""
    panel = _common(bargauge.Panel(), title, about, unit)
    _ask(panel, queries)
    panel.orientation(kinds.VizOrientation.HORIZONTAL).display_mode(kinds.BarGaugeDisplayMode.BASIC).min(0)
    panel.color_scheme(dashboard.FieldColor().mode(FieldColorModeId.PALETTE_CLASSIC_BY_NAME))
    return panel.reduce_options(_last()).no_value("no data")


def by_number(title: str, about: str, unit: str, expression: str, label: str, axis: str) -> Panel:
    """Return a panel with a group of bars for each value of a label that is a number, and a bar for each candidate."""
    panel = _common(barchart.Panel(), title, about, unit)
    _ask(panel, {"": expression}, as_table=True)
    for name, options in (
        ("convertFieldType", {"conversions": [{"targetField": label, "destinationType": "number"}]}),
        ("sortBy", {"sort": [{"field": label}]}),
        ("groupingToMatrix", {"rowField": label, "columnField": "candidate", "valueField": "Value"}),
    ):
        panel.with_transformation(DataTransformerConfig(id_val=name, options=options))
    return panel.legend(_legend()).min(0).axis_label(axis).show_value(kinds.VisibilityMode.AUTO)


@dataclass(frozen=True)
class Column:
    """A column of a table: a figure for each row. Without a title only its labels are shown, not the figure."""

    title: str
    expression: str
    unit: str = "none"
    decimals: int = 2


def rows(title: str, about: str, labels: Sequence[str], columns: Sequence[Column], link: str = "") -> Panel:
    """Return a table with a row for each set of `labels`.

    Every expression must return these labels, that of the cluster, and no others. `link` is the dashboard that the
    first label links to.
    """
    panel = _common(table.Panel().show_header(True), title, about, "none")
    _ask(panel, {column.title: column.expression for column in columns}, as_table=True)
    values = [f"Value #{letter}" for letter in ascii_uppercase[: len(columns)]] if len(columns) > 1 else ["Value"]
    if len(columns) > 1:
        panel.with_transformation(DataTransformerConfig(id_val="merge", options={}))
    organized = {
        "excludeByName": {"Time": True}
        | {value: True for value, column in zip(values, columns, strict=True) if not column.title},
        "indexByName": {name: place for place, name in enumerate((LABEL, *labels, *values))},
        "renameByName": {value: column.title for value, column in zip(values, columns, strict=True)},
    }
    panel.with_transformation(DataTransformerConfig(id_val="organize", options=organized))
    for column in filter(lambda column: column.title, columns):
        panel.override_by_name(column.title, _set(unit=column.unit, decimals=column.decimals))
    for label in sorted({"state", "outcome", "parity", "verdict"}.intersection(labels)):
        panel.override_by_name(label, _coloured())
    if link:
        same = "&".join(f"${{{variable}:queryparam}}" for variable in ("datasource", LABEL))
        target = {"title": "Open", "url": f"/d/{link}?var-{labels[0]}=${{__value.raw}}&{same}"}
        panel.override_by_name(labels[0], _set(links=[target]))
    return panel


def _common(panel: Panel, title: str, about: str, unit: str) -> Panel:
    return panel.title(title).description(about).unit(unit).datasource(SOURCE)


def _ask(panel: Panel, queries: Queries, *, instant: bool = True, as_table: bool = False) -> None:
    for letter, (legend, expression) in zip(ascii_uppercase, queries.items(), strict=False):
        query = prometheus.Dataquery().datasource(SOURCE).ref_id(letter).expr(of_cluster(expression))
        query = query.instant() if instant else query.range()
        panel.with_target(query.format(PromQueryFormat.TABLE) if as_table else query.legend_format(legend))


def _legend() -> common.VizLegendOptions:
    options = common.VizLegendOptions().display_mode(kinds.LegendDisplayMode.TABLE)
    return options.placement(kinds.LegendPlacement.BOTTOM).show_legend(True)


def _last() -> common.ReduceDataOptions:
    return common.ReduceDataOptions().calcs(["lastNotNull"]).values(False)


def _set(**properties: object) -> list[DynamicConfigValue]:
    return [DynamicConfigValue(name, value) for name, value in properties.items()]


def _coloured() -> list[DynamicConfigValue]:
    """Return overrides that show the words of states in their colours."""
    options = {word: {"text": word.replace("-", " "), "color": color} for word, color in _STATES.items()}
    return [
        DynamicConfigValue("mappings", [{"type": "value", "options": options}]),
        DynamicConfigValue("custom.cellOptions", {"type": "color-text"}),
    ]

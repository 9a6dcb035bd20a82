"""PromQL expressions made from names of metrics.

Replicas of a hub, and a restarted one, export the same figures; the expressions merge them into one series.
"""

from stepmark.generate.boards import _clusters
from stepmark.telemetry.names import ACTIVE, NAMESPACE, PARITY, External, Metric

Labels = tuple[str, ...]

SCENARIO = 'scenario=~"$scenario"'


def newest(metric: Metric, selector: str = "") -> str:
    """Return an expression that has each series once, whichever replica exports it."""
    return f"max without (instance, pod) ({metric}{{{selector}}})"


def by(labels: Labels, metric: Metric, selector: str = "") -> str:
    """Return an expression with exactly these labels and that of the cluster, for a table."""
    return f"max by ({_clusters.labels(labels)}) ({metric}{{{selector}}})"


def state(labels: Labels, metric: Metric, selector: str = "", words: Labels = ("state",)) -> str:
    """Return an expression whose labels `words` hold the current state, one for each set of `labels`.

    There is only one even while replicas disagree.
    """
    return f"topk by ({_clusters.labels(labels)}) (1, {by((*labels, *words), metric, selector)})"


def proven(labels: Labels, value: Metric, selector: str) -> str:
    """Return an expression for a figure of the cells that parity has not refused, so that they train the same model.

    Cells whose parity is open are left out if other cells of the scenario were checked. If parity was skipped, all
    cells are shown.
    """
    on = f"on ({_clusters.labels(labels)})"
    refused = by(labels, PARITY, f'{selector}, state="not-comparable"')
    open_, checked = (by(labels, PARITY, f'{selector}, state{is_}"not-checked"') for is_ in ("=", "!="))
    scenario = f"on ({_clusters.labels(('scenario', NAMESPACE))})"
    return f"({by(labels, value, selector)} unless {on} {refused} unless {on} ({open_} and {scenario} {checked}))"


def state_as(name: str, labels: Labels, metric: Metric, selector: str = "") -> str:
    """Return the expression of `state` with the label `state` renamed."""
    renamed = f'label_replace({state(labels, metric, selector)}, "{name}", "$1", "state", "(.*)")'
    return f"max by ({_clusters.labels((*labels, name))}) ({renamed})"


def with_state(labels: Labels, value: Metric, states: Metric, selector: str = "") -> str:
    """Return an expression for a figure with the state that belongs to it as a label."""
    on = _clusters.labels(labels)
    return f"{by(labels, value, selector)} * on ({on}) group_left (state) {state(labels, states, selector)}"


def count_or_zero(found: str, of_all: str) -> str:
    """Return an expression that counts `found`: 0 if only `of_all` has series, nothing if neither has."""
    return f"count({found}) or 0 * count({of_all})"


def of_active(metric: Metric, selector: str = "") -> str:
    """Return an expression for a figure of the active controller.

    A controller that has given up its Lease still exports what it last found.
    """
    return f"{metric}{{{selector}}} and on ({_clusters.labels(('job', 'instance'))}) {ACTIVE} == 1"


def percentiles(histogram: Metric) -> dict[str, str]:
    """Return the expressions of the median and the 95th percentile of a histogram, by legend."""
    by_le = f"sum by (le) (rate({histogram}_bucket[$__rate_interval]))"
    return {"p50": f"histogram_quantile(0.5, {by_le})", "p95": f"histogram_quantile(0.95, {by_le})"}


def of_workload(external: External, pods: str = "$workload") -> str:
    """Return a series of another exporter, in base units, by the pod whose work it describes.

    If a scrape keeps the exporter's own labels, that pod is in `pod`. If it sets them aside, that pod is in
    `exported_pod` and `pod` is the exporter's. A GPU that no pod uses is never shown as the exporter's own.
    """
    aside = _relabelled(f'{external.name}{{exported_pod=~"{pods}"}}', "exported_pod")
    kept = _relabelled(f'{external.name}{{exported_pod="", pod=~"{pods}"}}', "pod")
    if external.source == "dcgm-exporter":
        kept += f" unless on ({_clusters.labels(('job', 'pod'))}) up{{{_clusters.CHOSEN}}}"
    found = f"max by ({_clusters.labels(external.labels)}) ({aside} or {kept})"
    return found if external.factor == 1 else f"{external.factor:.12g} * {found}"


def _relabelled(selected: str, label: str) -> str:
    return f'label_replace({selected}, "workload", "$1", "{label}", "(.+)")'


CELL_LEGEND = "{{candidate}} {{execution}} {{precision}} w{{workers}} {{batch}}"
PAIR_LEGEND = "{{candidate}} / {{reference}} {{execution}} {{precision}} w{{workers}} {{batch}}"

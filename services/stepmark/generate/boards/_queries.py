"""PromQL made of names. Replicas of a hub, and a restarted one, show the same figures: here they are one series."""

from stepmark.telemetry.names import ACTIVE, NAMESPACE, PARITY, External, Metric

Labels = tuple[str, ...]

SCENARIO = 'scenario=~"$scenario"'


def newest(metric: Metric, selector: str = "") -> str:
    """Each series once, whichever replica shows it."""
    return f"max without (instance, pod) ({metric}{{{selector}}})"


def by(labels: Labels, metric: Metric, selector: str = "") -> str:
    """With these labels and no other: what a table shows."""
    return f"max by ({', '.join(labels)}) ({metric}{{{selector}}})"


def state(labels: Labels, metric: Metric, selector: str = "", words: Labels = ("state",)) -> str:
    """What holds, as the labels `words`: one for each, even while replicas disagree."""
    return f"topk by ({', '.join(labels)}) (1, {by((*labels, *words), metric, selector)})"


def proven(labels: Labels, value: Metric, selector: str) -> str:
    """A figure of cells whose speed is the reference's model's: parity has not refused them.

    Nor left them open, where it has looked at others of the scenario; where it was skipped, all are shown.
    """
    on = f"on ({', '.join(labels)})"
    refused = by(labels, PARITY, f'{selector}, state="not-comparable"')
    open_, checked = (by(labels, PARITY, f'{selector}, state{is_}"not-checked"') for is_ in ("=", "!="))
    scenario = f"on (scenario, {NAMESPACE})"
    return f"({by(labels, value, selector)} unless {on} {refused} unless {on} ({open_} and {scenario} {checked}))"


def state_as(name: str, labels: Labels, metric: Metric, selector: str = "") -> str:
    """The same, with the label `state` called otherwise."""
    renamed = f'label_replace({state(labels, metric, selector)}, "{name}", "$1", "state", "(.*)")'
    return f"max by ({', '.join((*labels, name))}) ({renamed})"


def with_state(labels: Labels, value: Metric, states: Metric, selector: str = "") -> str:
    """A figure with the state that goes with it."""
    names = ", ".join(labels)
    return f"{by(labels, value, selector)} * on ({names}) group_left (state) {state(labels, states, selector)}"


def count_or_zero(found: str, of_all: str) -> str:
    """How many there are: 0 where there are others, nothing where there is nothing at all."""
    return f"count({found}) or 0 * count({of_all})"


def of_active(metric: Metric, selector: str = "") -> str:
    """A figure of the controller that acts: one that gave its Lease away still shows what it last found."""
    return f"{metric}{{{selector}}} and on (job, instance) {ACTIVE} == 1"


def percentiles(histogram: Metric) -> dict[str, str]:
    """Legend -> expression."""
    by_le = f"sum by (le) (rate({histogram}_bucket[$__rate_interval]))"
    return {"p50": f"histogram_quantile(0.5, {by_le})", "p95": f"histogram_quantile(0.95, {by_le})"}


def of_workload(external: External, pods: str = "$workload") -> str:
    """A series of another exporter by the pod whose work it is about, in base units.

    Where a scrape keeps the exporter's own labels, that pod is `pod`; where it sets them aside, it is `exported_pod`,
    and `pod` is the exporter. A GPU that no pod has is in neither case shown as the exporter's.
    """
    aside = _relabelled(f'{external.name}{{exported_pod=~"{pods}"}}', "exported_pod")
    kept = _relabelled(f'{external.name}{{exported_pod="", pod=~"{pods}"}}', "pod")
    if external.source == "dcgm-exporter":
        kept += " unless on (job, pod) up"
    found = f"max by ({', '.join(external.labels)}) ({aside} or {kept})"
    return found if external.factor == 1 else f"{external.factor:.12g} * {found}"


def _relabelled(selected: str, label: str) -> str:
    return f'label_replace({selected}, "workload", "$1", "{label}", "(.+)")'


CELL_LEGEND = "{{candidate}} {{execution}} {{precision}} w{{workers}}"
PAIR_LEGEND = "{{candidate}} / {{reference}} {{execution}} {{precision}} w{{workers}}"

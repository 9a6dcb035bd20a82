"""Generate recording and alert rules for Prometheus from the names of metrics."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from stepmark.telemetry import names
from stepmark.telemetry.names import Metric

FILE = Path("charts/stepmark/rules/stepmark.rules.yaml")
RUNBOOK = "docs/metrics.md"
FELL_BY = 0.05
"""The relative drop of throughput above which an alert is raised. Two campaigns of the same software differed by up to
4 % by luck (docs/gate.md)."""

THROUGHPUT_NOW = f"configuration:{names.THROUGHPUT}:max"
THROUGHPUT_PAST = f"configuration:{names.THROUGHPUT}:median7d"

_HEAD = "# Generated from stepmark/generate/rules.py; a test fails when this is stale.\n"


@dataclass(frozen=True)
class Recording:
    """An expression whose result Prometheus stores as a series of its own."""

    record: str
    expr: str
    about: str


@dataclass(frozen=True)
class Alert:
    """An alert rule.

    `lasting` is how long `expr` must return something. `summary` and `about` are Prometheus templates. `what_to_do` is
    printed in docs/metrics.md.
    """

    name: str
    expr: str
    lasting: str
    severity: Literal["info", "warning", "critical"]
    summary: str
    about: str
    what_to_do: str


def _newest(metric: Metric, selector: str = "") -> str:
    """Return an expression that has each series once, whichever hub replica exports it, also after a restart."""
    return f"max without (instance, pod) ({metric}{selector})"


def _vanished(metric: Metric) -> str:
    """Return an expression for series that were scraped within the last hour but are not any more."""
    each = "group without (instance, pod)"
    return f"({each} (present_over_time({metric}[1h])) unless {each} ({metric}))"


RECORDINGS = (
    Recording(THROUGHPUT_NOW, _newest(names.THROUGHPUT), "The newest throughput of a configuration, from any replica."),
    Recording(
        THROUGHPUT_PAST,
        f"quantile_over_time(0.5, {THROUGHPUT_NOW}[7d] offset 10m)",
        "What it has been for most of the last seven days.",
    ),
)

_ENDED = '{state="ended"}'
_QUEUE = _newest(names.QUEUE, _ENDED)

RUN_ALERTS = (
    Alert(
        "StepmarkRunFailed",
        f'{_newest(names.RUN_STATE, """{outcome="failed"}""")} == 1',
        "0m",
        "warning",
        "The newest run of {{ $labels.scenario }} failed",
        "Something in the plan was not measured: {{ $labels.reason }}.",
        "Open the run in the hub. With reason `launch-failed` its report names the launches that failed, and their last"
        " lines; the other cells' figures are valid. With another reason nothing was measured to the end, such as"
        " `start-timeout` where its pods did not start: the attempt has the controller's words. The alert ends with the"
        " next run of the scenario.",
    ),
    Alert(
        "StepmarkResultLost",
        f'{_newest(names.RUN_STATE, """{outcome="lost"}""")} == 1',
        "0m",
        "warning",
        "The newest run of {{ $labels.scenario }} was never finished",
        "Its runner was silent for five minutes: {{ $labels.reason }}.",
        "Look whether the runner's machine or pod is still there. If it is, `stepmark run --resume` goes on from what"
        " is on its disk, and what the hub has not got is sent then. If it is not, measure again.",
    ),
    Alert(
        "StepmarkRunSilent",
        f"{_newest(names.UNSEEN)} > 120",
        "1m",
        "warning",
        "A running run has not been heard of for {{ $value | humanizeDuration }}",
        "After five minutes of silence the run counts as lost.",
        "Is the runner alive, and does the network let it reach the hub? It keeps its records on disk and catches up,"
        " so a hub that was away for a while needs nothing.",
    ),
    Alert(
        "StepmarkThroughputFell",
        f"({THROUGHPUT_NOW} < {1 - FELL_BY:g} * {THROUGHPUT_PAST})\nand\n"
        f"({_newest(names.THROUGHPUT_HIGH)} < {THROUGHPUT_PAST})",
        "0m",
        "warning",
        "{{ $labels.scenario }}: {{ $labels.candidate }} with {{ $labels.workers }} workers became slower",
        f"{{{{ $value | humanize }}}} samples/s, more than {FELL_BY:.0%} below the median of the last seven days; the"
        " whole 95 % interval lies below it.",
        "Compare the run with an older one: `stepmark compare` says what differs in machine, software and settings, and"
        " whether a slowdown is established. Where the slowdown is meant, wait: after three and a half days the new"
        " figure is the median.",
    ),
    Alert(
        "StepmarkParityLost",
        f'{_newest(names.PARITY, """{state="not-comparable"}""")} == 1',
        "0m",
        "warning",
        "{{ $labels.scenario }}: {{ $labels.candidate }} trains another model than the reference",
        "Its parity check failed ({{ $labels.execution }}, {{ $labels.precision }}, {{ $labels.workers }} workers), so"
        " its speed says nothing about the other candidates.",
        "The run's certificate shows which figure is off, and the likely cause: docs/parity.md. Until it is mended, no"
        " verdict is claimed where parity is required.",
    ),
)

HUB_ALERTS = (
    Alert(
        "StepmarkHubNotScraped",
        f"absent({names.DATABASE_UP})\nor\n{_vanished(names.DATABASE_UP)}",
        "5m",
        "critical",
        "Prometheus gets nothing from a stepmark hub",
        "No other alert of stepmark can fire meanwhile.",
        "Is the hub running, is its metrics port reachable for Prometheus (NetworkPolicy, ServiceMonitor's labels), and"
        " what does the target's page in Prometheus say? Runners keep their records and send them later.",
    ),
    Alert(
        "StepmarkHubDatabaseDown",
        f"{_newest(names.DATABASE_UP)} == 0",
        "1m",
        "critical",
        "The hub cannot reach its database",
        "Records are refused; runners keep them and send them later.",
        "The hub's log says what the database answers. PostgreSQL: is it up, are its connections used up? SQLite: is"
        " the disk full, is the volume there? The hub recovers without help.",
    ),
    Alert(
        "StepmarkHubNotIngesting",
        f'sum without (instance, pod) (increase({names.REFUSED}{{reason="unavailable"}}[10m])) > 0\nor\n'
        f"sum without (instance, pod) (increase({names.DATABASE_ERRORS}[10m])) > 0",
        "2m",
        "warning",
        "The hub turned records away",
        "Within the last ten minutes it answered that it cannot take them, or calls to its database failed.",
        "The hub's log names the error: most often a full disk or a locked or overloaded database. Nothing is lost that"
        " was acknowledged, and runners try again.",
    ),
    Alert(
        "StepmarkHubVolumeFills",
        f"{_newest(names.VOLUME_FREE)} < 0.15 * {_newest(names.VOLUME_BYTES)}",
        "10m",
        "warning",
        "{{ $value | humanize1024 }}B are left on the hub's volume",
        "A hub without room turns every record away.",
        "`stepmark hub prune --older-than 90d` forgets old runs, and what it frees is used again; or give the volume"
        " more room. docs/hub.md says what one attempt and one namespace may store.",
    ),
    Alert(
        "StepmarkHubDamaged",
        f"{_newest(names.DAMAGED)} > 0",
        "0m",
        "critical",
        "The hub's stored data is damaged",
        "{{ $value }} rows of the newest figures are damaged, and are not shown.",
        "The hub's log names the runs (`damaged: ...`). Look at the disk, then restore a backup: docs/hub.md. Runs that"
        " are not named are as they were.",
    ),
    Alert(
        "StepmarkFiguresLate",
        f"min_over_time(({_QUEUE})[10m:]) > 0\nand\n{_QUEUE} >= {_newest(names.QUEUE, _ENDED + ' offset 10m')}",
        "5m",
        "warning",
        "{{ $value }} ended runs wait for their figures",
        "The queue was not empty once in ten minutes, and does not shrink.",
        "Is the hub's processor at its limit, or does one run hold it up? Its log has a line for each derivation that"
        " failed. Restarting the hub loses nothing: figures are derived again.",
    ),
    Alert(
        "StepmarkDerivationFailed",
        f'sum without (instance, pod) (increase({names.DERIVATIONS}{{result="failed"}}[15m])) > 0',
        "0m",
        "warning",
        "The hub could not derive the figures of a run",
        "Its records are stored; its page says why there is no report.",
        "Read the run's page. Records of a newer stepmark than the hub's are the usual cause: update the hub before the"
        " runners.",
    ),
    Alert(
        "StepmarkConfigurationsLeftOut",
        f"sum without (what, reason) ({_newest(names.LEFT_OUT)}) > 0",
        "1h",
        "info",
        "{{ $value }} configurations of the hub are not among its series",
        "The newest ones are shown; the hub's pages show all.",
        "With reason `limit`, delete runs that nobody asks for any more. With `name` or `duplicate`, a record has"
        " labels that no scenario can give: look who uploads.",
    ),
)

_STALE_SECONDS = 60
"""The age of the last tick at which the controller's /readyz fails, too."""

CONTROLLER_ALERTS = (
    Alert(
        "StepmarkControllerNotLooking",
        f"(time() - {_newest(names.LAST_LOOK)}) > {_STALE_SECONDS}\nor\n{_vanished(names.LAST_LOOK)}",
        "5m",
        "critical",
        "The stepmark controller does not look at its scenarios",
        "The controller has completed no look for minutes, or Prometheus gets nothing from it. New scenarios wait"
        " meanwhile; running ones go on and are judged later.",
        "Is the controller running, and what does its log say after `a look at all scenarios failed`? Usual causes:"
        " rights that it lost, an API server that does not answer. If it looks and Prometheus gets nothing:"
        " NetworkPolicy, ServiceMonitor's labels. A controller that comes back takes everything up.",
    ),
    Alert(
        "StepmarkNamespaceNotListed",
        f"{_newest(names.NAMESPACE_LISTED)} == 0",
        "5m",
        "warning",
        "The stepmark controller cannot list namespace {{ $labels.namespace }}",
        "Scenarios there wait meanwhile, and attempts are judged later; other namespaces go on.",
        "Its log names the call that is refused: most often the namespace is gone, or its RoleBinding is."
        " `helm upgrade` makes the RoleBinding again; a namespace that is gone belongs out of watchNamespaces.",
    ),
    Alert(
        "StepmarkScenarioFailed",
        f'sum without (instance, pod, phase) (increase({names.SCENARIOS_ENDED}{{phase="Failed"}}[1h])) > 0.5',
        "0m",
        "warning",
        "{{ $value | printf `%.0f` }} scenarios failed within an hour",
        "They ended after all of their attempts, and not everything in their plans was measured.",
        "`kubectl get scenarios -A` shows them with their reason; docs/kubernetes.md says what each means.",
    ),
    Alert(
        "StepmarkAttemptsBreak",
        f"sum without (instance, pod, reason) (increase({names.ATTEMPTS_ENDED}{{{names.IRREGULAR}}}[1h])) > 2.5",
        "0m",
        "warning",
        "{{ $value | printf `%.0f` }} attempts at runs broke within an hour",
        "The cluster ended them: pods that do not start or were replaced, drivers that stopped reporting, jobs that"
        " KubeRay gave up.",
        "The board Controller shows the reasons; docs/kubernetes.md says what each means. `kubectl describe scenario`"
        " has the attempts of one, with what was found. What was preempted, cancelled or stopped, and launches that"
        " failed, do not count here.",
    ),
)

ALERTS = (*RUN_ALERTS, *HUB_ALERTS, *CONTROLLER_ALERTS)


def text() -> str:
    """Return the rules file as YAML."""
    groups = [
        {"name": "stepmark-records", "rules": [{"record": one.record, "expr": one.expr} for one in RECORDINGS]},
        {"name": "stepmark-runs", "rules": list(_rules(RUN_ALERTS))},
        {"name": "stepmark-hub", "rules": list(_rules(HUB_ALERTS))},
        {"name": "stepmark-controller", "rules": list(_rules(CONTROLLER_ALERTS))},
    ]
    return _HEAD + yaml.safe_dump({"groups": groups}, sort_keys=False, width=110, allow_unicode=True)


def _rules(alerts: Iterable[Alert]) -> Iterable[dict[str, Any]]:
    for alert in alerts:
        yield {
            "alert": alert.name,
            "expr": alert.expr,
            "for": alert.lasting,
            "labels": {"severity": alert.severity},
            "annotations": {
                "summary": alert.summary,
                "description": alert.about,
                "runbook_url": f"{RUNBOOK}#{alert.name.lower()}",
            },
        }

"""The dashboard of the controller on a cluster: whether it looks at the scenarios, and what becomes of them."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from stepmark.generate.boards import _panels as panels
from stepmark.generate.boards._layout import Page, Panel, Row, built
from stepmark.generate.boards._panels import BAD, FAIR, GOOD, PLAIN, Steps
from stepmark.generate.boards._queries import of_active, percentiles
from stepmark.telemetry import names
from stepmark.telemetry.names import ATTEMPTS_ENDED, CONTROLLER_ERRORS, IRREGULAR, SCENARIOS

_PAGE = Page(
    "stepmark-controller",
    "Controller",
    "Whether the controller looks at the scenarios of its cluster, and what becomes of them.",
    since="now-6h",
)
_AGE = f"time() - max({names.LAST_LOOK} > 0)"


def board() -> Dashboard:
    """Return the dashboard `Controller`."""
    return built(_PAGE, [], [_now(), _scenarios(), _looks()])


def _now() -> Row:
    active = panels.figure(
        "Active",
        "Whether one of the controllers holds the Lease.",
        "none",
        f"max({names.ACTIVE})",
        [(None, BAD), (1, GOOD)],
        {"0": "none", "1": "yes"},
    )
    age = panels.figure(
        "Last look", "Since the last completed look at all scenarios.", "s", _AGE, [(None, GOOD), (30, FAIR), (60, BAD)]
    )
    running = _count("Running", "Scenarios that are measured now.", "Running", [(None, PLAIN), (1, "blue")])
    waits = "Scenarios whose attempt waits for a place, or for its pods."
    waiting = _count("Waiting", waits, "Pending|Queued|Starting", [(None, PLAIN)])
    broken = panels.figure(
        "Attempts broken in an hour",
        "Attempts that trouble of the cluster ended: neither measured nor ended as somebody wanted.",
        "none",
        f"sum(increase({ATTEMPTS_ENDED}{{{IRREGULAR}}}[1h]))",
        [(None, GOOD), (1, FAIR), (3, BAD)],
    )
    failed = panels.figure(
        "Calls failed in an hour",
        "Calls of the controller to the API server and the hub that failed, and looks that failed.",
        "none",
        f"sum(increase({CONTROLLER_ERRORS}[1h]))",
        [(None, PLAIN), (10, FAIR)],
    )
    return Row("Now", 4, tuple((4, panel) for panel in (active, age, running, waiting, broken, failed)))


def _count(title: str, about: str, phases: str, steps: Steps) -> Panel:
    """Return a panel with the number of scenarios in some phases."""
    found = of_active(SCENARIOS, f'phase=~"{phases}"')
    return panels.figure(title, about, "none", f"sum({found})", steps)


def _scenarios() -> Row:
    phases = panels.graph(
        "Scenarios by phase",
        "As the active controller found them at its last look; ended scenarios count while they exist.",
        "short",
        {"{{phase}}": f"sum by (phase) ({of_active(SCENARIOS)})"},
        stacked=True,
    )
    ended = panels.graph(
        "Attempts that ended",
        "In the hour before each point, by reason.",
        "short",
        {"{{reason}}": f"sum by (reason) (increase({ATTEMPTS_ENDED}[1h])) > 0 or 0 * sum({ATTEMPTS_ENDED})"},
        stacked=True,
    )
    return Row("Scenarios", 9, ((12, phases), (12, ended)))


def _looks() -> Row:
    seconds = panels.graph("Time of a look", "At everything.", "s", percentiles(names.LOOK_SECONDS))
    age = panels.graph("Since the last look", "A tick is due every few seconds.", "s", {"age": _AGE})
    errors = panels.graph(
        "Calls that failed",
        "By kind. `conflict`: another writer was faster, and the controller decides again.",
        "ops",
        {"{{kind}}": f"sum by (kind) (rate({CONTROLLER_ERRORS}[$__rate_interval]))"},
    )
    return Row("Looks", 9, ((8, seconds), (8, age), (8, errors)))

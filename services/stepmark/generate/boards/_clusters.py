"""Keep clusters apart: one Prometheus may hold the series of several, told apart by the label `cluster`."""

import re

from stepmark.telemetry.names import EXTERNAL, METRICS

LABEL = "cluster"
"""The label that a Prometheus of one cluster gives what it sends to another one (`external_labels`). Series of a
Prometheus with one cluster have none, and belong to the choice All.
"""
CHOSEN = f'{LABEL}=~"$cluster"'

_KNOWN = [*(one.name for one in METRICS), *(one.name for one in EXTERNAL)]
_NAMES = "|".join(sorted(map(re.escape, _KNOWN), key=len, reverse=True))
_SELECTED = re.compile(rf"\b(?P<name>(?:{_NAMES})(?:_bucket)?)\b(?:\{{(?P<matchers>[^}}]*)\}})?")


def of_cluster(expression: str) -> str:
    """Return the expression with each of its metrics selected from the chosen clusters alone."""

    def select(found: re.Match[str]) -> str:
        matchers = [text for text in (found["matchers"], CHOSEN) if text]
        return f"{found['name']}{{{', '.join(matchers)}}}"

    return _SELECTED.sub(select, expression)


def labels(names: tuple[str, ...]) -> str:
    """Return these labels and that of the cluster, as a clause of PromQL lists them."""
    return ", ".join((LABEL, *names))

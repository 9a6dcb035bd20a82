"""Decide which scenarios may start a run. This module is pure.

A namespace has a limited number of runs at once, and the oldest waiting scenario starts first.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from stepmark.controller.acceptance import Accepted, accept
from stepmark.controller.plan import Here, is_final, living, status_of

Object = dict[str, Any]


def with_turn(scenarios: Iterable[Object], here: Here) -> set[str]:
    """Return the UIDs of the scenarios that may start an attempt now or have one already.

    Runs that wait in a Kueue queue do not count, since they run only when Kueue admits them. A scenario that cannot
    start for another reason (suspended, refused, cancelled) takes no place from the others.
    """
    by_namespace: dict[str, list[Object]] = defaultdict(list)
    for one in scenarios:
        if not is_final(one):
            by_namespace[one["metadata"]["namespace"]].append(one)
    most = here.settings.max_runs_per_namespace
    return {uid for found in by_namespace.values() for uid in _of_one(found, here, most)}


def _of_one(scenarios: list[Object], here: Here, most: int) -> list[str]:
    running, waiting = [], []
    for one in scenarios:
        attempt = living(status_of(one))
        if attempt is None:
            waiting.append(one)
        elif attempt.state != "Queued":
            running.append(one)
    free = max(0, most - len(running))
    ready = [one for one in sorted(waiting, key=_order) if _would_begin(one, here)]
    held = {one["metadata"]["uid"] for one in ready[free:]}
    return [uid for one in scenarios if (uid := one["metadata"]["uid"]) not in held]


def _order(scenario: Object) -> tuple[bool, str, str]:
    """Return the sort key: scenarios that have had an attempt come first, then the older ones."""
    metadata = scenario["metadata"]
    return (not status_of(scenario).attempts, metadata.get("creationTimestamp", ""), metadata["uid"])


def _would_begin(scenario: Object, here: Here) -> bool:
    spec = scenario["spec"]
    if spec.get("suspend") is True or spec.get("cancel") is True:
        return False
    return isinstance(accept(scenario, here.profiles), Accepted)

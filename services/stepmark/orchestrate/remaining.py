"""Find what is left of a plan: launches not measured yet, and then the disturbed ones, which are made again."""

from collections.abc import Callable, Iterable
from dataclasses import replace

from stepmark.plan.blocks import Group, Launch, Plan, group_of
from stepmark.results.record import LaunchHeader

Disturbed = Callable[[LaunchHeader], str | None]
"""Return why others disturbed a launch, or None.

A header has no step times, so the decision cannot depend on the result.
"""


class Remaining:
    """Keep track of what has been measured. Each launch is made again at most once, within `measurement.maxMadeAgain`.

    Cells that are compared are made again together, so that they stay neighbours in time. A failed launch is not made
    again.
    """

    def __init__(self, plan: Plan, disturbed: Disturbed, stored: Iterable[LaunchHeader]) -> None:
        """Start from the `stored` launches of an earlier part of the run.

        Those made again then count against the budget.
        """
        self._is_disturbed = disturbed
        self._compare = plan.scenario.spec.compare
        self._left = _budget(plan)
        self._done: set[str] = set()
        self._failed: set[str] = set()
        self._disturbed: set[str] = set()
        for header in stored:
            self.finished(header)

    def finished(self, header: LaunchHeader) -> None:
        """Count this launch as measured or failed."""
        self._done.add(header.launch_id)
        self._left -= header.attempt > 0
        if header.failure is not None:
            self._failed.add(header.launch_id)
        elif self._is_disturbed(header) is not None:
            self._disturbed.add(header.launch_id)

    def of_block(self, block: tuple[Launch, ...]) -> tuple[Launch, ...]:
        """Return the launches to run next, in the block's order. It is empty when the block is done."""
        first = tuple(launch for launch in block if launch.id not in self._done)
        return first or self._again(block)

    def _again(self, block: tuple[Launch, ...]) -> tuple[Launch, ...]:
        """Return the launches of the block's disturbed groups, whole groups only, as far as the budget goes."""
        groups: dict[Group, list[Launch]] = {}
        for launch in block:
            groups.setdefault(group_of(launch.cell, self._compare), []).append(launch)
        wanted: list[Launch] = []
        for group in groups.values():
            repeated = self._group_again(group)
            if len(wanted) + len(repeated) <= self._left:
                wanted += repeated
        return tuple(wanted)

    def _group_again(self, group: list[Launch]) -> list[Launch]:
        if self._disturbed.isdisjoint(launch.id for launch in group):
            return []
        repeated = [replace(launch, attempt=1) for launch in group if launch.id not in self._failed]
        return [launch for launch in repeated if launch.id not in self._done]


def _budget(plan: Plan) -> int:
    """Return how many launches may be made again: half of those always made, unless the scenario sets the number."""
    measurement = plan.scenario.spec.measurement
    if measurement.max_made_again is not None:
        return measurement.max_made_again
    return sum(map(len, plan.blocks[: measurement.launches])) // 2

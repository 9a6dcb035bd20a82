"""What of a plan is left to measure: what has not been measured yet, and then what others disturbed, once again."""

from collections.abc import Callable, Iterable
from dataclasses import replace

from stepmark.plan.blocks import Group, Launch, Plan, group_of
from stepmark.results.record import LaunchHeader

Disturbed = Callable[[LaunchHeader], str | None]
"""Why others disturbed a launch, in words, or None. A header has no step times, so it cannot look at the result."""


class Remaining:
    """Knows what has been measured. Launches are made again within `measurement.maxMadeAgain`, each once.

    Cells that are compared are made again together, so that they stay neighbours in time; a failed launch is not.
    """

    def __init__(self, plan: Plan, disturbed: Disturbed, stored: Iterable[LaunchHeader]) -> None:
        """`stored`: of an earlier part of the run; what was made again there counts against the budget."""
        self._is_disturbed = disturbed
        self._left = _budget(plan)
        self._done: set[str] = set()
        self._failed: set[str] = set()
        self._disturbed: set[str] = set()
        for header in stored:
            self.finished(header)

    def finished(self, header: LaunchHeader) -> None:
        """This launch has been measured, or has failed."""
        self._done.add(header.launch_id)
        self._left -= header.attempt > 0
        if header.failure is not None:
            self._failed.add(header.launch_id)
        elif self._is_disturbed(header) is not None:
            self._disturbed.add(header.launch_id)

    def of_block(self, block: tuple[Launch, ...]) -> tuple[Launch, ...]:
        """The launches to run next, in the block's order; none when it is done."""
        first = tuple(launch for launch in block if launch.id not in self._done)
        return first or self._again(block)

    def _again(self, block: tuple[Launch, ...]) -> tuple[Launch, ...]:
        """Whole groups of the block, as far as the budget goes."""
        groups: dict[Group, list[Launch]] = {}
        for launch in block:
            groups.setdefault(group_of(launch.cell), []).append(launch)
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
    """Half of the launches that are always made, unless the scenario says how many."""
    measurement = plan.scenario.spec.measurement
    if measurement.max_made_again is not None:
        return measurement.max_made_again
    return sum(map(len, plan.blocks[: measurement.launches])) // 2

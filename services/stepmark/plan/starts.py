"""Plan the starts of `first-step`: each cell from an empty cache, again, and after a one-line edit of its model.

A changed parameter stands for the edited line: the model is traced and compiled anew for both alike, and what a
framework keeps of unchanged parts is found again for both alike.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
from pydantic import BaseModel, JsonValue, ValidationError

from stepmark import catalog
from stepmark.errors import CannotRun, ScenarioError
from stepmark.plan.blocks import Launch, Plan, Start, seed_of
from stepmark.plan.cells import Cell
from stepmark.scenario.explain import explain
from stepmark.scenario.model import Scenario, WorkloadChoice
from stepmark.terms import StartKind

UNRECORDED_BLOCK = -3
_USUAL_EDITS = ("classes", "vocabulary")  # One more changes the last layer of the model, and nothing before it.

Edit = Mapping[str, JsonValue]
"""The parameters of the workload that the edit changes, with their new values."""


def usual_edit(scenario: Scenario) -> Edit | None:
    """Return the edit of a scenario whose person names none: one more output, or None where the model has no such.

    Other packages' models are not asked, since the driver loads no foreign code.
    """
    chosen = scenario.spec.workload
    if catalog.is_foreign(chosen.model):
        return None
    params = catalog.load_workload(chosen.model).parse(chosen.params)
    return next(({name: getattr(params, name) + 1} for name in _USUAL_EDITS if hasattr(params, name)), None)


def edited(chosen: WorkloadChoice, edit: Edit) -> WorkloadChoice:
    """Return the workload with the edit.

    Raises:
        ScenarioError: the model has no such parameter, or does not take its value.
        CannotRun: nothing changes.
    """
    if all(name in chosen.params and chosen.params[name] == value for name, value in edit.items()):
        raise CannotRun(f"--edit: expected another value of {', '.join(edit)}, found the scenario's own. Change it.")
    model: type[BaseModel] = WorkloadChoice
    try:
        found = WorkloadChoice(model=chosen.model, params={**chosen.params, **edit})
        if not catalog.is_foreign(chosen.model):
            workload = catalog.load_workload(chosen.model)
            model = workload.params_model
            workload.parse(found.params)
    except ValidationError as error:
        refused = explain(error, model)[0]
        raise ScenarioError(f"--edit: {refused.path}", refused.expected, refused.found, refused.fix) from None
    return found


def start_blocks(plan: Plan, edit: Edit | None, blocks: int) -> tuple[tuple[Launch, ...], ...]:
    """Return the starts in order: in each block every cell cold, then warm, then edited where there is an edit.

    The order of the cells is random, so another cell's start may lie between two of one cell.

    Raises:
        ScenarioError, CannotRun: the edit is refused.
    """
    workload = plan.scenario.spec.workload
    kinds: dict[StartKind, WorkloadChoice] = {"cold": workload, "warm": workload}
    if edit is not None:
        kinds["edited"] = edited(workload, edit)
    return tuple(tuple(_block(plan, kinds, block)) for block in range(blocks))


def unrecorded_starts(plan: Plan) -> tuple[Launch, ...]:
    """Return one start of each cell that comes before all others, so that no recorded one reads its files from disk."""
    kinds: dict[StartKind, WorkloadChoice] = {"cold": plan.scenario.spec.workload}
    return tuple(_block(plan, kinds, UNRECORDED_BLOCK))


def _block(plan: Plan, kinds: Mapping[StartKind, WorkloadChoice], block: int) -> Iterator[Launch]:
    scenario = plan.scenario
    rng = np.random.default_rng(seed_of(scenario.digest(), scenario.spec.measurement.seed, "starts", block))
    cells: list[Cell] = [cell for cell in plan.measurable for _ in kinds]
    left = {cell.key: iter(kinds.items()) for cell in plan.measurable}
    for position, index in enumerate(rng.permutation(len(cells))):
        cell = cells[index]
        kind, workload = next(left[cell.key])
        launch = Launch(cell, block, position, seed_of(scenario.digest(), cell.key, block))
        yield replace(launch, start=Start(kind, f"cache.{launch.id}", workload))

"""Read, run and load from Python what the command line reads, runs and loads from files."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from stepmark.api.result import Result
from stepmark.runs.measuring import Choices, folder_of, measure_plan, open_run
from stepmark.runs.summaries import summary_in, summary_of, write_reports
from stepmark.scenario.load import scenario_from_file, scenario_from_object
from stepmark.scenario.model import Scenario
from stepmark.terms import DEFAULT_LAUNCHER, Launcher

GivenScenario: TypeAlias = str | os.PathLike[str] | Mapping[str, Any] | Scenario
"""The path of a scenario file, a document of the same form, or a scenario."""


def validate(scenario: GivenScenario) -> Scenario:
    """Check a scenario and return it with all defaults filled in.

    `scenario` is the path of a scenario file, a document of the same form as a `dict`, or a `Scenario`.

    Raises:
        ScenarioErrors: everything that is wrong with it.
        CannotRun: the file cannot be read.
    """
    if isinstance(scenario, Scenario):
        return scenario_from_object(scenario.model_dump(mode="json", by_alias=True))
    if isinstance(scenario, Mapping):
        return scenario_from_object(dict(scenario))
    return scenario_from_file(Path(scenario))


def run(
    scenario: GivenScenario,
    out: str | os.PathLike[str] | None = None,
    *,
    resume: bool = False,
    launcher: Launcher = DEFAULT_LAUNCHER,
    fresh_process: bool = False,
    progress: bool = True,
) -> Result:
    """Measure a scenario into a folder, as `stepmark run` does, and return the result.

    `scenario` is what `validate` takes. `out` is the folder for results.db, summary.json, report.md and report.html;
    None is out/NAME below the current folder. With `resume`, the run in that folder goes on: what is finished there is
    kept, and a finished run is not measured again. `launcher` is "ray", or "bare" without Ray. With `fresh_process`,
    every launch is a new process with its own import, instead of a fork. With `progress`, launches that have ended are
    shown on standard error.

    A cell that failed is part of the result (`Result.failed`). Ctrl-C, or a notebook's stop button, ends all processes
    and raises KeyboardInterrupt; what is finished is kept.

    Raises:
        ScenarioErrors: the scenario is refused, and nothing was run.
        CannotRun: this machine, environment or folder cannot do it.
        Interrupted: the run ended early. What is finished is kept.
    """
    checked = validate(scenario)
    folder = folder_of(checked, None if out is None else Path(out))
    choices = Choices(resume, launcher, fresh_process, silent=not progress)
    with open_run(checked, folder, choices) as opened:
        measure_plan(opened, folder, choices)
        summary = summary_in(opened.store)
    write_reports(folder, summary)
    return Result(folder, summary)


def load(folder: str | os.PathLike[str], price_per_worker_hour: float | None = None) -> Result:
    """Return the result of the run in this folder, derived anew from its records. The run may be unfinished.

    With `price_per_worker_hour`, in any currency, cells have a cost per sample.

    Raises:
        CannotRun: the folder has no results, or they are not what was written.
    """
    return Result(Path(folder), summary_of(Path(folder), price_per_worker_hour))

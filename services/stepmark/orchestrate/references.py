"""Keep the arrays that launches are compared with in a file on their node."""

from pathlib import Path

from stepmark.launch.proof import FAILED_SUFFIX
from stepmark.launch.spec import LaunchSpec, RankOutcome
from stepmark.orchestrate.folders import scratch_folder
from stepmark.plan.blocks import Launch
from stepmark.plan.probes import timed_reference
from stepmark.scenario.model import Scenario


def reference_file(scenario: Scenario, run_id: str, launch: Launch) -> Path | None:
    """Return the file that a parity check writes or reads, or that a timed launch is compared with after its windows.

    It is on disk, since it holds gradients and weights of what may be a large model. It is removed with the run's
    folders.
    """
    probe = launch.probe
    if launch.is_timed:
        reference = timed_reference(scenario, launch.cell)
        probe = reference.probe if reference is not None else None
    return scratch_folder(run_id) / probe.file if probe is not None else None


def keep_cause(spec: LaunchSpec, outcome: RankOutcome) -> None:
    """Store why a reference is missing, for the launches that would be compared with it."""
    probe = spec.launch.probe
    if probe is not None and probe.writes and outcome.failure is not None:
        assert spec.reference is not None
        spec.reference.with_suffix(FAILED_SUFFIX).write_text(outcome.failure.cause)

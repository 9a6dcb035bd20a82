"""Decide whether a scenario may run on this cluster. This module is pure.

It checks the scenario's text again, its profile, and the limits of that profile.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from stepmark import catalog
from stepmark.controller.profiles import BadProfile, Profile, Profiles, profile_named
from stepmark.errors import ScenarioError, ScenarioErrors
from stepmark.scenario.load import scenario_from_object
from stepmark.scenario.model import Scenario


@dataclass(frozen=True)
class Accepted:
    """A scenario that may run, and the profile that it runs with."""

    scenario: Scenario
    profile: Profile


@dataclass(frozen=True)
class Refused:
    """A scenario that may not run.

    `reason` becomes the reason of a condition. `for_good` is False where the scenario may run once the cluster's owner
    has corrected something.
    """

    reason: str
    message: str
    for_good: bool = True


def accept(document: dict[str, Any], profiles: Profiles) -> Accepted | Refused:
    """Check an object as the API server returned it, since it may be older than today's grammar."""
    try:
        scenario = scenario_from_object(document)
    except ScenarioErrors as errors:
        return Refused("InvalidSpec", str(errors))
    try:
        profile = profile_named(profiles, scenario.spec.profile)
    except ScenarioError as error:
        return Refused("UnknownProfile", str(error))
    if isinstance(profile, BadProfile):
        return Refused("InvalidProfile", profile.problem, for_good=False)
    namespace = document["metadata"].get("namespace")
    if profile.namespaces and namespace not in profile.namespaces:
        expected = f"a profile for namespace {namespace}"
        found = ScenarioError(
            "spec.profile", expected, repr(scenario.spec.profile), "Choose another, or ask the cluster's owner."
        )
        return Refused("ForbiddenProfile", str(found))
    foreign = next(_foreign(scenario, profile), None)
    if foreign is not None:
        return Refused("ForbiddenPackage", str(foreign))
    mismatch = _device_mismatch(scenario, profile)
    if mismatch is not None:
        return Refused("WrongDevice", str(mismatch))
    beyond = list(_beyond(scenario, profile))
    if beyond:
        return Refused("BeyondLimits", " ".join(map(str, beyond)))
    return Accepted(scenario, profile)


def _foreign(scenario: Scenario, profile: Profile) -> Iterator[ScenarioError]:
    """Yield what of other packages the scenario asks for and may not have. Nothing of them is loaded here."""
    spec, fix = scenario.spec, "Choose another, or ask the cluster's owner."
    if catalog.is_foreign(spec.workload.model) and spec.workload.model not in profile.workloads:
        allowed = ", ".join(profile.workloads) or "none"
        expected = f"a workload of stepmark, or one that profile {spec.profile} lists ({allowed})"
        yield ScenarioError("spec.workload.model", expected, repr(spec.workload.model), fix)
    for index, candidate in enumerate(spec.candidates):
        if catalog.is_foreign(candidate.engine):
            yield ScenarioError(
                f"spec.candidates[{index}].engine", "an engine of stepmark", repr(candidate.engine), fix
            )


def _device_mismatch(scenario: Scenario, profile: Profile) -> ScenarioError | None:
    """Return that the scenario asks for a GPU that the profile has not, or leaves the profile's devices idle."""
    asked, has_devices = scenario.spec.device, profile.devices is not None
    if asked == "gpu" and not has_devices:
        found = f"gpu, and profile {scenario.spec.profile} without devices"
        return ScenarioError("spec.device", "auto or cpu", found, "Choose a profile with devices.")
    if asked == "cpu" and has_devices:
        found = f"cpu, and profile {scenario.spec.profile} with devices that would stay idle"
        return ScenarioError("spec.device", "auto or gpu", found, "Choose a profile without devices.")
    return None


def _beyond(scenario: Scenario, profile: Profile) -> Iterator[ScenarioError]:
    spec, limits = scenario.spec, profile.limits
    sweep = spec.sweep
    settings = len(sweep.execution) * len(sweep.precision) * max(len(sweep.message_bytes), 1)
    cells = len(spec.candidates) * settings * sum(len(spec.scale.batches_of(workers)) for workers in spec.scale.workers)
    asked = (
        ("spec.scale.workers", "workers", max(spec.scale.workers), limits.max_workers),
        ("spec", "cells (candidates x executions x precisions x worker counts x batches)", cells, limits.max_cells),
        (
            "spec.runPolicy.activeDeadlineSeconds",
            "seconds",
            spec.run_policy.active_deadline_seconds,
            limits.max_seconds,
        ),
    )
    for path, what, wanted, most in asked:
        if wanted > most:
            expected = f"at most {most} {what}, the limit of profile {spec.profile}"
            yield ScenarioError(path, expected, str(wanted), "Ask for less, or for another profile.")

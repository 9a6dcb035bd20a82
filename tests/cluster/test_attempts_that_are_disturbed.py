"""Attempts of a scenario that lose their RayJob, a worker or the head while they measure, on a real cluster.

This takes as long as everything else of the controller together, so it is a file of its own: files run beside each
other.
"""

import pytest

from cluster.controlled import World, attempts

pytestmark = [pytest.mark.cluster, pytest.mark.core, pytest.mark.timeout(1500)]
pytest_plugins = ["cluster.controlled"]


def test_disturbed_attempts_are_invalid_and_the_next_one_counts(world: World) -> None:
    world.controller()
    world.create("disturbed", runPolicy={"maxAttempts": 4})
    first = world.measuring("disturbed")["attempts"][0]["rayJobName"]
    world.kubectl("delete", "rayjob", first)
    for attempt, role in ((2, "worker"), (3, "head")):
        world.measuring("disturbed", attempt)
        of = f"stepmark.dev/attempt={attempt},stepmark.dev/role={role},ray.io/cluster"
        pod = world.kubectl("get", "pods", "-l", of, "-o", "name").split()[0]
        world.kubectl("delete", pod, "--grace-period=0", "--force", "--wait=false")
    status = world.wait("disturbed", "condition=Complete", 400)
    reasons, validity = zip(*attempts(status), strict=True)
    assert validity == ("invalid", "invalid", "invalid", "valid")
    assert reasons[0] == "RayJobVanished"
    assert reasons[1] == "PodReplaced"
    assert reasons[2] in ("PodReplaced", "HeartbeatLost")
    assert world.cluster.kubectl("-n", world.namespace, "get", "rayjob", first).returncode != 0
    assert len({one["rayJobName"] for one in status["attempts"]}) == 4
    run = world.run("disturbed")["run"]
    assert (run["attempt"], run["outcome"]) == (4, "complete")

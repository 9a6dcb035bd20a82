"""Several pods of one service: budgets, spread, and what the controller's Lease is called."""

from typing import Any

from rendering import kind, objects

ON_NODES = {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway"}


def spread(found: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    pod = kind(found, "Deployment")[name]["spec"]["template"]["spec"]
    return pod.get("topologySpreadConstraints", [])


def own_labels(found: list[dict[str, Any]], name: str) -> dict[str, str]:
    return kind(found, "Deployment")[name]["spec"]["selector"]["matchLabels"]


def test_a_disruption_budget_exists_only_with_more_than_one_pod() -> None:
    assert not kind(objects(), "PodDisruptionBudget")
    found = objects("everything")
    budgets = kind(found, "PodDisruptionBudget")
    assert set(budgets) == {"stepmark-controller", "stepmark-hub"}
    for name, budget in budgets.items():
        assert budget["spec"] == {"maxUnavailable": 1, "selector": {"matchLabels": own_labels(found, name)}}


def test_several_pods_are_spread_over_nodes_where_nothing_else_is_said() -> None:
    assert spread(objects(), "stepmark-controller") == spread(objects(), "stepmark-hub") == []
    found = objects("postgresql")
    selector = {"matchLabels": own_labels(found, "stepmark-hub")}
    assert spread(found, "stepmark-hub") == [{**ON_NODES, "labelSelector": selector}]


def test_a_constraint_selects_the_components_pods_unless_it_says_which() -> None:
    found = objects("everything")
    (zone,) = spread(found, "stepmark-controller")
    assert zone["topologyKey"] == "topology.kubernetes.io/zone"
    assert zone["labelSelector"] == {"matchLabels": own_labels(found, "stepmark-controller")}
    own = {**ON_NODES, "labelSelector": {"matchLabels": {"team": "speed"}}}
    assert spread(objects(hub={"topologySpreadConstraints": [own]}), "stepmark-hub") == [own]


def test_all_controllers_of_a_release_compete_for_one_lease_that_they_may_renew() -> None:
    found = objects("everything")
    arguments = kind(found, "Deployment")["stepmark-controller"]["spec"]["template"]["spec"]["containers"][0]["args"]
    assert {"--lease-namespace=bench", "--lease-name=stepmark-controller"} <= set(arguments)
    role = kind(found, "Role")["stepmark-controller-lease"]
    assert role["metadata"]["namespace"] == "bench"
    assert role["rules"][1]["resourceNames"] == ["stepmark-controller"]

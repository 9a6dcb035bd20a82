"""The namespace of runs, apart from that of the tokens: charts/stepmark/templates/runs-namespace.yaml."""

from rendering import kind, objects


def test_runs_have_by_default_a_namespace_of_their_own_that_stays() -> None:
    found = kind(objects(), "Namespace")["bench-runs"]["metadata"]
    assert found["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert found["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_the_controller_has_no_right_on_secrets_where_the_tokens_are() -> None:
    roles = [one for one in objects() if one["kind"] == "Role" and "secrets" in str(one["rules"])]
    assert {one["metadata"]["namespace"] for one in roles} == {"bench-runs"}
    tokens = kind(objects(), "Secret")["stepmark-tokens"]["metadata"]["namespace"]
    assert tokens == "bench"


def test_the_chart_makes_no_namespace_where_the_values_name_some() -> None:
    assert not kind(objects(watchNamespaces=["team-a"]), "Namespace")

"""What the controller relies on in an API server: asserted of the fake one here, of a real one in tests/cluster."""

import base64
from typing import Any

import pytest
from worlds import here, scenario

from stepmark.controller import kube
from stepmark.controller.actions import manifests
from stepmark.controller.actions.names import UID, child_metadata
from stepmark.controller.ports import Api

NAMESPACE = "contract"


def config_map(name: str, **more: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": NAMESPACE, "labels": {UID: "u-1"}, **more}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": "1"}}


def new_scenario(name: str) -> dict[str, Any]:
    document = scenario()
    return {**document, "metadata": {"name": name, "namespace": NAMESPACE}}


def an_object_of_a_name_that_is_taken_is_a_conflict(api: Api) -> None:
    api.create(kube.CONFIG_MAPS, NAMESPACE, config_map("once"))
    with pytest.raises(kube.Conflict):
        api.create(kube.CONFIG_MAPS, NAMESPACE, config_map("once"))


def an_object_that_does_not_exist_is_not_found(api: Api) -> None:
    with pytest.raises(kube.NotFound):
        api.get(kube.CONFIG_MAPS, NAMESPACE, "never")
    with pytest.raises(kube.NotFound):
        api.delete(kube.CONFIG_MAPS, NAMESPACE, "never", "u")


def a_created_object_gets_a_uid_a_version_and_a_time(api: Api) -> None:
    made = api.create(kube.CONFIG_MAPS, NAMESPACE, config_map("stamped"))
    assert {"uid", "resourceVersion", "creationTimestamp"} <= made["metadata"].keys()
    assert api.get(kube.CONFIG_MAPS, NAMESPACE, "stamped")["metadata"]["uid"] == made["metadata"]["uid"]


def a_status_is_written_only_to_the_version_that_was_read(api: Api) -> None:
    made = api.create(kube.SCENARIOS, NAMESPACE, new_scenario("status"))
    assert "status" not in made
    version = {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"]}}
    written = api.patch(
        kube.SCENARIOS, NAMESPACE, "status", {**version, "status": {"phase": "Pending", "message": "a"}}, status=True
    )
    assert written["status"]["phase"] == "Pending"
    assert written["metadata"]["generation"] == made["metadata"]["generation"]
    with pytest.raises(kube.Conflict):
        api.patch(kube.SCENARIOS, NAMESPACE, "status", {**version, "status": {"phase": "Failed"}}, status=True)
    assert api.get(kube.SCENARIOS, NAMESPACE, "status")["status"]["phase"] == "Pending"


def a_patch_of_the_status_changes_only_the_status_and_another_patch_never_does(api: Api) -> None:
    api.create(kube.SCENARIOS, NAMESPACE, new_scenario("apart"))
    both = {"spec": {"cancel": True}, "status": {"phase": "Queued"}}
    assert not api.patch(kube.SCENARIOS, NAMESPACE, "apart", both, status=True)["spec"].get("cancel", False)
    changed = api.patch(kube.SCENARIOS, NAMESPACE, "apart", {"spec": {"cancel": True}, "status": {"phase": "Failed"}})
    assert changed["spec"]["cancel"] is True
    assert changed["status"]["phase"] == "Queued"
    assert changed["metadata"]["generation"] == 2


def lists_are_selected_by_label(api: Api) -> None:
    for name, uid in (("one", "u-a"), ("two", "u-b"), ("three", "u-c")):
        api.create(kube.CONFIG_MAPS, NAMESPACE, config_map(f"l-{name}", labels={UID: uid, "x": name}))
    found = api.every_of(kube.CONFIG_MAPS, NAMESPACE, UID, ["u-a", "u-c"])
    assert sorted(one["metadata"]["name"] for one in found) == ["l-one", "l-three"]
    assert [one["metadata"]["name"] for one in api.every(kube.CONFIG_MAPS, NAMESPACE, "x=two")] == ["l-two"]
    assert list(api.every_of(kube.CONFIG_MAPS, NAMESPACE, UID, [])) == []


def an_object_is_deleted_only_by_its_own_uid(api: Api) -> None:
    made = api.create(kube.CONFIG_MAPS, NAMESPACE, config_map("meant"))
    with pytest.raises(kube.Conflict):
        api.delete(kube.CONFIG_MAPS, NAMESPACE, "meant", "another-uid")
    api.delete(kube.CONFIG_MAPS, NAMESPACE, "meant", made["metadata"]["uid"])


def an_object_is_replaced_only_at_the_version_that_was_read(api: Api) -> None:
    made = api.create(kube.CONFIG_MAPS, NAMESPACE, config_map("replaced"))
    second = api.replace(kube.CONFIG_MAPS, NAMESPACE, "replaced", {**made, "data": {"a": "2"}})
    assert second["data"] == {"a": "2"}
    with pytest.raises(kube.Conflict):
        api.replace(kube.CONFIG_MAPS, NAMESPACE, "replaced", {**made, "data": {"a": "3"}})


def every_child_is_stored_as_the_controller_makes_it(api: Api) -> None:
    """With strict field validation the server knows every field of a child and drops none."""
    owner, world = api.create(kube.SCENARIOS, NAMESPACE, new_scenario("owner")), here()
    token = {"data": {"token": base64.b64encode(b"smk_x").decode()}}
    children = [
        manifests.config_map(owner, 1, world.profiles["default"]),
        manifests.secret(owner, 1) | token,
        manifests.network_policy(owner, 1, world.settings),
    ]
    for child in children:
        resource = kube.RESOURCE_OF_KIND[child["kind"]]
        made = api.create(resource, NAMESPACE, child)
        assert made["metadata"]["ownerReferences"] == child_metadata(owner, 1)["ownerReferences"]
        for key in child.keys() - {"metadata"}:
            assert made[key] == child[key]


CONTRACT = [
    an_object_of_a_name_that_is_taken_is_a_conflict,
    an_object_that_does_not_exist_is_not_found,
    a_created_object_gets_a_uid_a_version_and_a_time,
    a_status_is_written_only_to_the_version_that_was_read,
    a_patch_of_the_status_changes_only_the_status_and_another_patch_never_does,
    lists_are_selected_by_label,
    an_object_is_deleted_only_by_its_own_uid,
    an_object_is_replaced_only_at_the_version_that_was_read,
    every_child_is_stored_as_the_controller_makes_it,
]

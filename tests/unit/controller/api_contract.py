"""What the controller relies on of an API server: asserted of the fake one here, and of a real one in tests/cluster."""

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


def a_name_is_taken_once(api: Api) -> None:
    api.create(kube.CONFIG_MAPS, NAMESPACE, config_map("once"))
    with pytest.raises(kube.Conflict):
        api.create(kube.CONFIG_MAPS, NAMESPACE, config_map("once"))


def what_is_not_there_is_not_found(api: Api) -> None:
    with pytest.raises(kube.NotFound):
        api.get(kube.CONFIG_MAPS, NAMESPACE, "never")
    with pytest.raises(kube.NotFound):
        api.delete(kube.CONFIG_MAPS, NAMESPACE, "never", "u")


def an_object_gets_uid_version_and_time(api: Api) -> None:
    made = api.create(kube.CONFIG_MAPS, NAMESPACE, config_map("stamped"))
    assert {"uid", "resourceVersion", "creationTimestamp"} <= made["metadata"].keys()
    assert api.get(kube.CONFIG_MAPS, NAMESPACE, "stamped")["metadata"]["uid"] == made["metadata"]["uid"]


def a_status_is_written_only_to_what_was_read(api: Api) -> None:
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


def a_status_patch_changes_nothing_else_and_the_other_no_status(api: Api) -> None:
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


def only_the_object_that_was_meant_is_deleted(api: Api) -> None:
    made = api.create(kube.CONFIG_MAPS, NAMESPACE, config_map("meant"))
    with pytest.raises(kube.Conflict):
        api.delete(kube.CONFIG_MAPS, NAMESPACE, "meant", "another-uid")
    api.delete(kube.CONFIG_MAPS, NAMESPACE, "meant", made["metadata"]["uid"])


def a_replaced_object_must_be_the_one_that_was_read(api: Api) -> None:
    made = api.create(kube.CONFIG_MAPS, NAMESPACE, config_map("replaced"))
    second = api.replace(kube.CONFIG_MAPS, NAMESPACE, "replaced", {**made, "data": {"a": "2"}})
    assert second["data"] == {"a": "2"}
    with pytest.raises(kube.Conflict):
        api.replace(kube.CONFIG_MAPS, NAMESPACE, "replaced", {**made, "data": {"a": "3"}})


def every_child_is_taken_as_we_make_it(api: Api) -> None:
    """With strict field validation: nothing of ours is unknown to the server, and nothing is dropped."""
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
    a_name_is_taken_once,
    what_is_not_there_is_not_found,
    an_object_gets_uid_version_and_time,
    a_status_is_written_only_to_what_was_read,
    a_status_patch_changes_nothing_else_and_the_other_no_status,
    lists_are_selected_by_label,
    only_the_object_that_was_meant_is_deleted,
    a_replaced_object_must_be_the_one_that_was_read,
    every_child_is_taken_as_we_make_it,
]

"""What a run's pods may do, and that no text of a scenario reaches a shell, an image, a variable or a label."""

import json
from typing import Any

import pytest
from worlds import scenario, settings

from stepmark.controller.actions import manifests
from stepmark.controller.actions.names import child_name
from stepmark.controller.facts import Capabilities
from stepmark.controller.profile_devices import Devices
from stepmark.controller.profiles import Head, Profile, Toleration
from stepmark.controller.settings import Peer
from stepmark.scenario.load import scenario_from_object

MARK = "hostile-mark"
GPU = Profile(
    image="runner@sha256:" + "a" * 64,
    devices=Devices(extended_resource="nvidia.com/gpu"),
    workers_per_pod=2,
    cpu_per_worker="4",
    head=Head(cpu="500m", memory="4Gi"),
    nccl_environment={"NCCL_SOCKET_IFNAME": "eth0"},
    node_selector={"nvidia.com/gpu.product": "H100"},
    tolerations=(Toleration(key="nvidia.com/gpu", operator="Exists"),),
    queue_name="gpus",
    extra_ray_job_labels={"team": "vision"},
)


def ray_job(profile: Profile = GPU, can: Capabilities | None = None, **spec: Any) -> dict[str, Any]:
    document = scenario(scale={"workers": [1, 2, 5], "batchPerWorker": 8}, **spec)
    return manifests.ray_job(document, 1, scenario_from_object(document), profile, can or Capabilities(), settings())


def templates(job: dict[str, Any]) -> dict[str, dict[str, Any]]:
    cluster = job["spec"]["rayClusterSpec"]
    return {
        "head": cluster["headGroupSpec"]["template"],
        "worker": cluster["workerGroupSpecs"][0]["template"],
        "submitter": job["spec"]["submitterPodTemplate"],
    }


@pytest.mark.parametrize("role", ["head", "worker", "submitter"])
def test_every_pod_passes_pod_security_restricted(role: str) -> None:
    spec = templates(ray_job())[role]["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC", "serviceAccountName"} & spec.keys()
    assert all({"emptyDir", "configMap", "secret"} & volume.keys() for volume in spec["volumes"])
    for container in spec["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        }


def test_the_entrypoint_is_constant_and_nothing_of_the_scenario_is_in_the_job() -> None:
    document = scenario(
        workload={"model": "scripted", "params": {"stepSeconds": 0.1}},
        candidates=[{"name": MARK, "engine": "sleeper", "strategy": "parallel"}],
    )
    document["metadata"] |= {"labels": {MARK: MARK}, "annotations": {MARK: MARK}}
    checked = scenario_from_object(document)
    job = manifests.ray_job(document, 1, checked, GPU, Capabilities(), settings())
    assert job["spec"]["entrypoint"] == "stepmark run /etc/stepmark/scenario/scenario.json --out /tmp/stepmark/out"
    assert MARK not in json.dumps(job)
    held = manifests.config_map(document, 1, GPU)
    assert held["immutable"] is True
    read = scenario_from_object(json.loads(held["data"]["scenario.json"]))
    assert read.digest() == checked.digest()
    assert json.loads(held["data"]["scenario.json"])["metadata"] == {"name": "cnn"}
    assert Profile.model_validate_json(held["data"]["profile.json"]) == GPU


def test_the_head_trains_nothing_and_workers_are_counted_by_pods() -> None:
    cluster = ray_job()["spec"]["rayClusterSpec"]
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    group = cluster["workerGroupSpecs"][0]
    assert (group["replicas"], group["minReplicas"], group["maxReplicas"]) == (3, 3, 3)
    assert group["rayStartParams"] | {"num-cpus": "2", "num-gpus": "2"} == group["rayStartParams"]
    limits = group["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert limits["nvidia.com/gpu"] == "2"
    assert "nvidia.com/gpu" not in json.dumps(cluster["headGroupSpec"])


def test_pods_of_workers_keep_off_each_others_nodes_only_where_the_profile_says_so() -> None:
    assert "affinity" not in templates(ray_job())["worker"]["spec"]
    apart = templates(ray_job(GPU.model_copy(update={"one_pod_per_node": True})))
    assert "affinity" not in apart["head"]["spec"]
    rules = apart["worker"]["spec"]["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    selected = apart["worker"]["metadata"]["labels"]
    assert rules == [{"labelSelector": {"matchLabels": selected}, "topologyKey": "kubernetes.io/hostname"}]
    assert {"stepmark.dev/scenario-uid", "stepmark.dev/attempt", "stepmark.dev/role"} <= selected.keys()


def test_head_and_workers_are_told_whether_the_profile_has_devices() -> None:
    for profile, device in ((GPU, "gpu"), (Profile(image="r:1"), "cpu")):
        found = templates(ray_job(profile))
        for role in ("head", "worker"):
            told = {"name": "STEPMARK_DEVICE", "value": device}
            assert told in found[role]["spec"]["containers"][0]["env"]


def test_workers_alone_are_told_that_shared_devices_are_accepted() -> None:
    told = {"name": "STEPMARK_SHARED_DEVICES", "value": "true"}
    shared = GPU.model_copy(update={"devices": Devices(extended_resource="nvidia.com/gpu", shared_devices=True)})
    for profile, roles in ((GPU, []), (shared, ["worker"])):
        found = templates(ray_job(profile))
        assert [role for role in found if told in found[role]["spec"]["containers"][0]["env"]] == roles


def test_devices_of_a_network_are_for_workers_alone_and_bring_no_right_with_them() -> None:
    network = {"resource": "rdma/hca", "count": 2}
    fast = Profile.model_validate(GPU.model_dump() | {"network": network, "namespaces": ("fast",)})
    plain, found = templates(ray_job()), templates(ray_job(fast))
    worker = found["worker"]["spec"]["containers"][0]
    assert worker["resources"]["limits"]["rdma/hca"] == worker["resources"]["requests"]["rdma/hca"] == "2"
    assert worker["securityContext"] == plain["worker"]["spec"]["containers"][0]["securityContext"]
    assert "hostNetwork" not in found["worker"]["spec"]
    assert found["head"] == plain["head"]


def test_workers_are_told_which_node_they_are_on() -> None:
    told = {"name": "STEPMARK_NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}
    assert told in templates(ray_job())["worker"]["spec"]["containers"][0]["env"]


def test_whole_cores_are_limited_and_parts_of_a_core_are_only_requested() -> None:
    found = {role: t["spec"]["containers"][0]["resources"] for role, t in templates(ray_job()).items()}
    assert found["worker"]["requests"]["cpu"] == found["worker"]["limits"]["cpu"] == "8000m"
    assert found["head"]["requests"]["cpu"] == "500m"
    assert "cpu" not in found["head"]["limits"]
    assert found["head"]["requests"]["memory"] == found["head"]["limits"]["memory"]


def test_a_claim_template_is_claimed_by_the_workers_pod() -> None:
    profile = Profile(image="r:1", devices=Devices(resource_claim_template_name="gpus"))
    spec = templates(ray_job(profile))["worker"]["spec"]
    assert spec["resourceClaims"] == [{"name": "devices", "resourceClaimTemplateName": "gpus"}]
    assert spec["containers"][0]["resources"]["claims"] == [{"name": "devices"}]


def test_features_of_the_installed_kuberay_are_used_and_missing_token_auth_is_said_explicitly() -> None:
    old, new = ray_job(), ray_job(can=Capabilities(auth_options=True, pre_running_deadline=True))
    assert "authOptions" not in old["spec"]["rayClusterSpec"]
    assert "preRunningDeadlineSeconds" not in old["spec"]
    assert new["spec"]["rayClusterSpec"]["authOptions"] == {"mode": "token"}
    assert new["spec"]["preRunningDeadlineSeconds"] > 1800, "the controller comes first, since it knows why"
    for role in ("head", "worker", "submitter"):
        off = {"name": "RAY_AUTH_MODE", "value": "disabled"}
        assert off in templates(old)[role]["spec"]["containers"][0]["env"]
        assert off not in templates(new)[role]["spec"]["containers"][0]["env"]


def test_the_admins_labels_are_on_the_job_and_stepmarks_own_labels_win() -> None:
    labels = ray_job()["metadata"]["labels"]
    assert labels["team"] == "vision"
    assert labels["kueue.x-k8s.io/queue-name"] == "gpus"
    assert labels["stepmark.dev/attempt"] == "1"


def test_the_network_policy_names_every_peer_that_may_connect() -> None:
    peers = {
        "hub_peer": Peer(
            namespace_labels={"kubernetes.io/metadata.name": "stepmark"}, pod_labels={"a": "hub"}, port=8080
        ),
        "prometheus_peer": Peer(namespace_labels={"kubernetes.io/metadata.name": "monitoring"}),
    }
    spec = manifests.network_policy(scenario(), 1, settings(**peers))["spec"]
    own = {"podSelector": spec["podSelector"]}
    assert own["podSelector"]["matchLabels"]["stepmark.dev/scenario-uid"] == "00000000-cnn"
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert spec["ingress"][0] == {"from": [own]}
    assert [[port["port"] for port in rule["ports"]] for rule in spec["ingress"][1:]] == [[8265], [8080, 9092]]
    to_own, dns, hub = spec["egress"]
    assert to_own == {"to": [own]}
    assert {port["port"] for port in dns["ports"]} == {53}
    assert hub["ports"] == [{"protocol": "TCP", "port": 8080}]
    assert hub["to"][0]["podSelector"]["matchLabels"] == {"a": "hub"}


@pytest.mark.parametrize(
    ("url", "port"), [("http://hub:8080", 8080), ("https://hub.example.com", 443), ("http://hub/path", 80)]
)
def test_the_network_policy_allows_the_port_of_a_hub_without_a_known_peer(url: str, port: int) -> None:
    egress = manifests.network_policy(scenario(), 1, settings(hub_url=url))["spec"]["egress"]
    assert egress[-1] == {"ports": [{"protocol": "TCP", "port": port}]}


def test_the_longest_name_is_as_long_as_kuberay_allows() -> None:
    assert len(child_name(scenario("n" * 40), 9)) == 47
    with pytest.raises(ValueError, match="from 1 to 9"):
        child_name(scenario(), 10)


def test_a_secret_holds_no_token_before_it_is_created() -> None:
    assert "data" not in manifests.secret(scenario(), 1)


def test_head_and_submitter_are_placed_by_the_settings_of_the_head_and_workers_by_their_own() -> None:
    place = Head(node_selector={"kind": "cpu"}, tolerations=(Toleration(key="cpu-only", operator="Exists"),))
    found = templates(ray_job(GPU.model_copy(update={"head": place})))
    for role in ("head", "submitter"):
        assert found[role]["spec"]["nodeSelector"] == {"kind": "cpu"}
        assert [one["key"] for one in found[role]["spec"]["tolerations"]] == ["cpu-only"]
    assert found["worker"]["spec"]["nodeSelector"] == dict(GPU.node_selector)

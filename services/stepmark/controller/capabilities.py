"""Find out what the installed KubeRay supports. Its CRD is read, since a patched operator's version says nothing."""

from typing import Any

from stepmark.controller import kube
from stepmark.controller.facts import Capabilities
from stepmark.controller.ports import Api

_CRD = "rayjobs.ray.io"


def capabilities(api: Api) -> Capabilities:
    """Return what this cluster's KubeRay supports.

    Raises:
        kube.ApiError: the API server did not answer or refused.
    """
    try:
        return of_crd(api.get(kube.CRDS, None, _CRD))
    except kube.NotFound:
        return Capabilities(rayjobs=False)


def of_crd(crd: dict[str, Any]) -> Capabilities:
    """Read the capabilities from the RayJob CRD, from its schema of ray.io/v1."""
    schemas = [
        version["schema"]["openAPIV3Schema"]["properties"]
        for version in crd["spec"]["versions"]
        if version["name"] == "v1" and version.get("served")
    ]
    if not schemas:
        return Capabilities(rayjobs=False)
    spec = schemas[0]["spec"]["properties"]
    cluster = spec.get("rayClusterSpec", {}).get("properties", {})
    return Capabilities(
        rayjobs=True,
        auth_options="authOptions" in cluster,
        pre_running_deadline="preRunningDeadlineSeconds" in spec,
    )

"""Pod Security `restricted`, as Kubernetes' documentation lists it, for pods that nobody has created yet."""

from typing import Any

_VOLUMES = {
    *(
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "persistentVolumeClaim",
        "projected",
        "secret",
    )
}
_HOST = ("hostNetwork", "hostPID", "hostIPC")


def violations(pod: dict[str, Any]) -> list[str]:
    """Return what `restricted` refuses of this pod's spec."""
    found = [name for name in _HOST if pod.get(name)]
    found += [f"volume {v['name']}" for v in pod.get("volumes", ()) if not _VOLUMES & v.keys()]
    for container in [*pod.get("initContainers", ()), *pod["containers"]]:
        found += [f"{container['name']}: {text}" for text in _of_container(container, pod.get("securityContext", {}))]
    return found


def _of_container(container: dict[str, Any], of_pod: dict[str, Any]) -> list[str]:
    own = container.get("securityContext", {})
    both = {**of_pod, **own}
    capabilities = own.get("capabilities", {})
    checks = {
        "privileged": not own.get("privileged"),
        "allowPrivilegeEscalation": own.get("allowPrivilegeEscalation") is False,
        "runAsNonRoot": both.get("runAsNonRoot") is True,
        "runAsUser": both.get("runAsUser") != 0,
        "seccompProfile": both.get("seccompProfile", {}).get("type") in ("RuntimeDefault", "Localhost"),
        "capabilities": capabilities.get("drop") == ["ALL"]
        and set(capabilities.get("add", ())) <= {"NET_BIND_SERVICE"},
        "procMount": own.get("procMount", "Default") == "Default",
        "hostPort": not any(port.get("hostPort") for port in container.get("ports", ())),
        "seLinux": not both.get("seLinuxOptions", {}).get("user"),
        "sysctls": not of_pod.get("sysctls"),
    }
    return [name for name, holds in checks.items() if not holds]

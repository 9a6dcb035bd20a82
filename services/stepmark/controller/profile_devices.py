"""The parts of a profile that are about GPUs and the network between them."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from stepmark.controller.notation import ObjectName
from stepmark.strict import StrictModel

_ResourceName = Annotated[str, Field(pattern=r"^[a-z0-9][-a-z0-9.]*/[a-z0-9][-a-z0-9._]*$", max_length=317)]

# Names that NVIDIA's device plugin gives to parts of a GPU (MIG) and to GPUs that several pods get (time slicing, MPS).
_SHARED = re.compile(r"/mig-|\.shared$")


class Devices(StrictModel):
    """GPUs of the workers, one for each: either an extended resource or a claim template (DRA)."""

    extended_resource: _ResourceName | None = None
    """Name of the extended resource, such as nvidia.com/gpu."""
    resource_claim_template_name: ObjectName | None = None
    """Name of a ResourceClaimTemplate in the run's namespace, which claims the devices of one whole pod."""
    shared_devices: bool = False
    """Accept parts of a GPU (MIG) and GPUs that others use too (time slicing, MPS). Every figure of such a run is
    marked, since it holds beside unknown neighbours only."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.extended_resource is None) == (self.resource_claim_template_name is None):
            raise ValueError("extendedResource or resourceClaimTemplateName, one of the two")
        return self

    @model_validator(mode="after")
    def _whole(self) -> Self:
        resource = self.extended_resource
        if resource is not None and _SHARED.search(resource) and not self.shared_devices:
            raise ValueError(f"whole GPUs, which {resource} is not, or sharedDevices: true")
        return self


class Network(StrictModel):
    """Devices of a network between nodes. Their driver must let any user of a container lock memory."""

    resource: _ResourceName
    """Name of the extended resource, such as rdma/hca or vpc.amazonaws.com/efa."""
    count: Annotated[int, Field(ge=1, le=64)] = 1
    """Number of these devices in each worker pod."""


def sharing_labels(node_selector: Mapping[str, str]) -> list[str]:
    """Return those labels of a node selector that choose nodes whose GPUs are shared or parts, as NAME: VALUE.

    NVIDIA's GPU feature discovery writes them; under time slicing or MPS the resource may keep its plain name.
    """
    return [f"{name}: {value}" for name, value in node_selector.items() if _means_sharing(name, value)]


def _means_sharing(name: str, value: str) -> bool:
    if name == "nvidia.com/gpu.sharing-strategy":
        return value != "none"
    if name == "nvidia.com/gpu.replicas":
        return value not in ("0", "1")
    return name == "nvidia.com/gpu.product" and ("-SHARED" in value or "-MIG-" in value)


NcclName = Literal[
    "FI_EFA_USE_DEVICE_RDMA",
    "FI_PROVIDER",
    "GLOO_SOCKET_IFNAME",
    "NCCL_ALGO",
    "NCCL_BUFFSIZE",
    "NCCL_CROSS_NIC",
    "NCCL_CUMEM_ENABLE",
    "NCCL_DEBUG",
    "NCCL_IB_DISABLE",
    "NCCL_IB_GID_INDEX",
    "NCCL_IB_HCA",
    "NCCL_IB_PCI_RELAXED_ORDERING",
    "NCCL_IB_QPS_PER_CONNECTION",
    "NCCL_IB_TC",
    "NCCL_IB_TIMEOUT",
    "NCCL_MAX_NCHANNELS",
    "NCCL_MIN_NCHANNELS",
    "NCCL_NET",
    "NCCL_NET_GDR_LEVEL",
    "NCCL_NSOCKS_PERTHREAD",
    "NCCL_NVLS_ENABLE",
    "NCCL_P2P_DISABLE",
    "NCCL_P2P_LEVEL",
    "NCCL_PROTO",
    "NCCL_SHM_DISABLE",
    "NCCL_SOCKET_FAMILY",
    "NCCL_SOCKET_IFNAME",
    "NCCL_SOCKET_NTHREADS",
]
"""The variables of NCCL, Gloo and libfabric that a profile may set: they choose among ways of a network.
NCCL_NET_PLUGIN is not one of them, since it names a library to load.
"""
NcclValue = Annotated[str, Field(pattern=r"^[-A-Za-z0-9_.,:=^]+$", max_length=200)]

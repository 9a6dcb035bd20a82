"""Say how the GPUs of one node are connected."""

from collections.abc import Mapping

from stepmark.devices.nvml import SWITCH, Nvml


def peers(nvml: Nvml, gpu: str, others: Mapping[int, str]) -> dict[str, str]:
    """Return how this GPU is connected with the others, in the form of `DeviceFacts.peers`.

    `others` maps local ranks to UUIDs. A connection that the driver does not know is left out.
    """
    found = {str(local_rank): _connection(nvml, gpu, other) for local_rank, other in others.items() if other != gpu}
    return {local_rank: connection for local_rank, connection in found.items() if connection}


def _connection(nvml: Nvml, gpu: str, other: str) -> str:
    bus, ends = nvml.pci_bus(other), nvml.nvlinks(gpu) or ()
    links = sum(end in (bus, SWITCH) for end in ends)
    way = f"NV{links}" if links else nvml.ancestor(gpu, other)
    if way is None:
        return ""
    return f"{way} p2p" if nvml.can_read(gpu, other) else way

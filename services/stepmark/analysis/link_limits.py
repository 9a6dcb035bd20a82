"""Name the links that limit collectives among the GPUs of one host, and what they carry by their specification."""

import re
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from stepmark.results.device import DeviceFacts
from stepmark.results.record import LaunchHeader, RankReport

_NVLINK = re.compile(r"NV([0-9]+)\b")  # in `DeviceFacts.peers`


class LinkLimit(BaseModel):
    """Store what the links of one GPU to the others of its launch carry at most in one direction.

    `name` says which links they are. A bus bandwidth can be compared with it, since it is what each GPU sends where
    data go from rank to rank. Switches that add up what passes through them (NVLS) can make it higher than the limit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    bytes_per_second: float


def link_limit(header: LaunchHeader) -> LinkLimit | None:
    """Return the limit of a launch whose ranks have a GPU each on one host, all connected alike; otherwise None."""
    ranks = header.ranks
    if not 1 < len(ranks) == header.cell.workers or len({rank.host for rank in ranks}) > 1:
        return None
    return common_limit([_limit_of(rank, ranks) for rank in ranks])


def common_limit(limits: Sequence[LinkLimit | None]) -> LinkLimit | None:
    """Return the limit that all have, or None where they differ or there is none."""
    return limits[0] if len(set(limits)) == 1 else None


def _limit_of(rank: RankReport, ranks: Sequence[RankReport]) -> LinkLimit | None:
    """Return the limit of one rank's GPU: its NVLinks to the others, or PCIe where none leads to any of them.

    Where NVLinks lead to some of the others only, the way of the data is unknown. On one host, a rank's number is its
    local rank.
    """
    device = rank.device
    if device is None:
        return None
    ways = [device.peers.get(str(other.rank)) for other in ranks if other is not rank]
    known = [way for way in ways if way is not None]
    links = [int(found[1]) for way in known if (found := _NVLINK.match(way))]
    if len(known) < len(ways) or len(links) not in (0, len(ways)):
        return None
    return _over_nvlink(device, sum(links)) if links else _over_pcie(device)


def _over_nvlink(device: DeviceFacts, links: int) -> LinkLimit | None:
    """Return the limit of so many links. Those to a switch lead to every GPU, and are counted for each of them."""
    if not (links and device.nvlinks and device.nvlink_generation and device.nvlink_bytes_per_second):
        return None
    links = min(links, device.nvlinks)
    each = device.nvlink_bytes_per_second / device.nvlinks
    name = f"NVLink {device.nvlink_generation}, {links} {'link' if links == 1 else 'links'}"
    return LinkLimit(name=name, bytes_per_second=links * each)


def _over_pcie(device: DeviceFacts) -> LinkLimit | None:
    if not (device.pcie_generation and device.pcie_width and device.pcie_bytes_per_second):
        return None
    name = f"PCIe {device.pcie_generation}, {device.pcie_width} lanes"
    return LinkLimit(name=name, bytes_per_second=device.pcie_bytes_per_second)

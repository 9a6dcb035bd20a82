"""Say what the links of a GPU carry at most in one direction, by those who define them.

NVLinks are known by the GPU's compute capability, as in NCCL (src/graph/topo.h), and not by NVML's version of a link:
drivers have called those of an H100 version 5 (the benchmarks of NVIDIA's Fuser), and those of an A100 number 5
(open-mpi/hwloc issue 658). An architecture that is not here has no figure.
"""

from collections.abc import Mapping

_NVLINKS: Mapping[str, tuple[int, float]] = {
    "6.0": (1, 20e9),  # P100: 4 links, 160 GB/s both ways (textbookofai.com); 20 GB/s (open-mpi/hwloc issue 574)
    "7.0": (2, 25e9),  # V100: 6 links, 300 GB/s both ways (open-mpi/hwloc issue 574)
    "8.0": (3, 25e9),  # A100: 12 links, 600 GB/s both ways (open-mpi/hwloc issue 574)
    "8.6": (3, 14.0625e9),  # A40: 4 links of 14.0625 GB/s each way (NVIDIA's GA102 whitepaper, quoted by HF)
    "9.0": (4, 25e9),  # H100: 18 links, 900 GB/s both ways (open-mpi/hwloc issue 574)
    "10.0": (5, 50e9),  # B200: 18 links of 100 GB/s both ways (NVIDIA's NVLink page, as catalogone.com has it)
}
"""The generation of NVLink, and the bytes per second of one link in one direction. All were read 2026-12-01."""

_PCIE: Mapping[int, tuple[float, float]] = {
    1: (2.5e9, 8 / 10),
    2: (5e9, 8 / 10),
    3: (8e9, 128 / 130),
    4: (16e9, 128 / 130),
    5: (32e9, 128 / 130),
    6: (64e9, 242 / 256),
}
"""The bits per second of a lane, and the share of them that its encoding leaves.

They are PCI-SIG's: Intel's guide 683111 for the generations 1 to 3; 16, 32 and 64 GT/s by pciutils; and for generation
6 packets of 256 bytes, of which checks take 14 (PCI Express 6.2 as blog.csdn.net 141707780 has it), read 2026-12-01.
"""


def nvlink_generation(compute_capability: str | None) -> int | None:
    """Return the generation of a GPU's NVLinks, or None where it is unknown or the GPU has none."""
    found = _NVLINKS.get(compute_capability or "")
    return None if found is None else found[0]


def nvlink_bytes_per_second(compute_capability: str | None, links: int | None) -> int | None:
    """Return what so many NVLinks carry together in one direction; None where that is unknown or there is no link."""
    found = _NVLINKS.get(compute_capability or "")
    return None if found is None or not links else round(links * found[1])


def pcie_bytes_per_second(generation: int | None, width: int | None) -> int | None:
    """Return what PCIe carries in one direction over so many lanes, without what packets take; None if unknown."""
    found = _PCIE.get(generation or 0)
    if found is None or not width:
        return None
    bits, share = found
    return round(bits * share / 8 * width)

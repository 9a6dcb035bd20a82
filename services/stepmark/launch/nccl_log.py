"""Say by which ways NCCL moved data, from the log that it writes while it connects.

Only parity checks have it written, since it takes time in what would otherwise be measured.
"""

import re
from collections.abc import Iterator
from pathlib import Path

FLAG = "nccl_transport"
"""The name of the flag that holds the answer in a certificate."""

# NCCL INFO Channel 00/0 : 0[0] -> 1[1] via P2P/CUMEM          (transport/p2p.cc)
# NCCL INFO Channel 00 : 0[0] -> 1[0] via SHM/direct/direct     (transport/shm.cc)
# NCCL INFO Channel 00/0 : 0[0] -> 1[0] [send] via NET/IB/0/GDRDMA   (transport/net.cc; after the name comes the device)
_VIA = re.compile(r"NCCL INFO Channel .* via (P2P|SHM|NET|COLLNET)/([A-Za-z][A-Za-z ]*[A-Za-z]|[A-Za-z])(.*)")
# NCCL INFO NVLS comm 0x... headRank 0 nHeads 8 ...             (transport/nvls.cc)
_NVLS = re.compile(r"NCCL INFO NVLS comm ")


def variables(folder: Path) -> dict[str, str]:
    """Return the variables by which NCCL logs into files of `folder`, one for each process."""
    return {"NCCL_DEBUG": "INFO", "NCCL_DEBUG_SUBSYS": "INIT,NET,GRAPH,NVLS,P2P,SHM", "NCCL_DEBUG_FILE": str(folder / "nccl.%h.%p")}


def transports(folder: Path) -> str | None:
    """Return the ways of the connections of this process, such as `NET/IB/GDRDMA, P2P/CUMEM`.

    It is None where NCCL logged no connection: it was not used, it had one rank, or it logged in another form.
    """
    found = {way for log in sorted(folder.glob("nccl.*")) for way in _ways(log)}
    return ", ".join(sorted(found)) or None


def _ways(log: Path) -> Iterator[str]:
    with log.open(errors="replace") as lines:
        for line in lines:
            match = _VIA.search(line)
            if match is not None:
                kind, name, rest = match.groups()
                yield f"{kind}/{name}" + ("/GDRDMA" if "/GDRDMA" in rest else "")
            elif _NVLS.search(line):
                yield "NVLS"

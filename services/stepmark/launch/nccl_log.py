"""Say how NCCL was set, and by which ways it moved data, from the log that it writes while it connects.

Only parity checks have it written, since writing takes time and may change what is measured.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from stepmark.results.certificate import TRANSPORT

# The forms are those of NCCL 2.29 (src/transport/p2p.cc, shm.cc, net.cc, coll_net.cc, nvls.cc); older ones say "Ring"
# for "Channel". After the name of a network come the number of its adapter, and GDRDMA if it reads the GPU's memory.
_VIA = re.compile(r"NCCL INFO (?:Channel|Ring|CollNet) .* via (P2P|SHM|NET|COLLNET)/([A-Za-z][\w -]*)(.*)")
_NVLS = re.compile(r"NCCL INFO NVLS comm ")
_DIRECT = "GDRDMA"


_PREFIXES, _MOST_CHARACTERS = ("NCCL_", "FI_"), 400


def setting_flags(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the flag `nccl_environment`: the variables of NCCL and libfabric, as `NAME=VALUE NAME=VALUE`.

    It is absent where none is set.
    """
    found = [f"{name}={value}" for name, value in sorted(environment.items()) if name.startswith(_PREFIXES)]
    return {"nccl_environment": " ".join(found)[:_MOST_CHARACTERS]} if found else {}


def log_variables(folder: Path) -> dict[str, str]:
    """Return the variables by which NCCL logs its connections into a file of `folder`."""
    return {"NCCL_DEBUG": "INFO", "NCCL_DEBUG_FILE": str(folder / "nccl.%h.%p")}


def transport_flags(folder: Path) -> dict[str, str]:
    """Return the flag `nccl_transport`: the ways of this process's connections, such as `NET/IB/GDRDMA, P2P/CUMEM`.

    It is absent where NCCL logged no connection, because it was not used, had one rank, or logs in another form.
    """
    found = {way for log in folder.glob("nccl.*") for way in _ways(log)}
    return {TRANSPORT: ", ".join(sorted(found))} if found else {}


def _ways(log: Path) -> Iterator[str]:
    with log.open(errors="replace") as lines:
        for line in lines:
            connection = _VIA.search(line)
            if connection is not None:
                kind, name, rest = connection.groups()
                yield "/".join([kind, name.strip(), *([_DIRECT] if f"/{_DIRECT}" in rest else [])])
            elif _NVLS.search(line):
                yield "NVLS"

"""Look up what a device can do at most, by the vendor: dense FLOPs per second and bytes of memory per second.

Every row of the two tables has a source that was read; a device without a row has no peak.
"""

import csv
import re
from functools import cache
from importlib import resources

_SAYS_NO_MODEL = re.compile(r"|nvidia|tesla|[0-9]+gb")  # in a device's name
_SIZE = re.compile(r"[0-9]+gb")


def peak_flops_per_second(device_name: str, precision: str) -> tuple[float, str] | None:
    """Return a device's dense peak in this precision and its source; None if the table has no such row.

    A row is found by all words of the device's name but the vendor's and the size of its memory. So a relative with a
    word more or less (H200 NVL, A10G, a MIG slice, a virtual GPU) has no peak rather than another model's.
    """
    words = _words(device_name)
    for row in _table("peaks.csv"):
        if _words(row["device"]) == words and row["precision"] == precision:
            return float(row["tera_flops_per_second"]) * 1e12, row["source"]
    return None


def _words(device_name: str) -> frozenset[str]:
    """Return the words that tell one model from another: "NVIDIA H100 80GB HBM3" gives h100 and hbm3."""
    words = re.split(r"[^a-z0-9]+", device_name.lower())
    return frozenset(word for word in words if not _SAYS_NO_MODEL.fullmatch(word))


@cache
def _table(name: str) -> tuple[dict[str, str], ...]:
    text = resources.files("stepmark.analysis").joinpath(name).read_text(encoding="utf-8")
    return tuple(csv.DictReader(text.splitlines()))


def memory_bytes_per_second(device_name: str) -> tuple[float, str] | None:
    """Return a device's memory bandwidth and its source; None if the table has no such row.

    Some models have two sizes of memory with two speeds, so the size counts where a row has one.
    """
    words, size = _words(device_name), set(_SIZE.findall(device_name.lower()))
    for row in _table("bandwidths.csv"):
        own = set(_SIZE.findall(row["device"].lower()))
        if _words(row["device"]) == words and (not own or own == size):
            return float(row["gigabytes_per_second"]) * 1e9, row["source"]
    return None

"""Define the device that a rank trains on. All differences between kinds of devices that engines share belong here.

This version trains on CPU cores only.
"""

from dataclasses import dataclass

from stepmark.terms import DeviceKind


@dataclass(frozen=True)
class Device:
    """Name one device as the rank's process counts them: `index` 0 is the first that it can see."""

    kind: DeviceKind = "cpu"
    index: int = 0


CPU = Device()

"""The device that a rank trains on: every difference between kinds of devices that engines share belongs here.

This version trains on CPU cores alone.
"""

from dataclasses import dataclass

from stepmark.terms import DeviceKind


@dataclass(frozen=True)
class Device:
    """One device, as the rank's process counts them: `index` 0 is the first that it can see."""

    kind: DeviceKind = "cpu"
    index: int = 0


CPU = Device()

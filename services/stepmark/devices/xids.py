"""Say which Xid errors are faults of the GPU itself.

A driver reports errors by numbers, of which many only say that a program was ended for its own fault: such a launch
fails by itself, with more words. This table has the errors that NVIDIA's catalogue answers with a reset of the GPU, a
restart of its machine, or a procedure for its memory or NVLink, and 94, a memory error that ends programs and leaves
the GPU in use (docs.nvidia.com/deploy/xid-errors/analyzing-xid-catalog.html, as two copies of its table have it, read
2026-12-01). NVLink errors 144 to 150 are not here: whether they are faults is only in the kernel's log.
"""

from collections.abc import Mapping

GPU_FAULTS: Mapping[int, str] = {
    46: "stopped processing",
    48: "double-bit memory error",
    62: "its microcontroller halted",
    64: "memory remapping failed",
    74: "NVLink error",
    79: "fell off the bus",
    94: "contained memory error",
    95: "uncontained memory error",
    109: "context switch timed out",
    110: "security fault",
    119: "its system processor did not answer",
    120: "its system processor failed",
    136: "NVLink training failed",
    140: "memory error that was not corrected",
    143: "initialisation failed",
    155: "NVLink error",
    156: "a part of it was retired",
    158: "fatal time-out",
}

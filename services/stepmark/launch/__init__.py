"""Measure one cell once per launch, in a process group that is fresh to the framework and the device.

This package owns the zygotes, the child process, the timed loop, and the supervision of a child until it ends. It knows
nothing of Ray, plans or statistics: it takes a `LaunchSpec` (JSON) and returns a `RankOutcome` (a report with step
arrays, or a failure).
"""

from time import perf_counter_ns

IMPORTED_AT_NS = perf_counter_ns()
"""The reading of the clock when this package was imported, which in a fresh process is before all else of stepmark."""

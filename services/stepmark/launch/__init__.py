"""One launch: a process group that is fresh to framework and device, and measures one cell once.

Owns: zygotes, the child process, the timed loop, and watching a child until it ends. Knows nothing of Ray, plans or
statistics: a `LaunchSpec` (JSON) goes in, a `RankOutcome` (a report and step arrays, or a failure) comes out.
"""

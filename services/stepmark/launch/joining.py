"""Have one rank's process join the groups of its launch."""

import os

from stepmark import catalog
from stepmark.engines._protocol import Engine, EngineModule
from stepmark.launch import reporting
from stepmark.launch.buffer import Phase, StampBuffer
from stepmark.launch.group import PEER_GONE, ControlGroup
from stepmark.launch.spec import LaunchSpec

_never_freed: list[Engine] = []


def join(module: EngineModule, spec: LaunchSpec, buffer: StampBuffer) -> tuple[Engine, ControlGroup]:
    """Return this rank's engine and its control group, after it has joined both groups."""
    its = spec.group
    group = ControlGroup.join(
        its.control_address, its.control_token, its.rank, its.world_size, spec.measurement.launch_timeout_seconds
    )
    buffer.phase = Phase.JOINED
    group.watch(lambda: _end_because_of_peer(spec, buffer))
    engine: Engine = getattr(module, engine_class(spec))(spec.rank_context())
    _never_freed.append(engine)
    engine.join_group()
    return engine, group


def engine_class(spec: LaunchSpec) -> str:
    """Return the name of the class that runs this cell. Foreign code, which is loaded later, can only train."""
    model = spec.workload.model
    name = "Engine" if catalog.is_foreign(model) else catalog.load_workload(model).engine_class
    return "Fit" if name == "Engine" and "fit" in spec.cell.options else name


def _end_because_of_peer(spec: LaunchSpec, buffer: StampBuffer) -> None:
    if buffer.phase == Phase.MEASURED:
        os._exit(0)  # The report is written.
    reporting.write(spec, {"cause": PEER_GONE})
    os._exit(1)

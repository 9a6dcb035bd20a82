"""Run a supervisor: one per rank, for a whole session. It starts zygotes and runs its rank of each launch."""

import os
import secrets
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from stepmark.devices.facts import Gpu
from stepmark.devices.nvml import here
from stepmark.engines._device import CPU, GPU
from stepmark.errors import CannotRun
from stepmark.launch.pace import Tell
from stepmark.launch.spawn import Zygote, child_environment, is_poisoned
from stepmark.launch.spec import LaunchSpec, Placement, RankGroup, RankOutcome
from stepmark.launch.supervise import run_child
from stepmark.orchestrate.cores import Seat, Share, share_of
from stepmark.orchestrate.drivers import check_drivers
from stepmark.orchestrate.folders import leased_ports, own_folders, run_folder, scratch_folder
from stepmark.orchestrate.gpus import LocalGpus, check_gpus, without_figures_if_faulty
from stepmark.orchestrate.references import keep_cause, reference_file
from stepmark.orchestrate.switchboard import Endpoint, T
from stepmark.plan.blocks import Launch
from stepmark.plan.foreign import WorkloadFile
from stepmark.plan.warm import warm_measurement
from stepmark.results.record import Failure
from stepmark.scenario.model import Scenario, Training
from stepmark.terms import DeviceKind


@dataclass(frozen=True)
class Place:
    """Say where a supervisor runs: its rank among all ranks, and among those of its pod or machine, and on which GPU.

    The ranks of one pod or machine follow each other. `gpu` is None where the session runs on CPU cores.
    """

    rank: int
    ranks: int
    local_rank: int
    local_ranks: int
    host: str
    gpu: Gpu | None = None


@dataclass(frozen=True)
class Settings:
    """Hold what a session is told at its start.

    `device` is what its cells train on; references of parity checks may run on CPU cores all the same. `tells` says
    whether rank 0 reports the progress of launches to the driver. `workload_file` is the person's own file with the
    workload, on this machine, or None.
    """

    run_id: str
    scenario: Scenario
    fresh_process: bool
    device: DeviceKind = "cpu"
    tells: bool = False
    workload_file: WorkloadFile | None = None


class Channel(Protocol):
    """Connect a supervisor to the others through the switchboard's calls and a barrier of all ranks."""

    def next_block(self, index: int) -> tuple[Launch, ...] | None: ...
    def exchange(self, what: str, rank: int, count: int, own: T) -> list[T]: ...
    def submit(self, launch_id: str, outcome: RankOutcome) -> None: ...
    def has_failed(self, launch_id: str) -> bool: ...
    def tell(self, launch_id: str, steps: int, seconds: float) -> None: ...
    def barrier(self) -> None: ...


def supervise(place: Place, settings: Settings, channel: Channel) -> None:
    """Run this supervisor's rank of every block until the driver offers no more."""
    with own_folders(settings.run_id) if place.local_rank == 0 else ExitStack():
        if place.gpu is not None and place.local_rank == 0:
            check_drivers(settings.scenario, here(), node_name())
        seat = Seat.here(node_name(), place.local_ranks, place.gpu)
        seats = channel.exchange("seats", place.rank, place.ranks, seat)  # By now all nodes have made their folders.
        check_gpus(seats)
        rank = _Rank(place, share_of(place.rank, seats), _local_gpus(place, seats), settings, channel)
        index = 0
        while (block := channel.next_block(index)) is not None:
            _serve_block(rank, block)
            index += 1
        channel.barrier()  # From here on no rank needs the folders.


@dataclass(frozen=True)
class _Rank:
    """Hold what does not change in a session."""

    place: Place
    share: Share
    gpus: LocalGpus
    settings: Settings
    channel: Channel


def _local_gpus(place: Place, seats: list[Seat]) -> LocalGpus:
    if place.gpu is None:
        return LocalGpus(None)
    first = place.rank - place.local_rank
    return LocalGpus.of(here(), seats[first : first + place.local_ranks])


def _serve_block(rank: _Rank, block: tuple[Launch, ...]) -> None:
    channel = rank.channel
    with _zygotes(rank, block) as problems:
        channel.barrier()  # Nothing starts or imports while a launch is measured.
        for launch in block:
            if rank.place.rank < launch.cell.processes:
                channel.submit(launch.id, _run(rank, launch, problems))
            channel.barrier()  # Ranks that have no part in this launch wait here, not in a collective.
        if rank.place.local_rank == 0:
            _remove_caches(rank, block)


def node_name() -> str:
    """Return the name of the machine that this rank is on.

    A pod has its own host name, so the controller tells it its node's.
    """
    return os.environ.get("STEPMARK_NODE_NAME") or socket.gethostname()


_ZygoteKey = tuple[str, DeviceKind]
"""An engine, and the kind of device that its launches train on: a zygote is imported for one kind."""


def _key(launch: Launch) -> _ZygoteKey:
    return launch.cell.engine, launch.cell.device


def _socket(settings: Settings, launch: Launch, key: _ZygoteKey) -> Path:
    """Return the socket of the zygote with this key in the block of this launch.

    Launches that are made again have their own zygotes.
    """
    engine, device = key[0].replace("/", "."), key[1]
    return run_folder(settings.run_id) / f"{engine}-{device}-{launch.block}-{launch.attempt}.sock"


@contextmanager
def _zygotes(rank: _Rank, block: tuple[Launch, ...]) -> Iterator[dict[_ZygoteKey, str]]:
    """Start fresh zygotes of the block's engines, all at once, and stop them at the end.

    There is one per engine, kind of device and node, started by the node's first supervisor. Yield those that did not
    start, with the reason.
    """
    problems: dict[_ZygoteKey, str] = {}
    if rank.place.local_rank != 0 or rank.settings.fresh_process:
        yield problems
        return
    started = {
        key: Zygote(key[0], _socket(rank.settings, block[0], key), _environment(rank, key))
        for key in dict.fromkeys(map(_key, block))
    }
    try:
        for key, zygote in started.items():
            try:
                zygote.wait_until_ready()
            except CannotRun as error:
                problems[key] = str(error)
        yield problems
    finally:
        for zygote in started.values():
            zygote.stop()


def _environment(rank: _Rank, key: _ZygoteKey, scratch: Path | None = None) -> dict[str, str]:
    engine, device = key
    gpus = rank.gpus.uuids if device == "gpu" else ()
    scratch = scratch or scratch_folder(rank.settings.run_id)
    return child_environment(engine, rank.share.count, scratch, device, gpus)


def _cache(rank: _Rank, launch: Launch) -> Path | None:
    """Return the folder of what a start compiles, made if it is missing. Other launches share the run's."""
    if launch.start is None:
        return None
    folder = scratch_folder(rank.settings.run_id) / launch.start.cache
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _remove_caches(rank: _Rank, block: tuple[Launch, ...]) -> None:
    """Remove what the starts of a block have compiled, which none of another block finds."""
    for launch in block:
        if launch.start is not None:
            shutil.rmtree(scratch_folder(rank.settings.run_id) / launch.start.cache, ignore_errors=True)


def _zygote_of(rank: _Rank, launch: Launch) -> Path | None:
    """Return the socket of the zygote that the launch is forked from, or None where it has a process of its own."""
    socket = _socket(rank.settings, launch, _key(launch))
    return None if rank.settings.fresh_process or is_poisoned(socket) else socket


def _run(rank: _Rank, launch: Launch, problems: dict[_ZygoteKey, str]) -> RankOutcome:
    place, started_at, clock = rank.place, time.time(), time.monotonic()
    gpus = _gpus_of(rank, launch)
    gpus.wait_until_idle()
    with leased_ports(2) as ports:
        own = Endpoint(place.host, ports[0], ports[1], secrets.token_hex(16))
        endpoints = rank.channel.exchange(launch.id, place.rank, launch.cell.processes, own)
        problem = problems.get(_key(launch)) or _why_no_room(place, launch) or gpus.lost()
        if problem is not None:
            outcome = RankOutcome(rank=place.rank, failure=Failure(rank=place.rank, cause=problem))
        else:
            outcome = _run_child(rank, launch, endpoints, gpus)
    return outcome.model_copy(
        update={
            "forked": _zygote_of(rank, launch) is not None,
            "started_at": started_at,
            "wall_seconds": time.monotonic() - clock,
        }
    )


def _gpus_of(rank: _Rank, launch: Launch) -> LocalGpus:
    """Return the GPUs that this rank's process of the launch sees: one for each of its workers, none on CPU cores."""
    count = launch.cell.replicas if launch.cell.device == "gpu" else 0
    return rank.gpus.part(rank.place.local_rank, count)


def _why_no_room(place: Place, launch: Launch) -> str | None:
    if launch.cell.replicas <= place.local_ranks:
        return None
    return (
        f"expected {launch.cell.workers} places on one node for the workers of one process, found {place.local_ranks}"
    )


def _run_child(rank: _Rank, launch: Launch, endpoints: list[Endpoint], gpus: LocalGpus) -> RankOutcome:
    watch, spec = gpus.watch(), _spec(rank, launch, endpoints, gpus)
    tell = _teller(rank, launch) if rank.place.rank == 0 else None
    outcome = run_child(
        spec,
        _zygote_of(rank, launch),
        _environment(rank, _key(launch), _cache(rank, launch)),
        lambda: rank.channel.has_failed(launch.id),
        tell,
        watch,
    )
    outcome = without_figures_if_faulty(outcome, gpus, watch)
    keep_cause(spec, outcome)
    shutil.rmtree(spec.placement.directory, ignore_errors=True)
    return outcome


def _teller(rank: _Rank, launch: Launch) -> Tell | None:
    """Report at once that the launch runs, and return the function that reports its pace; None where nobody is told."""
    if not rank.settings.tells or launch.probe is not None or launch.warm:
        return None
    tell = partial(rank.channel.tell, launch.id)
    tell(0, 0.0)
    return tell


def _spec(rank: _Rank, launch: Launch, endpoints: list[Endpoint], gpus: LocalGpus) -> LaunchSpec:
    place, settings, scenario = rank.place, rank.settings, rank.settings.scenario.spec
    first = endpoints[0]
    return LaunchSpec(
        launch=launch,
        workload=scenario.workload if launch.start is None else launch.start.workload,
        data=scenario.data,
        training=_training(scenario.training, launch),
        measurement=warm_measurement(scenario, launch.block) if launch.warm else scenario.measurement,
        group=RankGroup(
            rank=place.rank,
            addresses=tuple(f"{endpoint.host}:{endpoint.group_port}" for endpoint in endpoints),
            control_address=f"{first.host}:{first.control_port}",
            control_token=first.control_token,
        ),
        placement=Placement(
            node=node_name(),
            cpus=rank.share.cpus(launch.cell.replicas),
            device=GPU if launch.cell.device == "gpu" else CPU,
            gpus=gpus.uuids,
            directory=run_folder(settings.run_id) / f"{launch.id}.r{place.rank}",
        ),
        reference=reference_file(settings.scenario, settings.run_id, launch),
        requested_at_ns=time.perf_counter_ns(),
        workload_file=settings.workload_file,
    )


def _training(training: Training, launch: Launch) -> Training:
    """Return the launch's training settings. A reference makes the micro-batches of all workers that it stands for."""
    if launch.probe is None:
        return training
    return training.model_copy(update={"gradient_accumulation": launch.probe.accumulate})

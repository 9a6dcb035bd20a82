"""A supervisor: one for each rank, for a whole session. Starts zygotes, runs its rank of each launch, else waits."""

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

from stepmark.errors import CannotRun
from stepmark.launch.pace import Tell
from stepmark.launch.proof import FAILED_SUFFIX
from stepmark.launch.spawn import Zygote, child_environment
from stepmark.launch.spec import LaunchSpec, ProbeSpec, RankOutcome
from stepmark.launch.supervise import run_child
from stepmark.orchestrate.cores import Seat, Share, share_of
from stepmark.orchestrate.folders import leased_ports, own_folders, run_folder, scratch_folder
from stepmark.orchestrate.switchboard import Endpoint, T
from stepmark.plan.blocks import Launch, Probe
from stepmark.plan.probes import timed_reference
from stepmark.results.record import Failure
from stepmark.scenario.model import Scenario


@dataclass(frozen=True)
class Place:
    """Where a supervisor runs: its rank among all, and among those of its pod or machine."""

    rank: int
    ranks: int
    local_rank: int
    local_ranks: int
    host: str


@dataclass(frozen=True)
class Settings:
    """What a session is told once. `tells`: rank 0 tells the driver how each launch goes."""

    run_id: str
    scenario: Scenario
    fresh_process: bool
    tells: bool = False


class Channel(Protocol):
    """A supervisor's way to the others: the switchboard's calls, and a barrier of all ranks."""

    def next_block(self, index: int) -> tuple[Launch, ...] | None: ...
    def exchange(self, what: str, rank: int, count: int, own: T) -> list[T]: ...
    def submit(self, launch_id: str, outcome: RankOutcome) -> None: ...
    def has_failed(self, launch_id: str) -> bool: ...
    def tell(self, launch_id: str, steps: int, seconds: float) -> None: ...
    def barrier(self) -> None: ...


def supervise(place: Place, settings: Settings, channel: Channel) -> None:
    """Serve blocks until the driver has no more."""
    with own_folders(settings.run_id) if place.local_rank == 0 else ExitStack():
        seats = channel.exchange("seats", place.rank, place.ranks, Seat.here(_node_name(), place.local_ranks))
        rank = _Rank(place, share_of(place.rank, seats), settings, channel)  # and everybody has made their folders
        index = 0
        while (block := channel.next_block(index)) is not None:
            _serve_block(rank, block)
            index += 1
        channel.barrier()  # nobody needs the folders any more


@dataclass(frozen=True)
class _Rank:
    """What does not change in a session."""

    place: Place
    share: Share
    settings: Settings
    channel: Channel


def _serve_block(rank: _Rank, block: tuple[Launch, ...]) -> None:
    channel = rank.channel
    with _zygotes(rank, block) as problems:
        channel.barrier()  # nothing starts or imports while something is measured
        for launch in block:
            if rank.place.rank < launch.cell.processes:
                channel.submit(launch.id, _run(rank, launch, problems))
            channel.barrier()  # ranks outside a smaller world wait here, not in a collective


def _node_name() -> str:
    """The machine that this rank is on. A pod has a host name of its own, and the controller tells it its node's."""
    return os.environ.get("STEPMARK_NODE_NAME") or socket.gethostname()


def _socket(settings: Settings, engine: str, launch: Launch) -> Path:
    """Of the zygote that this launch is forked from. Launches that are made again have zygotes of their own."""
    return run_folder(settings.run_id) / f"{engine}-{launch.block}-{launch.attempt}.sock"


@contextmanager
def _zygotes(rank: _Rank, block: tuple[Launch, ...]) -> Iterator[dict[str, str]]:
    """Fresh zygotes of the block's engines, one a node, started by the node's first supervisor, imported at once.

    Yields the engines whose zygote did not start, with the reason.
    """
    problems: dict[str, str] = {}
    if rank.place.local_rank != 0 or rank.settings.fresh_process:
        yield problems
        return
    started = {
        engine: Zygote(engine, _socket(rank.settings, engine, block[0]), _environment(rank, engine))
        for engine in dict.fromkeys(launch.cell.engine for launch in block)
    }
    try:
        for engine, zygote in started.items():
            try:
                zygote.wait_until_ready()
            except CannotRun as error:
                problems[engine] = str(error)
        yield problems
    finally:
        for zygote in started.values():
            zygote.stop()


def _environment(rank: _Rank, engine: str) -> dict[str, str]:
    return child_environment(engine, rank.share.count, scratch_folder(rank.settings.run_id))


def _run(rank: _Rank, launch: Launch, problems: dict[str, str]) -> RankOutcome:
    place, started_at, clock = rank.place, time.time(), time.monotonic()
    with leased_ports(2) as ports:
        own = Endpoint(place.host, ports[0], ports[1], secrets.token_hex(16))
        endpoints = rank.channel.exchange(launch.id, place.rank, launch.cell.processes, own)
        problem = problems.get(launch.cell.engine) or _why_no_room(place, launch)
        if problem is not None:
            outcome = RankOutcome(rank=place.rank, failure=Failure(rank=place.rank, cause=problem))
        else:
            outcome = _run_child(rank, launch, endpoints)
    return outcome.model_copy(update={"started_at": started_at, "wall_seconds": time.monotonic() - clock})


def _why_no_room(place: Place, launch: Launch) -> str | None:
    if launch.cell.workers // launch.cell.processes <= place.local_ranks:
        return None
    return (
        f"{launch.cell.workers} workers in one process: expected so many places on one node, found {place.local_ranks}"
    )


def _run_child(rank: _Rank, launch: Launch, endpoints: list[Endpoint]) -> RankOutcome:
    spec, settings = _spec(rank, launch, endpoints), rank.settings
    zygote = None if settings.fresh_process else _socket(settings, launch.cell.engine, launch)
    environment = _environment(rank, launch.cell.engine)
    tell = _teller(rank, launch) if rank.place.rank == 0 else None
    outcome = run_child(spec, zygote, environment, lambda: rank.channel.has_failed(launch.id), tell)
    _keep_cause(settings, launch, outcome)
    shutil.rmtree(spec.directory, ignore_errors=True)
    return outcome


def _teller(rank: _Rank, launch: Launch) -> Tell | None:
    """Says at once that the launch runs, and then its pace."""
    if not rank.settings.tells or launch.probe is not None:
        return None
    tell = partial(rank.channel.tell, launch.id)
    tell(0, 0.0)
    return tell


def _spec(rank: _Rank, launch: Launch, endpoints: list[Endpoint]) -> LaunchSpec:
    place, settings = rank.place, rank.settings
    cell, measurement = launch.cell, settings.scenario.spec.measurement
    training, probe = settings.scenario.spec.training, launch.probe
    return LaunchSpec(
        launch_id=launch.id,
        block=launch.block,
        engine=cell.engine,
        strategy=cell.strategy,
        variant=cell.variant,
        execution=cell.execution,
        precision=cell.precision,
        options=cell.options,
        accumulate=training.gradient_accumulation if probe is None else probe.accumulate,
        clip_global_norm=training.clip_global_norm,
        model=settings.scenario.spec.workload.model,
        params=settings.scenario.spec.workload.params,
        data_source=settings.scenario.spec.data.source,
        global_batch=cell.global_batch,
        rank=place.rank,
        node=_node_name(),
        world_size=cell.processes,
        replicas=cell.workers // cell.processes,
        addresses=tuple(f"{endpoint.host}:{endpoint.group_port}" for endpoint in endpoints),
        control_address=f"{endpoints[0].host}:{endpoints[0].control_port}",
        control_token=endpoints[0].control_token,
        cpus=rank.share.cpus(cell.workers // cell.processes),
        seed=measurement.seed,
        launch_seed=launch.seed,
        warmup_steps=measurement.warmup_steps,
        warmup_seconds=measurement.warmup_seconds,
        min_steps=measurement.min_steps,
        max_steps=measurement.max_steps,
        min_seconds=measurement.min_seconds,
        launch_timeout_seconds=measurement.launch_timeout_seconds,
        step_timeout_seconds=measurement.step_timeout_seconds,
        max_taken_share=measurement.max_taken_share,
        memory_limit_bytes=measurement.memory_limit_bytes,
        probe=_probe_spec(settings, probe) if probe is not None else None,
        proof=_proof_file(settings, launch),
        times_parts=probe is None,
        directory=run_folder(settings.run_id) / f"{launch.id}.r{place.rank}",
        requested_at_ns=time.perf_counter_ns(),
    )


def _probe_spec(settings: Settings, probe: Probe) -> ProbeSpec:
    return ProbeSpec(file=_probe_file(settings, probe), writes=probe.writes, logits=probe.logits)


def _proof_file(settings: Settings, launch: Launch) -> Path | None:
    """What a timed launch is compared with after its windows."""
    reference = timed_reference(settings.scenario, launch.cell) if launch.probe is None else None
    return _probe_file(settings, reference.probe) if reference is not None and reference.probe is not None else None


def _keep_cause(settings: Settings, launch: Launch, outcome: RankOutcome) -> None:
    """Why a reference is not there, for the launches that would be compared with it."""
    if launch.probe is not None and launch.probe.writes and outcome.failure is not None:
        _probe_file(settings, launch.probe).with_suffix(FAILED_SUFFIX).write_text(outcome.failure.cause)


def _probe_file(settings: Settings, probe: Probe) -> Path:
    """On disk: a large model's gradients and weights, gone with the run."""
    return scratch_folder(settings.run_id) / probe.file

"""Give each rank of a session its GPU, and check once that all ranks can be compared: one GPU each, and all alike."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Self

from stepmark.devices.facts import Gpu, gpu_of
from stepmark.devices.nvml import Nvml
from stepmark.devices.topology import peers
from stepmark.devices.visible import visible_gpus
from stepmark.devices.watch import GpuWatch, Occupancy, wait_until_idle
from stepmark.errors import CannotRun
from stepmark.launch.spec import RankOutcome
from stepmark.orchestrate.cores import Seat
from stepmark.results.device import DeviceFacts
from stepmark.results.record import Failure


def nth_gpu(nvml: Nvml, local_rank: int, node: str) -> Gpu:
    """Return the GPU of a local rank where nobody hands GPUs out: the visible one of the same number.

    Raises:
        CannotRun: fewer GPUs are visible now, or the driver has lost this one.
    """
    visible = visible_gpus(nvml)
    if local_rank >= len(visible):
        raise CannotRun(
            f"local rank {local_rank} on node {node}: expected a GPU of its own, found {len(visible)} GPUs. One may "
            "have vanished since the plan was made: `nvidia-smi -L` lists them."
        )
    return gpu_of(nvml, visible[local_rank])


def check_gpus(seats: Sequence[Seat]) -> None:
    """Check the GPUs of all ranks, in rank order. Every rank makes this check, with the same result.

    Where the run's profile accepts shared devices, a GPU may be a part of one, and several ranks may have the same.

    Raises:
        CannotRun: two ranks have one GPU, GPUs are unlike, or one is only a part of a GPU (MIG).
    """
    ranked = [(rank, seat, seat.gpu) for rank, seat in enumerate(seats) if seat.gpu is not None]
    for rank, seat, gpu in ranked:
        if gpu.facts.mig and not gpu.facts.shared:
            raise CannotRun(
                f"rank {rank} on node {seat.node}: expected a whole GPU, found {gpu.facts.name} in MIG mode "
                f"({gpu.uuid}). Switch MIG off there, or choose other GPUs."
            )
    for (one, seat, gpu), (other, other_seat, other_gpu) in combinations(ranked, 2):
        where = f"rank {one} on node {seat.node} and rank {other} on node {other_seat.node}"
        if (seat.node, gpu.uuid) == (other_seat.node, other_gpu.uuid) and not gpu.facts.shared:
            raise CannotRun(
                f"{where}: expected a GPU for each, found one for both ({gpu.uuid}). Time slicing, or a name that "
                "stands twice in CUDA_VISIBLE_DEVICES, shares it: use GPUs that are not shared."
            )
        if _kind(gpu) != _kind(other_gpu):
            raise CannotRun(
                f"{where}: expected GPUs of one kind, found {_kind(gpu)} and {_kind(other_gpu)}. A step waits for the "
                "slowest rank: choose nodes or GPUs that are alike."
            )


def _kind(gpu: Gpu) -> str:
    memory = gpu.facts.memory_bytes
    return gpu.facts.name + (f" with {memory / 2**30:.0f} GiB" if memory is not None else "")


@dataclass(frozen=True)
class LocalGpus:
    """Hold the GPUs of the ranks of one pod or machine, in the order of local ranks, as one of its supervisors sees it.

    `baselines` says what was on each of them when the session began. A session on CPU cores has no GPU.
    """

    nvml: Nvml | None
    gpus: tuple[Gpu, ...] = ()
    baselines: tuple[Occupancy, ...] = ()

    @classmethod
    def of(cls, nvml: Nvml, seats: Sequence[Seat]) -> Self:
        """Return the GPUs of these seats, with how they are connected."""
        gpus = [seat.gpu for seat in seats if seat.gpu is not None]
        uuids = {local_rank: gpu.uuid for local_rank, gpu in enumerate(gpus)}
        known = tuple(replace(gpu, facts=_with_peers(nvml, gpu, uuids)) for gpu in gpus)
        return cls(nvml, known, tuple(Occupancy.of(nvml, gpu.uuid) for gpu in known))

    @property
    def uuids(self) -> tuple[str, ...]:
        """Return the UUIDs of all of them."""
        return tuple(gpu.uuid for gpu in self.gpus)

    def part(self, first: int, count: int) -> Self:
        """Return the GPUs of `count` local ranks from `first` on."""
        end = first + count
        return replace(self, gpus=self.gpus[first:end], baselines=self.baselines[first:end])

    def wait_until_idle(self) -> None:
        """Wait, for at most 10 s, until an earlier launch has left these GPUs."""
        if self.nvml is not None and self.gpus:
            wait_until_idle(self.nvml, dict(zip(self.uuids, self.baselines, strict=True)))

    def lost(self) -> str | None:
        """Return which GPU the driver does not describe any more, in words, or None."""
        for gpu in self.gpus:
            if self.nvml is not None and self.nvml.name(gpu.uuid) is None:
                return (
                    f"expected the GPU {gpu.uuid} of the session's start, found that the driver has lost it. Its "
                    "reason is in the kernel's log (Xid)."
                )
        return None

    def watch(self) -> GpuWatch | None:
        """Return what watches these GPUs during a launch that starts now, or None where there are none."""
        if self.nvml is None or not self.gpus:
            return None
        return GpuWatch(self.nvml, self.uuids, self.gpus[0].facts)


def without_figures_if_faulty(outcome: RankOutcome, gpus: LocalGpus, watch: GpuWatch | None = None) -> RankOutcome:
    """Return the outcome of a launch; without figures, and with the cause, where a GPU of it broke in the middle.

    A GPU is broken that has reported a fault to `watch`, or that the driver has lost. A framework that notices dies of
    an error that says less, which is kept behind the cause.
    """
    why = watch.fault() if watch is not None else None
    why = why or gpus.lost()
    if why is None or (outcome.failure is not None and outcome.failure.cause == why):
        return outcome
    ended = f" Its process ended with: {outcome.failure.cause}" if outcome.failure is not None else ""
    tail = outcome.failure.stderr_tail if outcome.failure is not None else ()
    failure = Failure(rank=outcome.rank, cause=f"{why}{ended}"[:2000], stderr_tail=tail)
    nothing = {"report": None, "probe": None, "start": None, "learning": None, "steps_npz": b""}
    return outcome.model_copy(update=nothing | {"failure": failure})


def _with_peers(nvml: Nvml, gpu: Gpu, uuids: dict[int, str]) -> DeviceFacts:
    return gpu.facts.model_copy(update={"peers": peers(nvml, gpu.uuid, uuids)})

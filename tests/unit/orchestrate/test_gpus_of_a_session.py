"""Each rank has one whole GPU of its own, all alike; what breaks this is said with ranks and nodes."""

import pytest

from fakes.gpus import FakeGpu, FakeNvml, some_gpus, uuid
from stepmark.devices.facts import SHARED_VARIABLE, gpu_of
from stepmark.errors import CannotRun
from stepmark.launch.spec import RankOutcome
from stepmark.orchestrate.cores import Seat
from stepmark.orchestrate.gpus import LocalGpus, check_gpus, nth_gpu, without_figures_if_faulty
from stepmark.results.record import Failure


def seats(*places: tuple[str, FakeGpu]) -> list[Seat]:
    return [Seat(node, (0,), 1, gpu_of(FakeNvml([gpu]), gpu.uuid)) for node, gpu in places]


A, B = some_gpus(2)
SMALLER = FakeGpu(uuid(2), memory_mib=40_960)
OTHER = FakeGpu(uuid(3), name="NVIDIA L4")


@pytest.mark.parametrize(
    ("places", "words"),
    [
        ([("n", A), ("n", A)], f"rank 0 on node n and rank 1 on node n: expected a GPU for each.*{A.uuid}.*slicing"),
        ([("n", A), ("m", OTHER)], "rank 0 on node n and rank 1 on node m: expected GPUs of one kind.*and NVIDIA L4"),
        ([("n", A), ("m", SMALLER)], "expected GPUs of one kind, found .*with 80 GiB and .*with 40 GiB"),
        ([("n", A), ("m", FakeGpu(uuid(4), mig=1))], "rank 1 on node m: expected a whole GPU, found .* in MIG mode"),
        ([("n", FakeGpu("MIG-1-2"))], "rank 0 on node n: expected a whole GPU"),
    ],
)  # fmt: skip
def test_gpus_that_cannot_be_compared_are_refused(places: list[tuple[str, FakeGpu]], words: str) -> None:
    with pytest.raises(CannotRun, match=words):
        check_gpus(seats(*places))


@pytest.mark.parametrize("gpu", [A, FakeGpu(uuid(4), mig=1)])
def test_a_profile_that_accepts_shared_devices_gives_them_marked_to_several_ranks(
    gpu: FakeGpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SHARED_VARIABLE, "true")
    found = seats(("n", gpu), ("n", gpu))
    check_gpus(found)
    assert all(seat.gpu is not None and seat.gpu.facts.shared for seat in found)


def test_like_gpus_are_accepted_and_so_are_ranks_without_any() -> None:
    check_gpus(seats(("n", A), ("n", B), ("m", A)))
    check_gpus([Seat("n", (0,), 1), Seat("n", (0,), 1)])


def test_a_rank_beyond_the_visible_gpus_says_that_one_is_gone() -> None:
    with pytest.raises(CannotRun, match="local rank 1 on node n: expected a GPU of its own, found 1 GPUs"):
        nth_gpu(FakeNvml([A]), 1, "n")


def local(nvml: FakeNvml) -> LocalGpus:
    return LocalGpus.of(nvml, [Seat("n", (0,), 1, gpu_of(nvml, uuid)) for uuid in nvml.gpus()])


def test_a_process_with_several_workers_has_the_gpus_of_all_and_the_others_their_own() -> None:
    gpus = local(FakeNvml(some_gpus(3)))
    assert gpus.part(0, 3).uuids == (uuid(0), uuid(1), uuid(2))
    assert gpus.part(1, 1).uuids == (uuid(1),)
    assert gpus.part(0, 0).uuids == ()


def test_connections_are_known_by_local_rank() -> None:
    [first, second] = local(FakeNvml(some_gpus(2, links=4))).gpus
    assert (first.facts.peers, second.facts.peers) == ({"1": "NV4 p2p"}, {"0": "NV4 p2p"})


def test_a_lost_gpu_is_named_and_the_others_are_not() -> None:
    nvml = FakeNvml(some_gpus(2))
    gpus = local(nvml)
    nvml.them[1].lost = 1
    assert gpus.part(0, 1).lost() is None
    assert uuid(1) in (gpus.lost() or "")


@pytest.mark.parametrize("failure", [None, Failure(rank=1, cause="CUDA error: unspecified launch failure")])
def test_a_gpu_that_is_lost_during_a_launch_leaves_no_figures_and_both_causes(failure: Failure | None) -> None:
    nvml = FakeNvml(some_gpus(2))
    gpus = local(nvml)
    outcome = RankOutcome(rank=1, failure=failure, steps_npz=b"figures")
    assert without_figures_if_faulty(outcome, gpus) is outcome
    nvml.them[1].lost = 1
    found = without_figures_if_faulty(outcome, gpus)
    assert (found.report, found.steps_npz) == (None, b"")
    assert found.failure is not None
    assert uuid(1) in found.failure.cause
    assert (failure is None) == ("unspecified launch failure" not in found.failure.cause)


@pytest.mark.parametrize(("xid", "fails"), [(48, True), (31, False)])
def test_a_gpu_that_reports_its_own_fault_during_a_launch_leaves_no_figures(xid: int, fails: bool) -> None:
    nvml = FakeNvml(some_gpus(2))
    gpus = local(nvml)
    watch = gpus.watch()
    assert watch is not None
    nvml.them[1].xid = xid
    watch.look(stepping=True)
    outcome = RankOutcome(rank=1, steps_npz=b"figures")
    found = without_figures_if_faulty(outcome, gpus, watch)
    assert (found is outcome) != fails
    assert (found.steps_npz == b"") == fails
    cause = found.failure.cause if found.failure is not None else ""
    assert cause.startswith(f"{uuid(1)} reported Xid 48") == fails
    assert without_figures_if_faulty(found, gpus, watch) == found  # The cause is not told twice.


def test_a_launch_on_cpu_cores_watches_nothing() -> None:
    assert local(FakeNvml(some_gpus(1))).part(0, 0).watch() is None
    assert LocalGpus(None).watch() is None

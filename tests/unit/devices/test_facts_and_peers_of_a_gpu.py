import pytest

from fakes.gpus import FakeGpu, FakeNvml, some_gpus, uuid
from stepmark.devices.facts import gpu_of
from stepmark.devices.topology import peers
from stepmark.errors import CannotRun

A, B, C = map(uuid, range(3))


def test_a_gpu_is_described_by_its_driver() -> None:
    gpu = gpu_of(FakeNvml(some_gpus(1, links=18, cores=0b110)), A)
    assert (gpu.uuid, gpu.cores) == (A, {1, 2})
    facts = gpu.facts.model_dump()
    expected = {
        "kind": "gpu", "name": "NVIDIA H100 80GB HBM3", "uuid_tail": "00000000", "compute_capability": "9.0",
        "memory_bytes": 81_559 << 20, "cuda_driver": "13.0", "power_limit_watts": 600, "mig": False, "nvlinks": 18,
        "sm_clock_most_hz": 1_980_000_000, "pcie_generation": 5, "pcie_width": 16, "application_clocks": None,
        "mps": None, "pcie_bytes_per_second": 63_015_384_615, "nvlink_generation": 4,
        "nvlink_bytes_per_second": 450_000_000_000,
    }  # fmt: skip
    assert {name: facts[name] for name in expected} == expected


def test_a_gpu_without_nvlinks_has_neither_their_generation_nor_what_they_carry() -> None:
    facts = gpu_of(FakeNvml(some_gpus(1)), A).facts
    assert (facts.nvlinks, facts.nvlink_generation, facts.nvlink_bytes_per_second) == (0, None, None)


def test_a_part_of_a_gpu_in_mig_mode_is_known_by_its_name() -> None:
    assert gpu_of(FakeNvml([FakeGpu("MIG-11111111-2222")]), "MIG-11111111-2222").facts.mig


def test_a_gpu_that_the_driver_has_lost_is_refused_in_words() -> None:
    with pytest.raises(CannotRun, match=r"GPU GPU-.*: expected a GPU that the driver can describe, found none.*Xid 79"):
        gpu_of(FakeNvml(some_gpus(1, lost=1)), A)


def test_a_pipe_of_mps_in_the_environment_says_that_the_gpu_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", "/tmp/mps")
    assert gpu_of(FakeNvml(some_gpus(1)), A).facts.mps


def test_links_to_a_switch_reach_every_peer() -> None:
    assert peers(FakeNvml(some_gpus(3, links=18)), A, {0: A, 1: B, 2: C}) == {"1": "NV18 p2p", "2": "NV18 p2p"}


def test_direct_links_reach_the_peer_at_their_end_only() -> None:
    nvml = FakeNvml(some_gpus(3))
    nvml.ends[A] = ("00000000:02:00.0",) * 4
    assert peers(nvml, A, {1: B, 2: C}) == {"1": "NV4 p2p", "2": "NODE p2p"}


def test_a_peer_whose_memory_cannot_be_read_says_only_the_way() -> None:
    class NoP2p(FakeNvml):
        def can_read(self, gpu: str, other: str) -> bool | None:
            return False

    assert peers(NoP2p(some_gpus(2)), A, {1: B}) == {"1": "NODE"}


def test_a_connection_that_is_unknown_is_left_out() -> None:
    assert peers(FakeNvml(some_gpus(2, lost=1)), A, {1: B}) == {}

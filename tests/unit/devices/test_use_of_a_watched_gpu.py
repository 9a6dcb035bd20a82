import pytest

from fakes.gpus import MIB, FakeNvml, some_gpus, uuid
from stepmark.devices.watch import GpuWatch, Occupancy, wait_until_idle
from stepmark.results.device import DeviceFacts, DeviceUse

A, B = uuid(0), uuid(1)
FACTS = DeviceFacts(kind="gpu", name="NVIDIA L4", uuid_tail="1")


def watched(nvml: FakeNvml, *gpus: str) -> GpuWatch:
    """Watch a launch that starts, steps at two looks, and has ended."""
    watch = GpuWatch(nvml, gpus, FACTS)
    watch.look(stepping=False)
    for gpu in nvml.them:
        gpu.processes, gpu.used_mib, gpu.capped_ms = 1, 9_000, 100
    watch.look(stepping=True)
    for gpu in nvml.them:
        gpu.used_mib, gpu.capped_ms, gpu.ecc_errors = 10_000, 350, 2
    watch.look(stepping=True)
    watch.look(stepping=False)
    for gpu in nvml.them:
        gpu.capped_ms = 9_000
    watch.look(stepping=False)
    return watch


def test_samples_are_of_the_steps_and_counters_grow_between_the_first_and_the_last() -> None:
    watch = watched(FakeNvml(some_gpus(1)), A)
    use = watch.use()
    assert (use.sm_clock_mean_hz, use.sm_clock_least_hz, use.power_mean_watts) == (1.5e9, 1.5e9, 350.5)
    assert (use.temperature_first_celsius, use.temperature_last_celsius, use.utilization_mean_ratio) == (45, 45, 0.98)
    assert use.capped_seconds["hardware-thermal"] == pytest.approx(0.25)
    assert use.capped_seconds["software-power"] == 0
    assert "sync-boost" not in use.capped_seconds  # the driver does not count it
    assert (use.ecc_corrected, use.ecc_uncorrected) == (0, 2)
    assert use.counted_seconds is not None
    assert (use.processes_before, use.processes_most) == (0, 1)
    assert use.memory_used_before_bytes == 500 * MIB
    assert watch.used_peak_bytes == 10_000 * MIB


def test_of_several_gpus_memory_and_errors_are_added_and_the_worst_cap_counts() -> None:
    watch = watched(FakeNvml(some_gpus(2)), A, B)
    assert watch.used_peak_bytes == 20_000 * MIB
    assert watch.use().ecc_uncorrected == 4
    assert watch.use().capped_seconds["hardware-thermal"] == pytest.approx(0.25)
    assert watch.use().processes_most == 1


def test_a_gpu_that_has_vanished_leaves_everything_unknown() -> None:
    watch = watched(FakeNvml(some_gpus(1, lost=1)), A)
    assert watch.use().model_copy(update={"counted_seconds": None}) == DeviceUse()
    assert watch.used_peak_bytes is None


def test_a_launch_that_never_stepped_has_only_its_processes_and_memory() -> None:
    watch = GpuWatch(FakeNvml(some_gpus(1)), (A,), FACTS)
    watch.look(stepping=False)
    assert watch.use() == DeviceUse(processes_before=0, processes_most=0, memory_used_before_bytes=500 * MIB, xids=())


def test_a_fault_of_the_gpu_is_told_and_one_of_its_program_is_only_recorded() -> None:
    nvml = FakeNvml(some_gpus(1, xid=48))  # It was reported before the launch.
    watch = GpuWatch(nvml, (A,), FACTS)
    watch.look(stepping=True)
    nvml.them[0].xid = 13
    watch.look(stepping=True)
    assert watch.fault() is None
    nvml.them[0].xid = 79
    nvml.them[0].lost = 1
    watch.look(stepping=False)
    assert (watch.fault() or "").startswith(f"{A} reported Xid 79 (fell off the bus) during the windows. ")
    assert watch.use().xids == (13, 79)


@pytest.mark.parametrize(("looks", "when"), [([], "before"), ([True], "during"), ([True, False], "after")])
def test_a_fault_is_told_with_when_it_was(looks: list[bool], when: str) -> None:
    nvml = FakeNvml(some_gpus(2))
    watch = GpuWatch(nvml, (A, B), FACTS)
    for stepping in looks:
        watch.look(stepping)
    nvml.them[1].xid = 48
    watch.look(stepping=False)
    assert f"{B} reported Xid 48 (double-bit memory error) {when} the windows" in (watch.fault() or "")


def test_a_driver_that_reports_no_errors_to_programs_leaves_them_unknown() -> None:
    watch = GpuWatch(FakeNvml(some_gpus(1, xid=-1)), (A,), FACTS)
    watch.look(stepping=True)
    assert (watch.fault(), watch.use().xids) == (None, None)


def test_a_launch_starts_when_the_one_before_has_left_the_gpu() -> None:
    nvml = FakeNvml(some_gpus(1))
    baseline = Occupancy.of(nvml, A)
    nvml.them[0].processes, nvml.them[0].used_mib = 1, 5_000
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            nvml.them[0].processes = 0
        if len(waits) == 5:
            nvml.them[0].used_mib = 520

    wait_until_idle(nvml, {A: baseline}, sleep)
    assert len(waits) == 5


def test_a_launch_does_not_wait_longer_than_ten_seconds() -> None:
    nvml = FakeNvml(some_gpus(1))
    baseline = Occupancy.of(nvml, A)
    nvml.them[0].processes = 1
    clock = [0.0]

    def sleep(seconds: float) -> None:
        clock[0] += seconds

    wait_until_idle(nvml, {A: baseline}, sleep, lambda: clock[0])
    assert clock[0] == pytest.approx(10, abs=0.2)

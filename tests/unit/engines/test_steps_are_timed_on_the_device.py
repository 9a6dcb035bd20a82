"""A device is played that does nothing until somebody waits for it: the host runs ahead as far as it is let."""

from stepmark.engines._device import STEPS_AHEAD
from stepmark.engines._torch_events import StepEvents


class Device:
    def __init__(self) -> None:
        self.queued = self.reached = 0.0  # milliseconds of work
        self.made = 0

    def event(self) -> "Mark":
        self.made += 1
        return Mark(self)


class Mark:
    def __init__(self, device: Device) -> None:
        self.device, self.at = device, -1.0

    def record(self) -> None:
        self.at = self.device.queued

    def synchronize(self) -> None:
        self.device.reached = max(self.device.reached, self.at)

    def elapsed_time(self, later: "Mark") -> float:
        assert 0 <= self.at <= later.at <= self.device.reached
        return later.at - self.at


def run(events: StepEvents, device: Device, milliseconds: list[float]) -> None:
    for each in milliseconds:
        events.before_step()
        device.queued += each
        events.after_step()


def test_every_step_has_its_own_time_and_they_add_up_to_the_window() -> None:
    device = Device()
    events, times = StepEvents(device.event), [1.0 + index % 7 for index in range(50)]
    device.queued = 123.0  # the warm-up
    events.mark(50)
    run(events, device, times)
    assert events.nanoseconds() == [round(each * 1e6) for each in times]
    assert sum(events.nanoseconds() or []) == (device.queued - 123.0) * 1e6


def test_the_host_is_never_more_than_eight_steps_ahead() -> None:
    device, ahead = Device(), []
    events = StepEvents(device.event)
    events.mark(40)
    for _ in range(40):
        run(events, device, [1.0])
        ahead.append(device.queued - device.reached)
    assert max(ahead) == STEPS_AHEAD == 8
    assert ahead[-1] == STEPS_AHEAD  # It does not wait for more than it must.


def test_a_wait_that_is_left_out_is_seen() -> None:
    device, ahead = Device(), []
    events = StepEvents(device.event)
    events.mark(40)
    for _ in range(40):
        device.queued += 1.0
        events.after_step()
        ahead.append(device.queued - device.reached)
    assert max(ahead) > STEPS_AHEAD


def test_no_event_is_made_inside_a_window_and_a_later_one_uses_them_again() -> None:
    device = Device()
    events = StepEvents(device.event)
    events.mark(20)
    assert device.made == 21
    run(events, device, [1.0] * 20)
    events.mark(10)
    run(events, device, [3.0] * 10)
    assert device.made == 21
    assert events.nanoseconds() == [3_000_000] * 10


def test_steps_outside_a_window_are_not_timed() -> None:
    device = Device()
    events = StepEvents(device.event)
    run(events, device, [1.0] * 20)
    assert events.nanoseconds() is None
    events.mark(3)
    run(events, device, [2.0] * 3 + [5.0] * 20)
    assert events.nanoseconds() == [2_000_000] * 3


def test_a_window_that_ended_early_has_the_steps_that_were_made() -> None:
    device = Device()
    events = StepEvents(device.event)
    events.mark(10)
    run(events, device, [4.0] * 2)
    assert events.nanoseconds() == [4_000_000] * 2

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepmark.analysis.economics import BreakEven, break_even, startup_estimate, startup_total_seconds
from stepmark.analysis.intervals import Estimate
from stepmark.results.record import StartupSeconds


def about(value: float, spread: float | None = 0.0) -> Estimate:
    if spread is None:
        return Estimate(value=value, low=None, high=None)
    return Estimate(value=value, low=value * (1 - spread), high=value * (1 + spread))


def between(eager: tuple[float, float], compiled: tuple[float, float], spread: float | None = 0.0) -> BreakEven:
    (s1, t1), (s2, t2) = eager, compiled
    return break_even("eager", about(s1, spread), about(t1, spread), "compiled", about(s2, spread), about(t2, spread))


POSITIVE = st.floats(0.001, 100)


@given(s1=POSITIVE, t1=POSITIVE, s2=POSITIVE, t2=POSITIVE)
def test_the_candidate_with_the_slower_start_is_ahead_from_the_break_even_on_and_not_before(
    s1: float, t1: float, s2: float, t2: float
) -> None:
    found = between((s1, t1), (s2, t2))
    start, step = {"eager": (s1, t1), "compiled": (s2, t2)}, 1e-6 * max(s1, s2)
    (s_slow, t_slow), (s_fast, t_fast) = start[found.slower_start], start[found.faster_start]
    assert s_slow >= s_fast
    if found.steps is None:
        assert t_slow >= t_fast
    else:
        assert s_slow + found.steps * t_slow <= s_fast + found.steps * t_fast + step
        earlier = found.steps - 1
        assert earlier < 0 or s_slow + earlier * t_slow >= s_fast + earlier * t_fast - step


def test_a_compiler_that_takes_20_s_and_saves_5_ms_pays_after_4000_steps() -> None:
    found = between((5, 0.025), (25, 0.020))
    assert (found.slower_start, found.steps) == ("compiled", 4000)
    assert found.seconds == pytest.approx(25 + 80)
    assert "ahead after 4,000 steps" in found.text


def test_the_order_of_the_candidates_does_not_matter() -> None:
    one = break_even("a", about(5), about(0.025), "b", about(25), about(0.02))
    assert one == break_even("b", about(25), about(0.02), "a", about(5), about(0.025))


def test_a_candidate_with_a_slower_start_and_no_faster_steps_never_catches_up() -> None:
    found = between((5, 0.020), (25, 0.020))
    assert (found.steps, found.seconds) == (None, None)
    assert "never catches up" in found.text


def test_the_interval_of_the_break_even_follows_from_the_ends_of_the_other_intervals() -> None:
    found = between((5, 0.030), (25, 0.020), spread=0.05)
    assert found.low == math.ceil((25 * 0.95 - 5 * 1.05) / (0.030 * 1.05 - 0.020 * 0.95))
    assert found.high == math.ceil((25 * 1.05 - 5 * 0.95) / (0.030 * 0.95 - 0.020 * 1.05))
    assert found.bounded


def test_the_interval_of_a_break_even_may_have_no_upper_end() -> None:
    found = between((5, 0.025), (25, 0.020), spread=0.15)
    assert found.steps == 4000
    assert found.high is None
    assert found.bounded
    assert "to never" in found.text


def test_a_break_even_of_figures_without_intervals_has_no_interval() -> None:
    found = between((5, 0.025), (25, 0.020), spread=None)
    assert (found.steps, found.low, found.high, found.bounded) == (4000, None, None, False)


PARTS = StartupSeconds(spawn=1, import_=2, group=4, build=8, first_step=16)


def test_a_start_is_the_sum_of_its_parts_with_or_without_the_zygotes_import() -> None:
    assert startup_total_seconds(PARTS) == 31
    assert startup_total_seconds(PARTS, imported=False) == 29


def test_starts_are_averaged_over_blocks() -> None:
    found = startup_estimate({0: PARTS, 1: PARTS})
    assert found is not None
    assert (found.value, found.low) == (pytest.approx(31), pytest.approx(31))
    assert startup_estimate({}) is None
    assert startup_estimate({0: StartupSeconds(spawn=0, import_=0, group=0, build=0, first_step=0)}) is None

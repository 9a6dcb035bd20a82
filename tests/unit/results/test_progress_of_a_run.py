"""The board of progress: the driver writes it, and the live endpoint and the heartbeats read it."""

import numpy as np

from stepmark.plan.cells import Cell
from stepmark.results.record import NO_STEPS, LaunchHeader, LaunchRecord
from stepmark.telemetry.progress import Board

CELL = Cell(
    candidate="a", engine="sleeper", strategy="parallel", variant=None, execution="eager", levels=("default",),
    precision="float32", workers=2, processes=2, batch_per_worker=8,
)  # fmt: skip


def record(steps: int) -> LaunchRecord:
    header = LaunchHeader(
        launch_id="b000.a", scenario_digest="0" * 64, cell=CELL, block=0, position=0, launcher="bare", forked=True,
        started_at="", wall_seconds=1,
    )  # fmt: skip
    return LaunchRecord(header, np.zeros((2, steps), dtype=np.int64) if steps else NO_STEPS)


def test_before_the_plan_begins_its_length_is_unknown() -> None:
    assert Board("s", launches_done=3).now().progress().model_dump() == {
        "launches_done": 3,
        "launches_total": None,
        "cell": None,
        "global_samples_per_second": None,
    }


def test_launches_that_were_stored_before_count_as_done() -> None:
    board = Board("s", launches_done=3)
    board.planned(4)
    board.finished(record(10))
    assert (board.now().launches_done, board.now().launches_planned) == (4, 7)


def test_throughput_is_that_of_all_workers_now_and_unknown_between_launches() -> None:
    board = Board("s", 0)
    board.planned(2)
    board.told(CELL, 0, 0.0)
    assert (board.now().cell, board.now().global_samples_per_second) == (CELL, None)
    board.told(CELL, 50, 0.5)
    board.told(CELL, 100, 2.0)
    assert board.now().global_samples_per_second == 16 * 50
    board.finished(record(200))
    assert (board.now().cell, board.now().global_samples_per_second) == (None, None)


def test_every_step_counts_once_whether_it_was_reported_live_or_not() -> None:
    board = Board("s", 0)
    board.planned(3)
    board.told(CELL, 0, 0.0)
    board.told(CELL, 150, 1.0)
    board.finished(record(200))
    board.finished(record(30))
    board.told(CELL, 0, 0.0)
    board.told(CELL, 7, 1.0)
    board.finished(record(0))  # the launch failed after 7 steps
    assert board.now().steps == {CELL: 237}


def test_launches_that_are_made_again_lengthen_the_plan_at_once() -> None:
    board = Board("s", launches_done=3)
    board.planned(4)
    board.finished(record(1))
    board.added(2)
    assert (board.now().launches_done, board.now().launches_planned) == (4, 9)


def test_further_blocks_lengthen_the_plan() -> None:
    board = Board("s", 0)
    board.planned(1)
    for _ in range(2):
        board.finished(record(1))
    assert (board.now().launches_done, board.now().launches_planned) == (2, 2)

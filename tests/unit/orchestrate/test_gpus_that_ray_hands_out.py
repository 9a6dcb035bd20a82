"""A worker's GPU is the one that Ray names for it, by number or by UUID, looked up in the driver's list."""

from types import SimpleNamespace

import pytest

from conftest import needs
from fakes.gpus import FakeNvml, some_gpus, uuid
from stepmark.errors import CannotRun
from stepmark.orchestrate import ray_train


def give(monkeypatch: pytest.MonkeyPatch, names: list[str]) -> None:
    needs("ray")
    context = SimpleNamespace(get_accelerator_ids=lambda: {"GPU": names})
    monkeypatch.setattr("ray.get_runtime_context", lambda: context)
    monkeypatch.setattr(ray_train, "here", lambda: FakeNvml(some_gpus(2)))


@pytest.mark.parametrize(("names", "number"), [(["1"], 1), ([uuid(0)], 0)])
def test_its_name_is_looked_up(monkeypatch: pytest.MonkeyPatch, names: list[str], number: int) -> None:
    give(monkeypatch, names)
    assert ray_train._own_gpu(0).uuid == uuid(number)


@pytest.mark.parametrize(("names", "given"), [([], "none"), (["7"], "7")])
def test_a_gpu_that_is_not_there_is_refused_with_rank_and_node(
    monkeypatch: pytest.MonkeyPatch, names: list[str], given: str
) -> None:
    give(monkeypatch, names)
    monkeypatch.setenv("STEPMARK_NODE_NAME", "node-a")
    words = f"rank 3 on node node-a: expected a GPU from Ray, found {given}, and 2 GPUs by the driver"
    with pytest.raises(CannotRun, match=words):
        ray_train._own_gpu(3)

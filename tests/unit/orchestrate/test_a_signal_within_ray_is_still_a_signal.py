from typing import Any

import pytest

from conftest import needs, scenario_document
from stepmark.errors import Stopped
from stepmark.orchestrate.rank import Settings
from stepmark.orchestrate.ray_train import RaySession
from stepmark.scenario.load import scenario_from_object


def test_an_exception_of_the_signal_handler_is_raised_though_ray_wraps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    needs("ray")
    import ray

    def get(_: object) -> Any:
        raise SystemError("returned a result with an exception set") from Stopped(15)

    monkeypatch.setattr(ray, "get", get)
    session = RaySession(1, Settings("0" * 16, scenario_from_object(scenario_document()), fresh_process=False))
    with pytest.raises(Stopped, match="15"):
        session._get(None)

"""An engine with the option `fit` has a class for it, which a launch takes, and departures of its own."""

from types import SimpleNamespace
from typing import Any

import pytest

from stepmark import catalog
from stepmark.launch.joining import engine_class

WITH_FIT = [
    name for name in catalog.engine_names() if catalog.load_engine(name).SUPPORT.options.get("fit", "none") is None
]


def spec(model: str, *options: str) -> Any:
    return SimpleNamespace(workload=SimpleNamespace(model=model), cell=SimpleNamespace(options=options))


@pytest.mark.parametrize("engine", WITH_FIT)
def test_an_engine_with_fit_has_a_loop_that_makes_a_window_in_one_call(engine: str) -> None:
    fit: Any = catalog.load_engine(engine).Fit  # type: ignore[attr-defined]
    assert callable(fit.run_loop)
    assert fit.execution_steps == 1


def test_a_launch_takes_it_where_the_candidate_asks_for_fit() -> None:
    assert engine_class(spec("mlp", "fit")) == "Fit"
    assert engine_class(spec("mlp", "channels-last")) == "Engine"
    assert engine_class(spec("collective", "fit")) == "Collectives"
    assert engine_class(spec("other/model", "fit")) == "Fit"


def test_with_fit_keras_on_torch_trains_with_keras_own_optimiser() -> None:
    departures = catalog.load_engine("keras-torch").SUPPORT.departures_of
    plain, fitted = (
        {one.knob for one in departures("single", None, "eager", "float32", "cpu", "adamw", options)}
        for options in ((), ("fit",))
    )
    assert {"optimiser", "training loop", "AdamW's betas"} <= plain - fitted
    assert {"what model.fit is asked for", "AdamW's beta_1"} <= fitted - plain

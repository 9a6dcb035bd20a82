"""The part `spec.target` of a scenario: the accuracy that a model is trained to."""

from typing import Annotated, Self

from pydantic import ConfigDict, Field, model_validator

from stepmark.strict import StrictModel, in_cel


class Target(StrictModel):
    """The accuracy on test samples that `stepmark time-to-accuracy` trains to. No other verb reads it."""

    model_config = ConfigDict(
        json_schema_extra=in_cel(("self.evaluateEverySteps <= self.maxSteps", "evaluateEverySteps of at most maxSteps"))
    )

    accuracy: Annotated[float, Field(gt=0, le=1)] | None = None
    """Share of the test labels that are to be predicted right; absent: the scenario is of timed steps only."""
    evaluate_every_steps: Annotated[int, Field(ge=1, le=5000)] = 20
    """The accuracy is measured after every so many steps, outside the clock."""
    max_steps: Annotated[int, Field(ge=1, le=5000)] = 500
    """Steps of every launch: training goes on after the target, so that final accuracies can be compared."""

    @model_validator(mode="after")
    def _is_evaluated(self) -> Self:
        if self.evaluate_every_steps > self.max_steps:
            raise ValueError(f"evaluateEverySteps of at most maxSteps, {self.max_steps}")
        return self

"""Look through a model for what cannot be measured: layers that are random in training. No framework is imported."""

from typing import Any

from stepmark.errors import ModelRefused

_SHOWN = 3
# Attributes that hold the probability of torch's Dropout, its attention and recurrent layers, torchvision's
# StochasticDepth, and timm's DropPath.
_RATES = ("p", "drop_prob", "dropout")


def steady_torch(model: Any) -> Any:
    """Return the torch model.

    Raises:
        ModelRefused: one of its modules drops values at random.
    """
    refuse_random([name or type(module).__name__ for name, module in model.named_modules() if _drops(module)])
    return model


def _drops(module: Any) -> bool:
    """Return whether the module is one that drops values at a rate that is not zero."""
    kind = type(module).__name__
    if not ("Drop" in kind or kind in ("StochasticDepth", "MultiheadAttention", "LSTM", "GRU", "RNN")):
        return False
    return any(isinstance(rate := getattr(module, name, 0), float) and rate > 0 for name in _RATES)


def refuse_random(names: list[str]) -> None:
    """Refuse a model with layers that are random in training, if there are any.

    Raises:
        ModelRefused: there is at least one name.
    """
    if names:
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        raise ModelRefused(
            "the model is random in training, so no two engines would compute the same. Build it with a rate of 0 in: "
            f"{', '.join(names[:_SHOWN])}{more}"
        )


def shared_weights(model: Any) -> list[str]:
    """Return which names of a torch model are the same weights, as 'second is first'."""
    first: dict[int, str] = {}
    found = []
    for name, parameter in model.named_parameters(remove_duplicate=False):
        if first.setdefault(id(parameter), name) != name:
            found.append(f"{name} is {first[id(parameter)]}")
    return found

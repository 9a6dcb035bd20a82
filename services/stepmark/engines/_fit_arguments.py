"""Make what Keras' `fit` is given: its list of callbacks, and a data set.

Their classes derive from Keras', so they are made when Keras is imported.
"""

from collections.abc import Callable
from functools import cache
from typing import Any


def told_callbacks(model: Any, steps: int, begun: Callable[[], None], ended: Callable[[dict[str, Any]], None]) -> Any:
    """Return the list of callbacks that `fit` would make itself for one epoch, which also calls `begun` and `ended`.

    `begun` is called before the first batch, and `ended` after each execution, with its logs. A callback of one's own
    would change how `fit` runs on JAX and torch: it would no longer leave the logs to a thread.
    """
    return _told()(begun, ended, add_history=True, model=model, verbose=0, epochs=1, steps=steps)


def batches_in_turn(batches: list[Any], first: int, steps: int) -> Any:
    """Return a data set of `steps` batches, from batch `first` modulo their number on."""
    return _in_turn()(batches, first, steps)


@cache
def _told() -> type[Any]:
    import keras

    class Told(keras.callbacks.CallbackList):  # type: ignore[misc]
        def __init__(self, begun: Callable[[], None], ended: Callable[[dict[str, Any]], None], **known: Any) -> None:
            super().__init__(None, **known)
            self._begun, self._ended = begun, ended

        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            if batch == 0:
                self._begun()
            super().on_train_batch_begin(batch, logs)

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            super().on_train_batch_end(batch, logs)
            self._ended(logs)

    return Told


@cache
def _in_turn() -> type[Any]:
    import keras

    class InTurn(keras.utils.PyDataset):  # type: ignore[misc]
        def __init__(self, batches: list[Any], first: int, steps: int) -> None:
            super().__init__()
            self._batches, self._first, self._steps = batches, first, steps

        def __len__(self) -> int:
            return self._steps

        def __getitem__(self, index: int) -> Any:
            return self._batches[(self._first + index) % len(self._batches)]

    return InTurn

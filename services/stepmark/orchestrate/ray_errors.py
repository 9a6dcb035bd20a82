"""Say in one line what ended a Ray Train run."""

from stepmark.errors import CannotRun


def one_line(error: BaseException) -> str:
    """Return the error's text in one line of at most 300 characters."""
    return " ".join(str(error).split())[:300]


def first_cause(error: BaseException) -> str:
    """Return which worker failed, from Ray Train's own error: a dead worker before those that only noticed its end."""
    failures: dict[int, BaseException] = getattr(error, "worker_failures", {})
    for rank, failure in sorted(failures.items(), key=lambda item: "HealthCheck" not in type(item[1]).__name__):
        refused = getattr(failure, "_base_exc", None)  # Ray Train keeps what the worker raised beside its traceback.
        if isinstance(refused, CannotRun):
            return f"Ray worker of rank {rank}: {refused}"
        return f"Ray worker of rank {rank} failed: {type(failure).__name__}: {one_line(failure)}"
    return f"{type(error).__name__}: {one_line(error)}"

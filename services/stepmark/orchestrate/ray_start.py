"""Set up Ray's environment before Ray is imported."""

import os
import secrets
import sys

from stepmark.errors import CannotRun

_ENVIRONMENT = {
    "RAY_TRAIN_V2_ENABLED": "1",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",  # The end of a worker is noticed this late; the default is 2 s.
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_prestart_worker_first_driver": "0",  # It would start one worker for each core, before any is asked for.
    "RAY_worker_niceness": "0",  # The default is 15, which our launches would inherit.
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
}


def prepare_environment() -> None:
    """Set Ray's environment variables before Ray is imported, since it reads them then.

    They stay set for as long as this process lives, because Ray keeps what it has read.

    Raises:
        CannotRun: this process uses Ray by itself.
    """
    ray = sys.modules.get("ray")
    own = "RAY_ADDRESS" not in os.environ
    if ray is not None and (ray.is_initialized() or (own and os.environ.get("RAY_AUTH_MODE") != "token")):
        raise CannotRun(
            "launcher ray: expected a process that does not use Ray by itself, found one that has imported it. "
            "Measure in a new process or kernel, or choose the launcher bare."
        )
    os.environ.update(_ENVIRONMENT)
    if own:
        # The token is kept in memory. By default Ray would write one into the user's home.
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))

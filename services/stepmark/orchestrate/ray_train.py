"""Run a session inside one Ray Train run: Ray places one worker per rank, and each worker is a thin supervisor.

`max_failures`, preemption and controller retries are 0, since a silent restart would give a wrong number. Nothing is
reported through `ray.train.report`, which may block for 2 s; outcomes go through the switchboard actor between
launches.
"""

import os
import signal
import threading
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

import psutil

from stepmark.devices.facts import Gpu, gpu_of
from stepmark.devices.nvml import here
from stepmark.devices.visible import gpus_named, visible_gpus
from stepmark.errors import CannotRun, Interrupted
from stepmark.launch.spec import RankOutcome
from stepmark.orchestrate.folders import owned, ray_folder
from stepmark.orchestrate.rank import Place, Settings, node_name, supervise
from stepmark.orchestrate.ray_errors import first_cause, one_line
from stepmark.orchestrate.ray_start import prepare_environment
from stepmark.orchestrate.switchboard import Arrival, Switchboard, T, Telling
from stepmark.plan.blocks import Launch

if TYPE_CHECKING:
    from ray.actor import ActorHandle

_LOOPBACK = "127.0.0.1"
_END_SECONDS = 15


class _RayChannel:
    """Connect a supervisor to the switchboard actor and to Ray Train's barrier."""

    def __init__(self, switchboard: "ActorHandle[Any]") -> None:
        self._switchboard = switchboard

    def _call(self, method: str, *arguments: object) -> Any:
        import ray

        return ray.get(getattr(self._switchboard, method).remote(*arguments))

    def next_block(self, index: int) -> tuple[Launch, ...] | None:
        return self._call("next_block", index)

    def exchange(self, what: str, rank: int, count: int, own: T) -> list[T]:
        return self._call("exchange", what, rank, count, own)

    def submit(self, launch_id: str, outcome: RankOutcome) -> None:
        self._call("submit", launch_id, outcome)

    def has_failed(self, launch_id: str) -> bool:
        return self._call("has_failed", launch_id)

    def tell(self, launch_id: str, steps: int, seconds: float) -> None:
        # This does not wait for an answer, so that the launch's watchdog is not delayed.
        self._switchboard.tell.remote(launch_id, steps, seconds)

    def barrier(self) -> None:
        import ray.train.collective

        ray.train.collective.barrier()


def _train_function(config: dict[str, Any]) -> None:
    """Run a supervisor in a worker of Ray Train."""
    import ray
    import ray.train

    context, settings = ray.train.get_context(), config["settings"]
    place = Place(
        rank=context.get_world_rank(),
        ranks=context.get_world_size(),
        local_rank=context.get_local_rank(),
        local_ranks=context.get_local_world_size(),
        host=ray.util.get_node_ip_address(),
        gpu=_own_gpu(context.get_world_rank()) if settings.device == "gpu" else None,
    )
    supervise(place, settings, _RayChannel(config["switchboard"]))


def _own_gpu(rank: int) -> Gpu:
    """Return the GPU that Ray has given to this worker.

    Ray names GPUs as CUDA_VISIBLE_DEVICES does where it runs, or by their numbers where that is not set.

    Raises:
        CannotRun: Ray named no GPU, or one that the driver does not know.
    """
    import ray

    names = ray.get_runtime_context().get_accelerator_ids()["GPU"]
    gpus = gpus_named(here(), names)
    if not gpus:
        given = ", ".join(names) or "none"
        raise CannotRun(
            f"rank {rank} on node {node_name()}: expected a GPU from Ray, found {given}, and {len(here().gpus())} GPUs "
            "by the driver. Start Ray's nodes with as many GPUs as `nvidia-smi -L` lists: one that is handed out twice "
            "(time slicing) counts once."
        )
    return gpu_of(here(), gpus[0])


class RaySession:
    """Run `workers` workers of Ray Train, in the cluster of RAY_ADDRESS or in a new one on this machine."""

    launcher: Literal["ray", "bare"] = "ray"

    def __init__(self, workers: int, settings: Settings) -> None:
        self._workers, self._settings = workers, settings
        self._folder = ray_folder(settings.run_id)
        self._owned = ExitStack()
        self._problem: str | None = None
        self._thread = threading.Thread(target=self._fit, daemon=True)

    def __enter__(self) -> Self:
        prepare_environment()
        import ray

        try:
            handler = signal.getsignal(signal.SIGTERM)
            self._start_ray()
            if threading.current_thread() is threading.main_thread():  # Only there has Ray set a handler.
                signal.signal(signal.SIGTERM, handler)  # Ray's own handler would exit at once.
            self._check_places()
            actor: Any = ray.remote(Switchboard)
            self._switchboard = actor.options(num_cpus=0, max_concurrency=4 * self._workers + 8).remote()
        except BaseException:
            self._stop()
            raise
        self._thread.start()
        return self

    def _start_ray(self) -> None:
        import ray

        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
        if "RAY_ADDRESS" in os.environ:
            ray.init(address="auto", **quiet)
            return
        self._owned.enter_context(owned(self._folder))
        ray.init(
            address="local",
            num_cpus=max(self._workers, len(os.sched_getaffinity(0))),
            num_gpus=len(visible_gpus(here())) if self._settings.device == "gpu" else 0,
            include_dashboard=False,
            object_store_memory=128 << 20,
            _node_ip_address=_LOOPBACK,
            _temp_dir=str(self._folder / "r"),  # Ray lets every user open it, but our folder above it does not.
            **quiet,
        )

    def _check_places(self) -> None:
        import ray

        kinds = {"CPU": "CPUs"} | ({"GPU": "GPUs"} if self._settings.device == "gpu" else {})
        for kind, plural in kinds.items():
            found = int(ray.cluster_resources().get(kind, 0))
            if found < self._workers:
                raise CannotRun(
                    f"expected a Ray cluster with {self._workers} {plural}, one for each worker, found {found}. "
                    "Lower scale.workers, or add nodes."
                )

    def _fit(self) -> None:
        from ray.train.v2.api.config import FailureConfig, RunConfig, ScalingConfig
        from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

        # These actors take seconds to import. The one for Ray's data sets serves nothing here. The other frees what a
        # dead controller has held, which only a cluster needs that goes on.
        needless = {"DatasetsCallback"}
        if "RAY_ADDRESS" not in os.environ:
            needless.add("PlacementGroupCleanerCallback")

        class Trainer(DataParallelTrainer):
            def _create_default_callbacks(self) -> list[Any]:
                return [one for one in super()._create_default_callbacks() if type(one).__name__ not in needless]

        on_gpu = self._settings.device == "gpu"
        trainer = Trainer(
            _train_function,
            train_loop_config={"settings": self._settings, "switchboard": self._switchboard},
            scaling_config=ScalingConfig(
                num_workers=self._workers,
                use_gpu=on_gpu,
                resources_per_worker={"CPU": 1, "GPU": 1} if on_gpu else {"CPU": 1},
            ),
            run_config=RunConfig(  # type: ignore[arg-type]
                name=self._settings.run_id,
                storage_path=str(self._folder),
                failure_config=FailureConfig(max_failures=0, controller_failure_limit=0, max_preemption_failures=0),
            ),
        )
        try:
            trainer.fit()
        except BaseException as error:
            self._problem = first_cause(error)

    def offer(self, block: tuple[Launch, ...]) -> None:
        """Have this block measured next."""
        self._get(self._switchboard.offer.remote(block))

    def take(self, timeout_seconds: float) -> list[Arrival | Telling]:
        """Return the outcomes and progress reports since the last call, waiting for some up to the time-out.

        Raises:
            Interrupted: the Ray Train run or Ray has ended, and nothing more will come.
        """
        arrivals: list[Arrival | Telling] = self._get(self._switchboard.take.remote(timeout_seconds))
        if not arrivals and not self._thread.is_alive():
            raise Interrupted(self._problem or "the Ray Train run ended early")
        return arrivals

    def _get(self, reference: Any) -> Any:
        import ray

        try:
            return ray.get(reference)
        except ray.exceptions.RayError as error:
            raise Interrupted(f"the Ray cluster was lost: {one_line(error)}") from None
        except SystemError as error:  # Ray checks for signals itself and knows only Ctrl-C, so `Stopped` is the cause.
            raise error.__cause__ or error from None

    def finish(self) -> None:
        """Offer no more blocks, and wait until the supervisors have ended."""
        self._get(self._switchboard.offer.remote(None))
        self._thread.join()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread.is_alive():
            self._end_fit()
        self._stop()

    def _end_fit(self) -> None:
        """End Ray Train before Ray, because a thread still inside `fit` when Ray shuts down ends the whole process.

        Only the workers of a Ray that we started are below this process; those of another cluster end with our
        connection.
        """
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                if "RayTrainWorker" in " ".join(process.cmdline()):
                    process.kill()
        self._thread.join(_END_SECONDS)

    def _stop(self) -> None:
        import ray

        ray.shutdown()
        self._owned.close()

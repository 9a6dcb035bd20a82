"""The part `spec.scale` of a scenario: worker counts and batch sizes."""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from stepmark.strict import EACH_ONCE, EachOnce, StrictModel, in_cel


class Scale(StrictModel):
    """Worker counts, and which batch size stays constant as they grow."""

    model_config = ConfigDict(
        json_schema_extra=in_cel(
            (
                "self.mode == 'weak'"
                " ? has(self.batchPerWorker) != has(self.batchesPerWorker) && !has(self.globalBatch)"
                " : has(self.globalBatch) && !has(self.batchPerWorker) && !has(self.batchesPerWorker)",
                "batchPerWorker or batchesPerWorker alone where mode is weak, globalBatch alone where it is strong",
            ),
            (
                "!has(self.globalBatch) || self.workers.all(n, self.globalBatch % n == 0)",
                "globalBatch to be a multiple of every worker count",
            ),
        )
    )

    workers: Annotated[
        tuple[Annotated[int, Field(ge=1, le=4096)], ...],
        Field(min_length=1, max_length=16, json_schema_extra=EACH_ONCE),
        EachOnce,
    ] = (1,)
    """Numbers of data-parallel workers: one process each, except under the strategy `mirrored`."""
    mode: Literal["weak", "strong"] = "weak"
    """weak: batchPerWorker stays constant; strong: globalBatch stays constant."""
    batch_per_worker: Annotated[int, Field(ge=1, le=65536)] | None = None
    """Samples per step and worker (weak scaling)."""
    batches_per_worker: (
        Annotated[
            tuple[Annotated[int, Field(ge=1, le=65536)], ...],
            Field(min_length=2, max_length=16, json_schema_extra=EACH_ONCE),
            EachOnce,
        ]
        | None
    ) = None
    """Several batches in place of batchPerWorker: each has cells of its own, which are compared within it."""
    global_batch: Annotated[int, Field(ge=1, le=16777216)] | None = None
    """Samples per step over all workers (strong scaling)."""

    @model_validator(mode="after")
    def _batch_fits_mode(self) -> Self:
        given = {"batchPerWorker": self.batch_per_worker, "batchesPerWorker": self.batches_per_worker}
        given["globalBatch"] = self.global_batch
        found = [name for name, value in given.items() if value is not None]
        wanted = ["batchPerWorker", "batchesPerWorker"] if self.mode == "weak" else ["globalBatch"]
        if len(found) != 1 or found[0] not in wanted:
            raise ValueError(f"{' or '.join(wanted)} alone, since mode is {self.mode}")
        if self.global_batch is not None and any(self.global_batch % n for n in self.workers):
            raise ValueError(f"globalBatch to be a multiple of every worker count in {list(self.workers)}")
        return self

    def batches_of(self, workers: int) -> tuple[int, ...]:
        """Return every batch at this number of workers, in samples per step and worker."""
        if self.batches_per_worker is not None:
            return self.batches_per_worker
        return (self.batch_per_worker if self.batch_per_worker is not None else (self.global_batch or 0) // workers,)

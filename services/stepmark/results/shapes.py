"""What a record says of the shapes of batches, and of what was compiled again for them."""

from typing import Annotated

from pydantic import Field

from stepmark.results.base import Count, RecordModel, Seconds


class BatchTokens(RecordModel):
    """The tokens of one rank's share of each batch, in the order in which the steps use them in turn.

    Step i, counted from the first of the warm-up, uses batch i modulo their number. `real` are the tokens without
    padding, and `padded` those with it.
    """

    real: Annotated[tuple[Count, ...], Field(min_length=1, max_length=64)]
    padded: Annotated[tuple[Count, ...], Field(min_length=1, max_length=64)]


class Recompilations(RecordModel):
    """What a framework counted of tracing and compiling the step anew, from its start to the end of its windows.

    `recompiles` is how often it traced or compiled the step again after the first time, `graph_breaks` where torch had
    to end a graph, and `compile_seconds` what all its compilations took. None is unknown.
    """

    recompiles: Count
    graph_breaks: Count | None = None
    compile_seconds: Seconds | None = None

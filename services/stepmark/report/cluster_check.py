"""Show the verdict of a cluster check on a terminal: what was found first, then the slowest and the fastest of each."""

from collections.abc import Iterator

from stepmark.analysis.cluster_check import ClusterCheck, Rates
from stepmark.analysis.intervals import Estimate
from stepmark.report.collectives import limit_text
from stepmark.report.words import percent

_UNITS = {"product": "GFLOP/s"}
_GIGA = 1e9


def lines(check: ClusterCheck) -> Iterator[str]:
    """Yield the lines of the verdict, without line breaks in them."""
    yield f"{check.verdict}: {check.workers} ranks in {check.launches} launches"
    yield from (f"  {finding}" for finding in check.findings)
    yield from (f"  What to do: {remedy}" for remedy in check.remedies)
    for rates in check.rates:
        yield from _rates(rates)


def _rates(rates: Rates) -> Iterator[str]:
    unit = _UNITS.get(rates.what, "GB/s")
    known = sorted(zip(rates.rates, rates.names, strict=True), key=lambda pair: pair[0].value)
    (slowest, name), (fastest, other) = known[0], known[-1]
    if len(known) == 1:
        yield f"{rates.what}: {_rate(slowest)} {unit} ({name})"
        if rates.limit is not None:
            yield f"  {percent(slowest.value / rates.limit.bytes_per_second)} of {limit_text(rates.limit)}"
        return
    seen = (
        "no slowness up to 100 % would have been found"
        if rates.detectable is None
        else f"a slowness of {percent(rates.detectable)} is found in 4 of 5 checks"
    )
    yield f"{rates.what}: slowest {_rate(slowest)} {unit} ({name})"
    yield f"  fastest {_rate(fastest)} {unit} ({other}); {seen}"


def _rate(rate: Estimate) -> str:
    if rate.low is None or rate.high is None:
        return f"{rate.value / _GIGA:.3g}"
    return f"{rate.value / _GIGA:.3g} [{rate.low / _GIGA:.3g}, {rate.high / _GIGA:.3g}]"

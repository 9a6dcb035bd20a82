"""Say what a run found in sentences that a person can repeat. Every report, page and status begins with them."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from stepmark.analysis.compare import Comparison, Verdict
from stepmark.analysis.intervals import Estimate
from stepmark.analysis.summary import Summary
from stepmark.report import machine, words

NOTHING_TO_COMPARE = "Nothing was compared. Add a candidate, or set `compare` to executions, precisions or options."
_SENTENCES_MOST = 4  # with more comparisons, each pair of candidates has one sentence
_DECIDED_FIRST: tuple[Verdict, ...] = ("faster", "slower", "no measurable difference", "inconclusive")


def headlines(comparisons: Iterable[Comparison]) -> list[str]:
    """Return a sentence for each comparison, decided ones first.

    Many comparisons give one sentence for each pair of candidates: the number of each verdict where the pair has
    several comparisons, and the comparison itself where it has one.
    """
    found = sorted(comparisons, key=lambda one: one.verdict == "inconclusive")
    if not found:
        return [NOTHING_TO_COMPARE]
    if len(found) <= _SENTENCES_MOST:
        return [sentence(one, found) for one in found]
    pairs: dict[tuple[str, str], list[Comparison]] = defaultdict(list)
    for one in found:
        pairs[words.sides(one)].append(one)
    return [
        sentence(of_pair[0], found) if len(of_pair) == 1 else _pair(ours, theirs, of_pair)
        for (ours, theirs), of_pair in pairs.items()
    ]


def of_run(summary: Summary) -> list[str]:
    """Return a run's headlines, and how busy the machine was where that may have left something open."""
    busy = machine.busy(summary)
    return [*headlines(summary.comparisons), *([busy] if busy else [])]


def sentence(one: Comparison, among: Sequence[Comparison]) -> str:
    """Return one comparison in a sentence. Execution and precision are named where `among` has several of them."""
    ours, theirs = _sides(one)
    where = f"with {words.workers(one.workers)}{_setting(one, among)}"
    if one.ratio is None or one.verdict == "inconclusive":
        why = f", {one.reason}" if one.reason else ""
        return f"{ours} against {theirs} {where}: inconclusive{why}."
    if one.verdict == "no measurable difference":
        return f"{ours} and {theirs} need equally long steps {where}: no measurable difference, {one.reason}."
    slow, fast = (ours, theirs) if one.verdict == "slower" else (theirs, ours)
    factor = one.ratio if one.verdict == "slower" else _inverse(one.ratio)
    digits = 3 if factor.value < 1.1 else 2  # Two could not tell a small factor from 1.
    known = factor.low is not None and factor.high is not None
    interval = f": {factor.low:.{digits}f} to {factor.high:.{digits}f}" if known else ""
    return f"{slow} needs {factor.value:.{digits}f} times as long a step as {fast} {where}{interval}."


def _sides(one: Comparison) -> tuple[str, str]:
    """Return each side's candidate with its execution, and its precision where the two differ in it."""
    ours, theirs = one.candidate_execution, one.reference_execution
    if one.reference_precision is not None:
        ours, theirs = f"{ours}, {one.precision}", f"{theirs}, {one.reference_precision}"
    return f"{one.candidate} ({ours})", f"{one.reference} ({theirs})"


def _setting(one: Comparison, among: Sequence[Comparison]) -> str:
    if one.candidate == one.reference:  # Its sides say at which settings.
        return words.compared_batch(one)
    levels = len({other.execution for other in among}) > 1
    precisions = len({other.precision for other in among}) > 1
    return "".join([
        f", {one.execution}" if levels else "",
        f", {one.precision}" if precisions else "",
        f",{size}" if (size := words.message(one.message_bytes)) else "",
        words.compared_batch(one),
    ])  # fmt: skip


def _inverse(ratio: Estimate) -> Estimate:
    """Return the same ratio the other way round."""
    if ratio.low is None or ratio.high is None:
        return Estimate(value=1 / ratio.value, low=None, high=None)
    return Estimate(value=1 / ratio.value, low=1 / ratio.high, high=1 / ratio.low)


def _pair(ours: str, theirs: str, found: list[Comparison]) -> str:
    counts = Counter(one.verdict for one in found)
    told = [f"{verdict} in {counts[verdict]}" for verdict in _DECIDED_FIRST if counts[verdict]]
    return f"{ours} against {theirs}: {', '.join(told)} of {len(found)} comparisons."

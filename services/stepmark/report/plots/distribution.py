"""Draw a cell's step times as a shape, with its median, interval and launches on one line below."""

import numpy as np
from markupsafe import Markup

from stepmark.analysis.step_times import StepSeconds
from stepmark.report.plots.svg import Axis, element, percent, strip

HEIGHT, _BASE, _TOP = 52, 34, 3
_BINS = 18  # of about five percentiles each: finer ones would draw their noise
_FIRST, _LAST = 1, 99


def distribution(axis: Axis, step: StepSeconds, colour: str, title: str) -> Markup:
    """Draw the distribution of a cell's step times, without its shape where single steps were not timed.

    The axis is in seconds.
    """
    drawn = [*axis.grid(HEIGHT)]
    if step.percentiles is not None:
        drawn.append(_shape(axis, step.percentiles, colour))
    drawn.append(element("line", x1=0, x2="100%", y1=_BASE, y2=_BASE, class_="base"))
    drawn += [
        element("circle", cx=percent(axis.at(one)), cy=_BASE + 10, r=2.5, class_="launch")
        for one in step.launch_medians
    ]
    if step.low is not None and step.high is not None:
        left, right = axis.at(step.low), axis.at(step.high)
        drawn.append(
            element(
                "rect", x=percent(left), y=_BASE - 2, width=percent(right - left), height=4, rx=2, class_="range ink"
            )
        )
    if step.median_after_first is not None:
        drawn.append(_diamond(axis.at(step.median_after_first)))
    middle = percent(axis.at(step.median))
    drawn.append(element("line", x1=middle, x2=middle, y1=_TOP, y2=_BASE + 5, class_="median"))
    about = "shape: steady steps from the 1st percentile on; line: median; bar: its 95 % interval; dots: launches"
    return strip(HEIGHT, title, about, *drawn)


def _shape(axis: Axis, percentiles: tuple[float, ...], colour: str) -> Markup:
    """Draw how many steps lie where, computed from the percentiles. The highest point fills the strip."""
    known = np.array(percentiles[_FIRST : _LAST + 1])
    end = min(float(known[-1]), axis.high)
    if not end > known[0]:
        return Markup("")
    edges = np.linspace(known[0], end, _BINS + 1)
    heights = np.diff(np.interp(edges, known, np.arange(_FIRST, _LAST + 1)))
    middles = [axis.at(float(x)) * 10 for x in (edges[1:] + edges[:-1]) / 2]
    tops = 100 - 100 * heights / heights.max()
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(middles, tops, strict=True))
    first, last = axis.at(float(edges[0])) * 10, axis.at(float(edges[-1])) * 10
    shape = element("polygon", points=f"{first:.1f},100 {line} {last:.1f},100", class_=f"shape {colour}")
    return element(
        "svg", shape, x=0, y=_TOP, width="100%", height=_BASE - _TOP, viewBox="0 0 1000 100", preserveAspectRatio="none"
    )  # fmt: skip


def _diamond(place: float) -> Markup:
    """Draw a diamond in an `svg` element of its own, since a path cannot be placed in per cent."""
    shape = element("path", d="M0 -4.5 L4.5 0 L0 4.5 L-4.5 0 Z", class_="dropped")
    return element("svg", shape, x=percent(place), y=_BASE + 10, overflow="visible", width=1, height=1)

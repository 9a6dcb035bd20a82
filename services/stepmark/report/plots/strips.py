"""Draw strips: a bar or a point with its interval, a ratio around 1, parts side by side."""

from collections.abc import Sequence

from markupsafe import Markup

from stepmark.report.plots.svg import Axis, element, percent, strip

BAR_HEIGHT, RATIO_HEIGHT, STACK_HEIGHT = 26, 34, 22


def bar(axis: Axis, value: float, low: float | None, high: float | None, colour: str, title: str) -> Markup:
    """Draw a bar from 0 to the value, with the interval as a whisker."""
    drawn = element(
        "rect", x=0, y=4, width=percent(axis.at(value)), height=BAR_HEIGHT - 8, rx=3, class_=f"bar {colour}"
    )
    whisker = [] if low is None or high is None else _whisker(axis, low, high, BAR_HEIGHT // 2, 5)
    about = "bar from zero; the thin line is the 95 % interval"
    return strip(BAR_HEIGHT, title, about, *axis.grid(BAR_HEIGHT), drawn, *whisker)


def _whisker(axis: Axis, low: float, high: float, y: int, half: int) -> list[Markup]:
    left, right = percent(axis.at(low)), percent(axis.at(high))
    ends = [element("line", x1=x, x2=x, y1=y - half, y2=y + half, class_="whisker") for x in (left, right)]
    return [element("line", x1=left, x2=right, y1=y, y2=y, class_="whisker"), *ends]


def ratio(
    axis: Axis, value: float, low: float | None, high: float | None, effect: float, colour: str, title: str
) -> Markup:
    """Draw a ratio with its interval around 1; the shade is what is too small to matter."""
    left, right = axis.at(1 / (1 + effect)), axis.at(1 + effect)
    middle = RATIO_HEIGHT // 2
    shade = element("rect", x=percent(left), y=0, width=percent(right - left), height=RATIO_HEIGHT, class_="shade")
    one = element("line", x1=percent(axis.at(1)), x2=percent(axis.at(1)), y1=0, y2=RATIO_HEIGHT, class_="one")
    drawn = [shade, *axis.grid(RATIO_HEIGHT), one]
    if low is not None and high is not None:
        width = percent(axis.at(high) - axis.at(low))
        drawn.append(
            element(
                "rect", x=percent(axis.at(low)), y=middle - 6, width=width, height=12, rx=2, class_=f"range {colour}"
            )
        )
    place = percent(axis.at(value))
    drawn.append(element("line", x1=place, x2=place, y1=middle - 11, y2=middle + 11, class_=f"value-line {colour}"))
    about = "ratio of step times on a logarithmic scale; left of 1 is faster; the bar is the 95 % interval"
    return strip(RATIO_HEIGHT, title, about, *drawn)


def stack(axis: Axis, parts: Sequence[tuple[str, float]], title: str) -> Markup:
    """Draw parts (class, value) side by side, negative ones to the left of zero, since nothing is clamped."""
    right, left, drawn = 0.0, 0.0, []
    for colour, value in parts:
        start, end = (right, right + value) if value >= 0 else (left + value, left)
        right, left = (end, left) if value >= 0 else (right, start)
        width = axis.at(end) - axis.at(start)
        drawn.append(
            element(
                "rect", x=percent(axis.at(start)), y=2, width=percent(width), height=STACK_HEIGHT - 4, class_=colour
            )
        )
    about = "parts side by side, in the order of the legend"
    return strip(STACK_HEIGHT, title, about, *axis.grid(STACK_HEIGHT), *drawn)

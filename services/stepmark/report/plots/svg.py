"""Build SVG elements as escaped markup, and the axes that place values on them."""

import math
from dataclasses import dataclass

from markupsafe import Markup, escape

from stepmark.errors import clean


def element(tag: str, *children: object, **attributes: object) -> Markup:
    """Return one element. In attribute names `_` stands for `-`, and `class_` for `class`.

    Children that are markup are not escaped again.
    """
    told = "".join(f' {_name(name)}="{escape(_text(value))}"' for name, value in attributes.items())
    inside = "".join(escape(_text(child)) for child in children)
    return Markup(f"<{tag}{told}>{inside}</{tag}>" if inside else f"<{tag}{told}/>")  # noqa: S704  (escaped above)


def _name(name: str) -> str:
    return name.removesuffix("_").replace("_", "-") if name != "viewBox" and name != "preserveAspectRatio" else name


def _text(value: object) -> object:
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def percent(value: float) -> str:
    """Return a length in per cent of the drawing's width."""
    return f"{value:.2f}%"


def strip(height: int, title: str, description: str, *children: object) -> Markup:
    """Return a drawing as wide as its column.

    x is in per cent and y in pixels, so that nothing is distorted at any width.
    """
    about = (element("title", title), element("desc", description))
    return element("svg", *about, *children, class_="strip", role="img", width="100%", height=height)


@dataclass(frozen=True)
class Axis:
    """Place values between `low` and `high` on 0 to 100 %. Values beyond an end are put on it."""

    low: float
    high: float
    ticks: tuple[float, ...]
    log: bool = False

    def at(self, value: float) -> float:
        """Return the place of a value in per cent of the width, 0 to 100."""
        if self.log and value <= 0:
            return 0.0
        low, high, value = map(math.log, (self.low, self.high, value)) if self.log else (self.low, self.high, value)
        return min(100.0, max(0.0, 100 * (value - low) / (high - low)))

    def grid(self, height: int) -> list[Markup]:
        """Return a vertical line at every tick."""
        places = [percent(self.at(tick)) for tick in self.ticks]
        return [element("line", x1=x, x2=x, y1=0, y2=height, class_="grid") for x in places]


def linear_axis(low: float, high: float, wanted: int = 5, tight: bool = False) -> Axis:
    """Return an axis with about `wanted` round ticks; the ends are ticks too, unless `tight`."""
    if not high > low:
        high = low + (abs(low) or 1.0)
    step = _round_step((high - low) / wanted)
    first, last = round(low / step, 9), round(high / step, 9)  # so that an end that is a tick stays one
    inside = range(math.ceil(first), math.floor(last) + 1)
    around = range(math.floor(first), math.ceil(last) + 1)
    ticks = tuple(step * index for index in (inside if tight else around))
    return Axis(low, high, ticks) if tight else Axis(ticks[0], ticks[-1], ticks)


def log_axis(low: float, high: float) -> Axis:
    """Return a logarithmic axis with ticks at 1, 2 and 5 times powers of ten."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
    return Axis(low, high, tuple(tick for tick in ticks if low <= tick <= high), log=True)


def _round_step(rough: float) -> float:
    size = 10.0 ** math.floor(math.log10(rough))
    return size * next(factor for factor in (1, 2, 2.5, 5, 10) if rough <= factor * size * (1 + 1e-9))


_RATIOS = (0.25, 0.33, 0.5, 0.67, 0.8, 0.9, 0.95, 0.98, 0.99, 1.0, 1.01, 1.02, 1.05, 1.1, 1.25, 1.5, 2.0, 3.0, 4.0)
_FARTHEST = 4.0  # an interval over two launches may leave everything open


def ratio_axis(values: list[float]) -> Axis:
    """Return a logarithmic axis with 1 in the middle, so that twice and half as fast are equally far away."""
    far = max([abs(math.log(value)) for value in values if value > 0] + [0.02])
    end = math.exp(min(far * 1.1, math.log(_FARTHEST)))
    axis = Axis(1 / end, end, (), log=True)
    kept = [1.0]
    for tick in sorted((r for r in _RATIOS if 1 / end <= r <= end), key=lambda r: abs(math.log(r)), reverse=True):
        if all(abs(axis.at(tick) - axis.at(other)) > 13 for other in kept):
            kept.append(tick)
    return Axis(1 / end, end, tuple(sorted(kept)), log=True)


def scale(axis: Axis, unit: str, factor: float = 1.0) -> Markup:
    """Return the labels of an axis, to stand above or below its strips."""
    labels = [_label(axis.at(tick), f"{tick * factor:,.9g}") for tick in axis.ticks]
    return element("svg", *labels, class_="strip", width="100%", height=16, role="img", aria_label=f"scale, {unit}")


def _label(place: float, text: str) -> Markup:
    anchor = "start" if place < 3 else "end" if place > 97 else "middle"
    return element("text", text, x=percent(place), y=12, text_anchor=anchor, class_="tick")

"""Charts as SVG for exported pages, without a library: lines, points and heat maps in the page's own CSS colours.

An `ink` is the name of a CSS custom property of the page, like `actor` for `var(--actor)`.
"""

from __future__ import annotations

import base64
import html
import io
import math
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ddpg_core.environment import Array

Colours = tuple[str, ...]
VALUES: Final[Colours] = (
    *("#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c"),
    *("#28ae80", "#5ec962", "#addc30", "#fde725"),
)
"""Viridis in nine even steps: perceptually uniform, readable in grey."""
TORQUES: Final[Colours] = ("#8c510a", "#d8b365", "#f5f5f5", "#5ab4ac", "#01665e")
"""Centred on zero: clockwise is brown, counter-clockwise is green."""
_LEFT, _RIGHT, _TOP, _BOTTOM = 74.0, 14.0, 14.0, 42.0
_BAR_WIDTH: Final = 68.0


class Plot:
    """A chart under construction: axes with ticks, and what is drawn into them; what is not finite is left out.

    Args:
        title: What the chart shows, for those who can't see it.
        x_label, y_label: Names of the axes, with units.
        x_range, y_range: (low, high) of each, low < high.
        width, height: Of the whole, in the units of its text, of which a letter is about 13 high.
        x_ticks, y_ticks: Where ticks stand; by default where round numbers are.
        right: Room kept free at the right.
    """

    def __init__(
        self,
        title: str,
        x_label: str,
        y_label: str,
        x_range: tuple[float, float],
        y_range: tuple[float, float],
        *,
        width: float = 360,
        height: float = 240,
        x_ticks: Sequence[float] | None = None,
        y_ticks: Sequence[float] | None = None,
        right: float = _RIGHT,
    ) -> None:
        self.title = title
        self.labels = (x_label, y_label)
        self.x_range, self.y_range = x_range, y_range
        self.width, self.height = width, height
        self.box = (_LEFT, _TOP, width - right, height - _BOTTOM)
        self._ticks = (ticks(*x_range) if x_ticks is None else x_ticks, ticks(*y_range) if y_ticks is None else y_ticks)
        self._ground: list[str] = []
        self._drawn: list[str] = []

    def x(self, values: Array | float) -> Array:
        """Where values lie across the chart."""
        (low, high), (left, _, right, _) = self.x_range, self.box
        return left + (right - left) * (np.asarray(values, float) - low) / (high - low)

    def y(self, values: Array | float) -> Array:
        """Where values lie down the chart; beyond the axis, at its end."""
        (low, high), (_, top, _, bottom) = self.y_range, self.box
        return bottom - (bottom - top) * np.clip((np.asarray(values, float) - low) / (high - low), 0, 1)

    def line(self, x: Array, y: Array, ink: str, dashed: bool = False) -> None:
        """A line through points [N]; it breaks where one is not finite."""
        parts, pen = [], "M"
        for across, down, finite in zip(self.x(x), self.y(y), np.isfinite(x) & np.isfinite(y), strict=True):
            if finite:
                parts.append(f"{pen}{across:.1f} {down:.1f}")
            pen = "L" if finite else "M"
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        self._drawn.append(f'<path class="line" d="{"".join(parts)}" stroke="var(--{ink})"{dash}/>')

    def points(self, x: Array, y: Array, ink: str, hollow: bool = False) -> None:
        """Dots or rings at points [N]."""
        paint = f'class="ring" stroke="var(--{ink})"' if hollow else f'class="dot" fill="var(--{ink})"'
        finite = np.isfinite(x) & np.isfinite(y)
        at = zip(self.x(x[finite]), self.y(y[finite]), strict=True)
        dots = "".join(f'<circle cx="{across:.1f}" cy="{down:.1f}" r="3"/>' for across, down in at)
        self._drawn.append(f"<g {paint}>{dots}</g>")

    def stems(self, x: Array, low: Array, high: Array) -> None:
        """Thin upright lines from `low` to `high`, all [N]."""
        finite = np.isfinite(x) & np.isfinite(low) & np.isfinite(high)
        ends = zip(self.x(x[finite]), self.y(low[finite]), self.y(high[finite]), strict=True)
        path = "".join(f"M{across:.1f} {start:.1f}V{end:.1f}" for across, start, end in ends)
        self._drawn.append(f'<path class="stem" d="{path}"/>')

    def level(self, y: float, text: str) -> None:
        """A dashed line all across with a name, if it lies within the chart."""
        if self.y_range[0] <= y <= self.y_range[1]:
            left, _, right, _ = self.box
            at = float(self.y(y))
            self._ground.append(f'<path class="level" d="M{left} {at:.1f}H{right}"/>')
            self._ground.append(_text("note", right - 4, at - 5, text, "end"))

    def instant(self, x: float, text: str, row: int = 0) -> None:
        """A dotted upright line with a few words beside it, in one of the rows from the bottom upwards."""
        if self.x_range[0] <= x <= self.x_range[1]:
            _, top, right, bottom = self.box
            at = float(self.x(x))
            beyond = at > right - 130
            self._ground.append(f'<path class="instant" d="M{at:.1f} {top}V{bottom}"/>')
            words = _text("note", at + (-5 if beyond else 5), bottom - 8 - 15 * row, text, "end" if beyond else "start")
            self._ground.append(words)

    def picture(self, pixels: NDArray[np.uint8], x: float, y: float, width: float, height: float) -> None:
        """An RGB picture [H, W, 3] stretched over a part of the chart, in its own units."""
        self._ground.append(
            f'<image x="{x}" y="{y}" width="{width}" height="{height}" preserveAspectRatio="none" '
            f'href="{png_uri(pixels)}"/>'
        )

    def colour_bar(self, colours: Colours, low: float, high: float, label: str) -> None:
        """What the colours mean, at the right of the axes."""
        _, top, right, bottom = self.box
        x, height = right + 16, bottom - top
        self.picture(painted(np.linspace(high, low, 64)[:, None], colours, low, high), x, top, 10, height)
        for value in ticks(low, high):
            self._ground.append(
                _text("tick", x + 15, bottom - height * (value - low) / (high - low) + 4, number(value), "start")
            )
        self._ground.append(_text("label", x - 6, self.height - 8, label, "start"))

    def svg(self) -> str:
        """The chart as an SVG element."""
        left, top, right, bottom = self.box
        name = html.escape(self.title, quote=True)
        return (
            f'<svg viewBox="0 0 {self.width:g} {self.height:g}" role="img" aria-label="{name}">'
            f"{''.join(self._ground)}{''.join(self._axes())}{''.join(self._drawn)}"
            f'<path class="frame" d="M{left} {top}V{bottom}H{right}"/></svg>'
        )

    def _axes(self) -> Iterable[str]:
        left, top, right, bottom = self.box
        for value in self._ticks[0]:
            at = float(self.x(value))
            yield f'<path class="frame" d="M{at:.1f} {bottom}v4"/>'
            yield _text("tick", at, bottom + 18, number(value), "middle")
        for value in self._ticks[1]:
            at = float(self.y(value))
            yield f'<path class="frame" d="M{left} {at:.1f}h-4"/>'
            yield _text("tick", left - 7, at + 4, number(value), "end")
        yield _text("label", (left + right) / 2, self.height - 6, self.labels[0], "middle")
        turned = f'transform="translate(13 {(top + bottom) / 2:.1f}) rotate(-90)"'
        yield f'<text class="label" {turned} text-anchor="middle">{html.escape(self.labels[1])}</text>'


def heat_map(
    plot_title: str, labels: tuple[str, str, str], values: Array, x_limit: float, y_limit: float, colours: Colours
) -> str:
    """A heat map of values [y, x] over ±x_limit and ±y_limit, as an SVG element.

    Args:
        plot_title: As `Plot`'s.
        labels: Of the two axes and of the values.
        values: The upper rows are those of high y.
        x_limit, y_limit: Ends of the axes.
        colours: `VALUES` from the lowest to the highest, or `TORQUES` around zero.
    """
    low, high = (-2.0, 2.0) if colours is TORQUES else span(values)
    quarters = (-1, -0.5, 0, 0.5, 1)
    plot = Plot(
        plot_title,
        *labels[:2],
        (-x_limit, x_limit),
        (-y_limit, y_limit),
        height=264,
        right=_BAR_WIDTH,
        x_ticks=[x_limit * share for share in quarters],
        y_ticks=[y_limit * share for share in quarters],
    )
    left, top, right, bottom = plot.box
    plot.picture(painted(values[::-1], colours, low, high), left, top, right - left, bottom - top)
    plot.colour_bar(colours, low, high, labels[2])
    return plot.svg()


# --- numbers and colours ----------------------------------------------------------------------------------------------


def span(*arrays: Array) -> tuple[float, float]:
    """A range of round numbers around all finite values of some arrays; (0, 1) if there are none."""
    values = np.concatenate([np.ravel(array) for array in arrays]).astype(float)
    values = values[np.isfinite(values)]
    if not values.size:
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    step = _step(low, high)
    low, high = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
    return (low, high) if high > low else (low - step, high + step)


def ticks(low: float, high: float) -> list[float]:
    """Two to seven round numbers in [low, high]."""
    step = _step(low, high)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [index * step for index in range(first, last + 1)]


def _step(low: float, high: float) -> float:
    """A round step, of which two to seven multiples lie between two numbers."""
    rough = max(high - low, abs(high) * 1e-6, 1e-9) / 6
    decade: float = 10.0 ** math.floor(math.log10(rough))
    return next(factor * decade for factor in (1, 2, 5, 10) if factor * decade >= rough * (1 - 1e-9))


def number(value: float) -> str:
    """A tick's number: short, with a real minus sign."""
    value = 0.0 if abs(value) < 1e-12 else value
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.6g}"
    return text.replace("-", "−")


def painted(values: Array, colours: Colours, low: float, high: float) -> NDArray[np.uint8]:
    """RGB [H, W, 3] of values [H, W]: `colours` from low to high, even steps apart; grey where not finite."""
    anchors = np.array([[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in colours], float)
    finite = np.isfinite(values)
    at = np.clip((np.where(finite, values, low) - low) / (high - low), 0, 1)
    steps = np.linspace(0, 1, len(colours))
    rgb = np.stack([np.interp(at, steps, anchors[:, channel]) for channel in range(3)], axis=-1)
    return np.where(finite[..., None], rgb, 128.0).round().astype(np.uint8)


def png_uri(pixels: NDArray[np.uint8]) -> str:
    """RGB pixels [H, W, 3] as a PNG data URI."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def _text(kind: str, x: float, y: float, text: str, anchor: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{html.escape(text)}</text>'

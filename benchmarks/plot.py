"""Curves as an SVG file, drawn by hand: no library, and a diff that can be read. Pure.

Panels stand one above the other and share the x axis, whose values are placed at equal distances:
right for counts that double from one to the next.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 720, 230
"""Of one panel, in pixels."""
LEFT, RIGHT, TOP, BOTTOM = 64, 120, 34, 30
COLOURS = ("#1f5fa8", "#c2410c", "#3f7d3a", "#6b4fa0")
STYLE = (
    "text{font:12px sans-serif;fill:#222}.title{font-weight:bold}.grid{stroke:#ddd}"
    ".mark{stroke:#888;stroke-dasharray:6 4}.line{fill:none;stroke-width:2}"
)


@dataclass(frozen=True)
class Line:
    """A named curve: one value for each x, None where there is none."""

    name: str
    values: Sequence[float | None]


@dataclass(frozen=True)
class Panel:
    """Curves in one unit, and a dashed line at a value worth seeing."""

    title: str
    lines: Sequence[Line]
    mark: float | None = None

    @property
    def highest(self) -> float:
        known = [v for line in self.lines for v in line.values if v is not None]
        return max([*known, self.mark or 0.0, 1e-9])


def ticks(highest: float, about: int = 5) -> list[float]:
    """Round values from 0 to at least `highest`: steps of 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(highest / about))
    step = next(s * power for s in (1, 2, 5, 10) if s * power * about >= highest)
    return [round(n * step, 10) for n in range(math.ceil(highest / step) + 1)]


def svg(panels: Sequence[Panel], xs: Sequence[object], x_title: str) -> str:
    """The whole picture as the text of an SVG file."""
    height = HEIGHT * len(panels) + BOTTOM
    drawn = [part for n, panel in enumerate(panels) for part in _panel(panel, xs, n * HEIGHT)]
    middle = (LEFT + WIDTH - RIGHT) / 2
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}">',
            f"<style>{STYLE}</style>",
            f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
            *drawn,
            _text(middle, height - 8, x_title, "middle"),
            "</svg>\n",
        ]
    )


def _panel(panel: Panel, xs: Sequence[object], top: float) -> list[str]:
    """One panel's axes, curves and names."""
    marks = ticks(panel.highest)
    floor = top + HEIGHT - BOTTOM

    def x_of(n: int) -> float:
        return LEFT + (n + 0.5) * (WIDTH - LEFT - RIGHT) / len(xs)

    def y_of(value: float) -> float:
        return floor - value / marks[-1] * (HEIGHT - TOP - BOTTOM)

    parts = [_text(LEFT, top + TOP - 14, panel.title, "start", "title")]
    for value in marks:
        parts.append(_rule(y_of(value), "grid"))
        parts.append(_text(LEFT - 8, y_of(value) + 4, f"{value:g}", "end"))
    parts += [_text(x_of(n), floor + 16, str(x), "middle") for n, x in enumerate(xs)]
    if panel.mark is not None:
        parts.append(_rule(y_of(panel.mark), "mark"))
    names = []
    for n, line in enumerate(panel.lines):
        points = [(x_of(i), y_of(v)) for i, v in enumerate(line.values) if v is not None]
        if points:
            parts += _curve(points, COLOURS[n % len(COLOURS)])
            names.append((points[-1][1], line.name, COLOURS[n % len(COLOURS)]))
    return parts + _names(names)


def _curve(points: list[tuple[float, float]], colour: str) -> list[str]:
    joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dots = [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points]
    return [f'<polyline class="line" stroke="{colour}" points="{joined}"/>', *dots]


def _names(names: list[tuple[float, str, str]]) -> list[str]:
    """Each curve's name beside its end, moved down where it would cover the one above."""
    parts, free_from = [], -math.inf
    for y, name, colour in sorted(names):
        free_from = max(y + 4, free_from)
        x = WIDTH - RIGHT + 6
        parts.append(f'<circle cx="{x}" cy="{free_from - 4:.1f}" r="4" fill="{colour}"/>')
        parts.append(_text(x + 9, free_from, name, "start"))
        free_from += 16
    return parts


def _rule(y: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'


def _text(x: float, y: float, text: str, anchor: str, kind: str = "") -> str:
    of = f' class="{kind}"' if kind else ""
    return f'<text{of} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'

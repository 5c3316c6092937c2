"""Where the milliseconds go: bars of stages that follow one another, as an SVG file. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from benchmarks.plot import COLOURS, STYLE, ticks

WIDTH, LEFT, RIGHT = 720, 120, 24
TOP, BAR, GAP, BOTTOM = 40, 26, 18, 42
"""In pixels; the legend stands in `TOP`."""


@dataclass(frozen=True)
class Bar:
    """Stages in their order, in ms; `mark` is drawn as a line across (the 95th percentile)."""

    name: str
    parts: Mapping[str, float]
    mark: float | None = None

    @property
    def reaches(self) -> float:
        return max(sum(self.parts.values()), self.mark or 0.0)


def waterfall(bars: Sequence[Bar], x_title: str) -> str:
    """The whole picture as the text of an SVG file; all bars have the same stages."""
    marks = ticks(max([bar.reaches for bar in bars] or [1.0]) or 1.0, about=8)
    scale = (WIDTH - LEFT - RIGHT) / marks[-1]
    floor = TOP + len(bars) * (BAR + GAP)
    parts = []
    for value in marks:
        x = LEFT + value * scale
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 6}" y2="{floor}"/>')
        parts.append(_text(x, floor + 14, f"{value:g}", "middle"))
    for n, stage in enumerate(bars[0].parts if bars else ()):
        x = LEFT + n * (WIDTH - LEFT) / 4
        parts.append(f'<rect x="{x:.1f}" y="8" width="10" height="10" fill="{COLOURS[n % 4]}"/>')
        parts.append(_text(x + 14, 17, stage, "start"))
    for n, bar in enumerate(bars):
        parts += _bar(bar, TOP + n * (BAR + GAP), scale)
    height = floor + BOTTOM
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}">',
            f"<style>{STYLE.replace('12px', '11px')}</style>",
            f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
            *parts,
            _text((LEFT + WIDTH) / 2, height - 8, x_title, "middle"),
            "</svg>\n",
        ]
    )


def _bar(bar: Bar, y: float, scale: float) -> list[str]:
    parts, x = [_text(LEFT - 8, y + BAR / 2 + 4, bar.name, "end")], float(LEFT)
    for n, ms in enumerate(bar.parts.values()):
        width = ms * scale
        colour = COLOURS[n % len(COLOURS)]
        parts.append(
            f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{BAR}" fill="{colour}"/>'
        )
        x += width
    parts.append(_text(x + 4, y + BAR / 2 + 4, f"{sum(bar.parts.values()):.0f}", "start"))
    if bar.mark is not None:
        at = LEFT + bar.mark * scale
        line = f'x1="{at:.1f}" x2="{at:.1f}" y1="{y - 4}" y2="{y + BAR + 4}"'
        parts.append(f'<line class="mark" {line}/>')
    return parts


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'

"""A plot in SVG: rows of dots on a logarithmic axis, in the colours that the reader prefers, light or dark."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

__all__ = ["Mark", "Row", "chart"]

_LEFT, _RIGHT, _TOP, _ROW, _WIDTH = 300, 30, 74, 26, 860
# Told apart by people who see few colours (Okabe and Ito), and by their shapes.
_COLOURS = ("#0072b2", "#d55e00", "#cc79a7", "#e69f00", "#56b4e9", "#999999")
_STYLE = """\
text { font: 13px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600 } .grid { stroke: #d0d7de } .tick { fill: #57606a; text-anchor: middle } .row { text-anchor: end }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .grid { stroke: #30363d } .tick { fill: #9198a1 } }"""


class Mark(NamedTuple):
    """One dot: whose it is, where it is, and the ends of the line through it."""

    who: str
    value: float
    least: float
    most: float


class Row(NamedTuple):
    """What is on one line."""

    title: str
    marks: Sequence[Mark]


def chart(title: str, rows: Sequence[Row]) -> str:
    """An SVG document with one dot for each mark; whoever comes first in the first rows has the first colour."""
    return "\n".join(_lines(title, rows)) + "\n"


def _lines(title: str, rows: Sequence[Row]) -> Iterator[str]:
    values = [value for row in rows for mark in row.marks for value in mark[1:]]
    scale = _Scale(min(values), max(values))
    names = list(dict.fromkeys(mark.who for row in rows for mark in row.marks))
    height = _TOP + _ROW * len(rows) + 30
    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(title)}">'
    yield f"<style>{_STYLE}</style>"
    yield f'<text class="title" x="12" y="22">{escape(title)}</text>'
    for number, name in enumerate(names):
        x = 18 + number * 140
        yield _dot(number, x, 46)
        yield f'<text x="{x + 12}" y="50">{escape(name)}</text>'
    bottom = _TOP + _ROW * len(rows)
    for value in scale.ticks():
        yield f'<line class="grid" x1="{scale(value):.1f}" x2="{scale(value):.1f}" y1="{_TOP - 8}" y2="{bottom}"/>'
        yield f'<text class="tick" x="{scale(value):.1f}" y="{bottom + 18}">{value:g} s</text>'
    for index, row in enumerate(rows):
        y = _TOP + _ROW * index + _ROW // 2
        yield f'<text class="row" x="{_LEFT - 12}" y="{y + 4}">{escape(row.title)}</text>'
        for mark in row.marks:
            number = names.index(mark.who)
            colour = _COLOURS[number % len(_COLOURS)]
            yield (
                f'<line x1="{scale(mark.least):.1f}" x2="{scale(mark.most):.1f}" y1="{y}" y2="{y}" '
                f'stroke="{colour}" stroke-width="2"/>'
            )
            yield _dot(number, scale(mark.value), y, f"{mark.who}: {mark.value:.2f} s")
    yield "</svg>"


class _Scale:
    """Where values are on the axis, which reaches from a power of ten to another."""

    def __init__(self, least: float, most: float) -> None:
        self._first = math.floor(math.log10(max(least, 1e-3)))
        self._last = max(math.ceil(math.log10(max(most, 1e-3))), self._first + 1)

    def __call__(self, value: float) -> float:
        part = (math.log10(max(value, 1e-3)) - self._first) / (self._last - self._first)
        return _LEFT + part * (_WIDTH - _LEFT - _RIGHT)

    def ticks(self) -> Iterator[float]:
        return (10.0**power for power in range(self._first, self._last + 1))


def _dot(number: int, x: float, y: float, said: str = "") -> str:
    colour = _COLOURS[number % len(_COLOURS)]
    title = f"<title>{escape(said)}</title>" if said else ""
    if number % 2:
        return (
            f'<rect x="{x - 4.5:.1f}" y="{y - 4.5:.1f}" width="9" height="9" fill="{colour}">{title}</rect>'
        )
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{colour}">{title}</circle>'

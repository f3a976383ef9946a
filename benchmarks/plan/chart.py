"""Bars beside each other, as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

__all__ = ["drawn"]

_ROW, _LABEL, _PANEL, _BAR = 22, 170, 250, 150
_COLOURS = ("#4c72b0", "#55a868", "#c44e52")


def drawn(titles: Sequence[str], rows: Mapping[str, Sequence[float]]) -> str:
    """A picture with a panel for each of ``titles``, and in each of them a bar for each of ``rows``."""
    most = [max(values) or 1 for values in zip(*rows.values(), strict=True)]
    width, height = _LABEL + _PANEL * len(titles), _ROW * (len(rows) + 2)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        *(_text(_LABEL + _PANEL * at, _ROW, title, "start") for at, title in enumerate(titles)),
    ]
    for row, (label, values) in enumerate(rows.items(), 2):
        parts.append(_text(_LABEL - 8, _ROW * row, label, "end"))
        for at, (value, limit) in enumerate(zip(values, most, strict=True)):
            left, bar = _LABEL + _PANEL * at, value / limit * _BAR
            colour = _COLOURS[at % len(_COLOURS)]
            parts += [
                f'<rect x="{left}" y="{_ROW * row - 12}" width="{bar:.1f}" height="15" fill="{colour}"/>',
                _text(
                    left + bar + 4, _ROW * row, f"{value:,.3g}" if value < 1000 else f"{value:,.0f}", "start"
                ),
            ]
    return "\n".join([*parts, "</svg>", ""])


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'

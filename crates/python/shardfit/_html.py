"""Answers as HTML, for notebooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

_STYLE = "border-collapse:collapse;font-variant-numeric:tabular-nums"
_CELL = "padding:.15em .6em;text-align:right;border-bottom:1px solid rgba(128,128,128,.3)"


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return escape(str(value))


def table(rows: Sequence[Mapping[str, Any]], caption: str, columns: Sequence[str] | None = None) -> str:
    """Rows as a table; columns that no row has a value in are left out."""
    names = list(columns) if columns is not None else list(dict.fromkeys(name for row in rows for name in row))
    names = [name for name in names if any(row.get(name) is not None for row in rows)]
    head = "".join(f'<th scope="col" style="{_CELL}">{escape(name)}</th>' for name in names)
    body = "".join(
        "<tr>" + "".join(f'<td style="{_CELL}">{_shown(row.get(name))}</td>' for name in names) + "</tr>"
        for row in rows
    )
    return (
        f'<table style="{_STYLE}"><caption style="text-align:left;padding:.3em 0">{escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def front(points: Sequence[tuple[float, float, str]], across: str, up: str) -> str:
    """Points of a front as a picture: how far across, how far up, and what each says on hovering."""
    if len(points) < 2:
        return ""
    width, height, left, below = 460.0, 240.0, 60.0, 36.0
    most_across = max(x for x, _, _ in points) or 1.0
    most_up = max(y for _, y, _ in points) or 1.0

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            left + (width - left - 12) * x / most_across,
            (height - below) - (height - below - 12) * y / most_up,
        )

    placed = [(*place(x, y), said) for x, y, said in sorted(points)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in placed)
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="#2563eb"><title>{escape(said)}</title></circle>'
        for x, y, said in placed
    )
    floor, ink = height - below, 'fill="currentColor" font-size="11"'
    return (
        f'<svg role="img" aria-label="{escape(up)} against {escape(across)}" width="{width:.0f}" '
        f'height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}">'
        f'<path d="M{left} 8V{floor}H{width - 8}" fill="none" stroke="currentColor" stroke-opacity=".5"/>'
        f'<polyline points="{line}" fill="none" stroke="#2563eb" stroke-opacity=".5"/>{dots}'
        f'<text x="{left - 6}" y="{floor}" text-anchor="end" {ink}>0</text>'
        f'<text x="{left - 6}" y="18" text-anchor="end" {ink}>{most_up:,.4g}</text>'
        f'<text x="{width - 12}" y="{floor + 14}" text-anchor="end" {ink}>{most_across:,.4g}</text>'
        f'<text x="{left}" y="{floor + 28}" {ink}>{escape(across)}; up: {escape(up)}</text></svg>'
    )

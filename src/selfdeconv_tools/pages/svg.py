"""The few shapes that the drawings of the documentation consist of, as SVG text."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

INK, PALE, ACCENT, GROUND = "#222222", "#9aa4b0", "#1f6fb2", "#ffffff"


def text(x: float, y: float, words: str, *, size: int = 13, anchor: str = "start", color: str = INK) -> str:
    """Return a line of text; ``anchor`` is start, middle or end."""
    place = f'x="{x:g}" y="{y:g}" font-size="{size}" text-anchor="{anchor}"'
    return f'<text {place} fill="{color}">{escape(words)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, *, color: str = PALE, arrow: bool = False) -> str:
    """Return a straight line, with an arrow at its end if wanted."""
    end = ' marker-end="url(#arrow)"' if arrow else ""
    return f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" stroke="{color}"{end}/>'


def dot(x: float, y: float, *, filled: bool = True, title: str = "") -> str:
    """Return a dot; the mouse over it shows ``title``."""
    fill = ACCENT if filled else GROUND
    return (
        f'<circle cx="{x:g}" cy="{y:g}" r="4.5" fill="{fill}" stroke="{ACCENT}" stroke-width="1.5">'
        f"<title>{escape(title)}</title></circle>"
    )


def box(x: float, y: float, width: float, height: float, *, color: str = INK, fill: str = GROUND) -> str:
    """Return a rectangle with round corners."""
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="5" fill="{fill}" stroke="{color}"/>'
    )


def picture(width: int, height: int, parts: Iterable[str], title: str) -> str:
    """Return an SVG file on white ground.

    Examples
    --------
    >>> picture(10, 10, [dot(5, 5)], "a dot").startswith("<svg")
    True
    """
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="Helvetica, Arial, sans-serif" role="img">'
        f"\n<title>{escape(title)}</title>"
    )
    arrow = (
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
        'orient="auto">'
        f'<path d="M0,0 L8,4 L0,8 z" fill="{INK}"/></marker></defs>'
    )
    ground = f'<rect width="{width}" height="{height}" fill="{GROUND}"/>'
    return "\n".join([head, arrow, ground, *parts, "</svg>"]) + "\n"

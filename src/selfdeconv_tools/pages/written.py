"""Every file of the documentation that a program writes, whole or in part."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from selfdeconv_tools.pages import gallery
from selfdeconv_tools.pages.architecture import draw_house
from selfdeconv_tools.pages.blocks import fill
from selfdeconv_tools.pages.plot import draw_gains
from selfdeconv_tools.pages.tables import blocks_of


def pages_of(docs: Path) -> list[Path]:
    """Return every page of a folder of documentation, and the README beside it."""
    return [docs.parent / "README.md", *sorted(docs.glob("*.md"))]


def written(docs: Path) -> Iterator[tuple[Path, str]]:
    """Yield each file with its text, from the rows in ``docs/data``."""
    data = docs / "data"
    blocks = {**blocks_of(data), "gallery": gallery.page}
    for page in pages_of(docs):
        if "<!-- end " in (text := page.read_text("utf-8")):
            yield page, fill(text, blocks)
    yield docs / "images" / "gains.svg", draw_gains(data)
    yield docs / "images" / "architecture.svg", draw_house()


def write_pages(docs: Path) -> None:
    """Write the files of a folder of documentation."""
    for path, text in written(docs):
        path.write_text(text, encoding="utf-8")

"""The check of the links of the pages. Links inside the project must exist; links to the outside are listed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


class Links(NamedTuple):
    """Broken links, as ``page: target``, and addresses outside the project."""

    broken: list[str]
    external: list[str]


def anchor_of(heading: str) -> str:
    """Return the anchor of a heading, as GitHub and MyST make it.

    Examples
    --------
    >>> anchor_of("2D: the paper's images")
    '2d-the-papers-images'
    """
    words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading.strip().lower())
    return re.sub(r"[^\w\- ]", "", words).replace(" ", "-")


def check_links(pages: Sequence[Path]) -> Links:
    """Look up every link of some Markdown pages; nothing is fetched."""
    broken, external = [], set()
    for page in pages:
        text = _prose(page)
        for target in _LINK.findall(text):
            if "://" in target or target.startswith("mailto:"):
                external.add(target)
                continue
            name, _, anchor = target.partition("#")
            other = (page.parent / name) if name else page
            found = other.is_file() and (
                not anchor or anchor in {anchor_of(heading) for heading in _HEADING.findall(_prose(other))}
            )
            if not found:
                broken.append(f"{page.name}: {target}")
    return Links(broken, sorted(external))


def _prose(page: Path) -> str:
    return re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)

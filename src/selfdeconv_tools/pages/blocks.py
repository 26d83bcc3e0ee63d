"""Blocks of a page that a program writes, between ``<!-- name -->`` and ``<!-- end name -->``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence


def fill(page: str, blocks: Mapping[str, Callable[[], str]]) -> str:
    """Return a page with its blocks written again.

    Parameters
    ----------
    page : Markdown.
    blocks : what writes each block, by its name.

    Raises
    ------
    KeyError
        If the page has a block that nothing writes.

    Examples
    --------
    >>> print(fill("<!-- n -->\\nold\\n<!-- end n -->", {"n": lambda: "new"}))
    <!-- n -->
    new
    <!-- end n -->
    """

    def written(found: re.Match[str]) -> str:
        name = found["name"]
        return f"<!-- {name} -->\n{blocks[name]()}\n<!-- end {name} -->"

    return re.sub(r"<!-- (?P<name>[\w-]+) -->\n.*?<!-- end (?P=name) -->", written, page, flags=re.DOTALL)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table.

    Examples
    --------
    >>> print(table(["a", "b"], [["1", "2"]]))
    | a | b |
    |---|---|
    | 1 | 2 |
    """
    lines = [head, *rows]
    text = ["|" + "".join(f" {cell} |" if cell else " |" for cell in line) for line in lines]
    return "\n".join([text[0], "|" + "---|" * len(head), *text[1:]])

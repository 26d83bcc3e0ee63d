"""How the project writes: no sentence of the pages is long, and no phrase of the old dialect comes back."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
MOST_WORDS, MOST_WORDS_IN_THE_MEAN = 35, 20
# What is written instead stands beside each phrase.
BANNED = {
    r", too[,.;:)]": "also, or nothing",
    r"\bin place of\b": "instead of",
    r"\banew\b": "again",
    r"\breckon(s|ed|ing)?\b": "estimate, compute",
    r"\btold apart\b": "distinguished",
    r"\bspecks?\b": "outliers, hot pixels",
    r"\bis none\b": "is not, is missing",
    r"\bcut off at black\b": "clipped at the lowest value",
    r"\b[Ll]ucy[- ][Rr]ichardson\b": "Richardson-Lucy",
    r"\bfor ever\b": "endlessly, permanently",
    r"\b(Taken|Counted|Kept|Said) (is|are)\b": "the subject first",
    r"\bfor want of\b": "because of missing",
    r"\bby (itself|themselves)\b": "automatically",
    r"\bunless told\b": "unless it is set",
    r"\bhears? nothing of\b": "disconnect from",
    r"\bsays? (something|nothing) (new|more)\b": "improves, does not improve",
    r"\b(knows?|say|says) all\b": "states",
    r"\blone\b": "single",
    r"\bgo(es)? round\b": "is circular",
    r"\bmakes? no sense\b": "cannot be used, is impossible",
    r"\bfew need to touch\b": "rarely used",
    r"\blies? elsewhere\b": "was moved",
    r"\b[Hh]ow sure\b": "the uncertainty",
    r"\bwhat \w+( \w+)? (makes|has made) of\b": "the output of ... for ...",
    r"\bstands? in the (file|fields?)\b": "comes from the file, is shown in the field",
    r"\bcomes? out as\b": "becomes",
    r"\btaken? off\b": "subtract, remove",
    r"\bleads? nowhere\b": "is broken",
    r"\bis(n't| not) here\b": "is not available",
}
WORD = re.compile(r"[\w'’°µ]+(?:[-/.,×^]\w+)*")


def plain_text(page: str) -> Iterator[str]:
    """Yield what a page says, a paragraph, list item or cell at a time: no code, no formulas, no addresses."""
    text = re.sub(r"^(`{3,}|:{3,}).*?^\1[`:]*$", "", page, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r"!\[([^\]]*)\]\([^)]*\)", r"\1.", text)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"`[^`]*`|\$[^$]*\$", "code", text)
    text = re.sub(r"^(#+ .*)$", r"\1\n", text, flags=re.MULTILINE)
    for block in re.split(r"\n\s*\n|^(?=\s*(?:[-*]|\d+\.|#+|\|) ?)", text, flags=re.MULTILINE):
        yield from (part for part in block.split("|") if part.strip())


def sentences(text: str) -> Iterator[str]:
    """Split a paragraph into sentences; an abbreviation or a decimal point does not end one."""
    joined = " ".join(text.split())
    joined = re.sub(r"\b(e\.g|i\.e|cf|al|Fig|vs|no)\.", r"\1", joined)
    yield from (part for part in re.split(r"(?<=[.!?])[)*_\"']*\s+", joined) if part)


def spoken(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and text of each comment and string of a source file: docstrings, messages, help, tooltips."""
    source = path.read_text("utf-8")
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def docstring_parts(path: Path) -> Iterator[str]:
    """Yield the docstrings of a source file, a paragraph or parameter at a time, without examples and code."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            continue
        text = (ast.get_docstring(node) or "").partition("\nExamples\n---")[0]
        text = re.sub(r"``[^`]*``|`[^`]*`", "code", text)
        text = re.sub(r"^[A-Z]\w+\n-+\n(?: *\w+(?:, \w+)*\n    )?", "", text, flags=re.MULTILINE)
        yield from re.split(r"\n\s*\n|^(?=[\w*, .\[\]]+ : )", text, flags=re.MULTILINE)


def banned_in(text: str) -> list[str]:
    """Return the banned phrases of a text, each with what to write."""
    joined = " ".join(text.split())
    found = [(re.search(phrase, joined), instead) for phrase, instead in BANNED.items()]
    return [f"{match[0]!r}: write {instead}" for match, instead in found if match]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_no_sentence_of_a_page_is_longer_than_35_words(page: Path) -> None:
    long = [
        f"{len(WORD.findall(one))} words: {one}"
        for part in plain_text(page.read_text("utf-8"))
        for one in sentences(part)
        if len(WORD.findall(one)) > MOST_WORDS
    ]
    assert not long, "\n".join(long)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_sentences_of_a_page_have_at_most_20_words_in_the_mean(page: Path) -> None:
    counts = [len(WORD.findall(one)) for part in plain_text(page.read_text("utf-8")) for one in sentences(part)]
    whole = [count for count in counts if count > 3]
    assert sum(whole) <= MOST_WORDS_IN_THE_MEAN * len(whole)


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda page: page.stem)
def test_pages_are_free_of_banned_phrases(page: Path) -> None:
    assert not banned_in(page.read_text("utf-8"))


def test_the_changelog_has_one_line_for_each_change() -> None:
    lines = (ROOT / "CHANGELOG.md").read_text("utf-8").partition("## [Unreleased]")[2].splitlines()
    kinds = {line for line in lines if line.startswith("### ")}
    assert kinds <= {f"### {kind}" for kind in ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")}
    assert all(line.startswith(("- ", "#")) for line in lines if line)


def test_sources_are_free_of_banned_phrases() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {said}"
        for path in SOURCES
        for line, text in spoken(path)
        for said in banned_in(text)
    ]
    assert not found, "\n".join(found)


def test_no_sentence_of_a_docstring_is_longer_than_35_words() -> None:
    counted = [
        (len(WORD.findall(one)), f"{path.relative_to(ROOT)}: {one}")
        for path in SOURCES
        for part in docstring_parts(path)
        for one in sentences(part)
    ]
    long = [f"{count} words: {one}" for count, one in counted if count > MOST_WORDS]
    assert not long, "\n".join(long)
    assert sum(count for count, _ in counted) <= MOST_WORDS_IN_THE_MEAN * len(counted)


def test_the_check_finds_what_it_looks_for() -> None:
    assert banned_in("It is slow,\n too.")
    assert not banned_in("It is too slow, and None is None.")
    long = " ".join(["word"] * (MOST_WORDS + 1)) + ". Short."
    assert [len(WORD.findall(one)) for one in sentences(long)] == [MOST_WORDS + 1, 1]
    assert list(plain_text("A [link](page.md).\n\n```\ncode, too.\n```\n\n| a | b |\n")) == [
        "A link.",
        " a ",
        " b ",
    ]

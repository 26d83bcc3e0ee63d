"""The corpus that fuzzing has found: every file is read, or refused in one line, soon."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from napari_selfdeconv.errors import ConfigError
from selfdeconv_tools.fuzz import TARGETS, check

CORPUS = Path(__file__).parent / "data" / "fuzz"
FILES = sorted(path for path in CORPUS.rglob("*") if path.is_file())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_of_the_corpus_is_read_or_refused(path: Path, tmp_path: Path) -> None:
    started = time.perf_counter()
    check(path.parent.name, path.read_bytes(), tmp_path)
    assert time.perf_counter() - started < 10


def test_the_corpus_is_small_and_has_both_targets() -> None:
    assert {path.parent.name for path in FILES} == TARGETS.keys()
    assert sum(path.stat().st_size for path in FILES) < 20_000


@pytest.mark.parametrize("message", ["a\nb", "a" * 2000])
def test_a_message_that_is_no_line_is_found(message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_data: bytes, _folder: Path) -> None:
        raise ConfigError(message)

    monkeypatch.setitem(TARGETS, "model", refuse)
    with pytest.raises(AssertionError, match="no line for a window"):
        check("model", b"", tmp_path)

"""What a result of a batch was made from: two results are the same if this is."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_selfdeconv.config.template import Template
from napari_selfdeconv.io.units import number

# Settings that may be paths of files.
_FILES = (("psf", "file"), ("method", "mask"), ("optics", "microscope"), ("output", "align"))
_CHUNK = 1 << 22


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What the result of an image is made from.

    Attributes
    ----------
    image : path of the image.
    template : settings for it.
    sharing : how files share networks.
    mark : the mark of the run that overwrites it; None if none does.
    """

    image: Path
    template: Template
    sharing: str
    mark: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the record. It holds no folder, so that images, PSF and results may be moved."""
        return {
            "image": self.image.name,
            "files": [_state(path, whole=True) for path in self._files()],
            "settings": self._settings(),
            "mark": self.mark,
        }

    def difference(self, found: dict[str, Any]) -> str | None:
        """Return in words how the record of a result differs; None if it does not."""
        if not isinstance(found.get("files"), list):
            return "does not say what it was made from: no batch made it, or an earlier version"
        mine = self._files()
        known = found["files"]
        if len(known) != len(mine) or not all(map(_is_same, known, mine)):
            return "is a result of another image, PSF or mask"
        return None if found.get("settings") == self._settings() else "is a result of other settings"

    def _files(self) -> list[Path]:
        return [self.image, *files_of(self.template)]

    def _settings(self) -> str:
        text = json.dumps([_named(self.template), self.sharing], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def same_settings(one: Template, other: Template) -> bool:
    """Whether two templates are the same, also if a file that they name has moved."""
    pairs = zip(files_of(one), files_of(other), strict=True)
    return _named(one) == _named(other) and all(
        not (first.exists() and second.exists()) or _digest_of(first) == _digest_of(second)
        for first, second in pairs
    )


def files_of(template: Template) -> list[Path]:
    """Return the paths of the files that a template names."""
    return [
        Path(value) for part, name in _FILES if _is_path(value := getattr(getattr(template, part), name), name)
    ]


def _is_path(value: str | None, name: str) -> bool:
    # Other names are those of remembered microscopes, or ways to find a mask.
    if value is None or name == "file":
        return value is not None
    return value not in ("auto", "auto+nan", "none") if name == "mask" else value.lower().endswith(".toml")


def _named(template: Template) -> dict[str, Any]:
    """Return the settings with the names of files only."""
    found = template.to_dict()
    for part, name in _FILES:
        value = found[part][name]
        if _is_path(value, name):
            found[part][name] = Path(value).name
    return found


def _state(path: Path, *, whole: bool = False) -> dict[str, Any] | None:
    """Return size and time of a file or of all files of a folder, and with ``whole`` the digest of its content."""
    try:
        stats = [one.stat() for one in _contents(path)]
    except OSError:
        return None
    state = {
        "bytes": sum(one.st_size for one in stats),
        "time": round(max((one.st_mtime for one in stats), default=0.0), 3),
    }
    return {**state, "sha256": _digest(path.resolve(), **state)} if whole else state


def _is_same(known: Any, path: Path) -> bool:
    """Whether a file is the one with this state. A copy has another time and the same content."""
    state = _state(path)
    if state is None or not isinstance(known, dict) or known.get("bytes") != state["bytes"]:
        return known is None and state is None
    # The time of a file is that of its file system: whole seconds, or parts of them.
    if abs(number(known.get("time")) - state["time"]) < 1e-3:
        return True
    return bool(known.get("sha256") == _digest(path.resolve(), **state))


def _digest_of(path: Path) -> str | None:
    state = _state(path, whole=True)
    return None if state is None else state["sha256"]


@functools.lru_cache(maxsize=64)
def _digest(path: Path, bytes: int, time: float) -> str:
    """Return the SHA-256 of a file, or of the names and contents of a folder. Size and time are for the cache."""
    del bytes, time
    digest = hashlib.sha256()
    for one in _contents(path):
        if one != path:
            digest.update(f"{one.relative_to(path).as_posix()}\n{one.stat().st_size}\n".encode())
        with one.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    return digest.hexdigest()


def _contents(path: Path) -> Iterator[Path]:
    """Yield a file, or the files of a folder, without those that a file browser leaves there."""
    if not path.is_dir():
        yield path
        return
    yield from sorted(
        one for one in path.rglob("*") if one.is_file() and one.name not in (".DS_Store", "Thumbs.db")
    )

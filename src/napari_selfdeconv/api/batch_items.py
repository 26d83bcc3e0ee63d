"""The files of a batch: from a folder, a pattern, or a table with the settings that differ between files."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import glob
import itertools
import os
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_selfdeconv.config.template import Template
from napari_selfdeconv.errors import ConfigError, reason_of

_IMAGES = (".tif", ".tiff", ".stk", ".lsm", ".nd2", ".lif", ".czi", ".npy", ".png", ".zarr")


@dataclass(frozen=True, kw_only=True)
class BatchItem:
    """A file of a batch.

    Attributes
    ----------
    path : path of the file.
    root : the folder that was searched, whose folders the results repeat. None is the folder above that of the
        file: files of a list lie anywhere, and those of two folders often have the same names.
    changes : the settings that differ from the template, as (part, name, value).

    Examples
    --------
    >>> from pathlib import Path
    >>> from napari_selfdeconv import Template
    >>> item = BatchItem(path=Path("a.tif"), changes=(("optics", "wavelength_um", 0.6),))
    >>> item.template(Template()).optics.wavelength_um
    0.6
    >>> BatchItem(path=Path("study/day1/a.tif"), root=Path("study")).inside.as_posix()
    'day1'
    """

    path: Path
    root: Path | None = None
    changes: tuple[tuple[str, str, Any], ...] = ()

    @property
    def inside(self) -> Path:
        """The folder of the result, inside that of all results. Other files of the batch do not change it."""
        # Links are not followed: they may lead out of the folder.
        folder = Path(os.path.normpath(self.path.absolute())).parent
        root = folder.parent if self.root is None else self.root
        try:
            below = Path(os.path.relpath(folder, root))
        except ValueError:  # On another drive of Windows.
            below = folder.relative_to(folder.anchor)
        # A table may name files outside its folder.
        return Path(*(part for part in below.parts if part != os.pardir))

    def template(self, base: Template) -> Template:
        """Return the template for this file."""
        for part, name, value in self.changes:
            base = base.part(part, **{name: value})
        return base


def find_images(where: str | Path, *, recursive: bool = False) -> list[BatchItem]:
    """Return the images of a folder, of a pattern or of a CSV table, in the order of their names or of the table.

    Parameters
    ----------
    where : a folder; a pattern such as ``day1/*.czi``; or a CSV file with the column "file", with paths
        relative to the table. Further columns are named as fields of the template, such as "channel" or
        "wavelength_um"; an empty cell leaves the value of the template.
    recursive : whether files in subfolders are included.

    Returns
    -------
    list of BatchItem
        Their ``root`` is the folder, that of the table, or the part of the pattern before the first wildcard.

    Raises
    ------
    ConfigError
        If there is no such place or no image in it, or the table has an unknown column.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("b.tif", "a.tif", "notes.txt"):
    ...         Path(folder, name).touch()
    ...     [item.path.name for item in find_images(folder)]
    ['a.tif', 'b.tif']
    """
    path = Path(where)
    if path.suffix.lower() == ".csv":
        return _from_table(path)
    if path.is_dir() and path.suffix.lower() != ".zarr":
        names: Iterable[Path] = path.rglob("*") if recursive else path.iterdir()
        found = [one for one in names if one.suffix.lower() in _IMAGES and not one.name.startswith(".")]
        root = path
    else:
        root = Path(*itertools.takewhile(lambda part: not glob.has_magic(part), path.parts[:-1]))
        anchor = Path(path.anchor or ".")
        found = list(anchor.glob(str(path.relative_to(path.anchor)) if path.anchor else str(path)))
    # Files inside a zarr folder are not images of their own.
    found = [one for one in found if not any(parent.suffix.lower() == ".zarr" for parent in one.parents)]
    if not found:
        kinds = ", ".join(_IMAGES)
        raise ConfigError(f"there is no image in {where}", f"give a folder with {kinds} files, a pattern or a CSV")
    return [BatchItem(path=one, root=root) for one in sorted(found)]


def _from_table(path: Path) -> list[BatchItem]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"cannot read the table {path}: {reason_of(error)}") from error
    if not rows or "file" not in rows[0]:
        raise ConfigError(f"{path} is not a table of images", "its first line names columns, one of them 'file'")
    for number, row in enumerate(rows, 1):
        if None in row or not (row["file"] or "").strip():
            problem = "has more cells than there are columns" if None in row else "names no file"
            raise ConfigError(f"row {number} of {path} {problem}")
    return [
        BatchItem(
            path=path.parent / row["file"],
            root=path.parent,
            changes=tuple(
                _change(name, text.strip())
                for name, text in row.items()
                if name != "file" and text and text.strip()
            ),
        )
        for row in rows
    ]


def _change(column: str, text: str) -> tuple[str, str, Any]:
    """Return what a cell changes in the template: the first reading of it that the column allows."""
    for part in dataclasses.fields(Template):
        settings = getattr(Template(), part.name)
        if column not in {one.name for one in dataclasses.fields(settings)}:
            continue
        readings = _readings(text)
        for value in readings:
            with contextlib.suppress(ConfigError):
                dataclasses.replace(settings, **{column: value})
                return part.name, column, value
        # The run of this file says what is wrong.
        return part.name, column, readings[0]
    raise ConfigError(f"the table has a column {column!r}", "name columns as in a settings file, such as channel")


def _readings(text: str) -> list[Any]:
    """Return what a cell can mean: a value of TOML, several of them, the text itself, or its words."""
    words = text.split()
    found: list[Any] = []
    for toml in (text, f"[{', '.join(words)}]"):
        with contextlib.suppress(tomllib.TOMLDecodeError):
            value = tomllib.loads(f"v = {toml}")["v"]
            found.append(tuple(value) if isinstance(value, list) else value)
    return [*found, text, tuple(words)]

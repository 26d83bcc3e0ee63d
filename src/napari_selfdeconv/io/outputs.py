"""Checks whether files can be written, made before the computation and not after it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.io.atomic import check_replaceable, remove_leftovers, temporary_name, write_remedy
from napari_selfdeconv.io.ome_zarr import is_unfinished

OutputKind = Literal["image", "tiff", "model", "settings", "folder"]
# For each kind of output: its name, the allowed endings, and the proposed ending.
_ENDINGS: dict[OutputKind, tuple[str, tuple[str, ...], str]] = {
    "image": ("an OME-TIFF or OME-Zarr", (".tif", ".tiff", ".zarr"), ".ome.tif"),
    "tiff": ("an OME-TIFF", (".tif", ".tiff"), ".ome.tif"),
    "settings": ("a settings file", (".toml",), ".toml"),
    "model": ("a model file", (".safetensors",), ".safetensors"),
}


@dataclass(frozen=True)
class Output:
    """A file or a folder that a command will write.

    Attributes
    ----------
    name : its name for the user, such as "--out".
    path : where.
    kind : what is written there. A folder may exist already; otherwise it is created.
    continues : whether the run goes on in an OME-Zarr folder in which it was killed.

    Examples
    --------
    >>> Output("--save-model", Path("cells.safetensors"), "model").kind
    'model'
    """

    name: str
    path: Path
    kind: OutputKind = "image"
    continues: bool = False


def check_outputs(
    outputs: Sequence[Output], inputs: Mapping[str, Path | None], *, overwrite: bool = False
) -> None:
    """Refuse outputs that cannot be written or would destroy something.

    Parameters
    ----------
    outputs : all that one run writes.
    inputs : all files that it reads, by their names for the user; None for a file that is not given.
    overwrite : whether existing files may be replaced. An input is never replaced.

    Raises
    ------
    ConfigError
        If a name has the ending of another kind of file, is an input or another output, exists already, or is a
        device. Also if its folder is missing or cannot be written to. The message says what to do.

    Examples
    --------
    >>> check_outputs([Output("--out", Path("a.tif"))], {"the image": Path("a.tif")})
    Traceback (most recent call last):
        ...
    napari_selfdeconv.errors.ConfigError: --out and the image are the same file (a.tif): choose another name
    """
    for number, output in enumerate(outputs):
        others = {**inputs, **{other.name: other.path for other in outputs[:number]}}
        for name, path in others.items():
            if path is not None and _is_same(output.path, path):
                what = "folder" if output.kind == "folder" else "file"
                raise ConfigError(
                    f"{output.name} and {name} are the same {what} ({output.path}): choose another name"
                )
        if output.kind == "folder":
            # A missing input ends the run. No empty folder stays behind.
            if all(path is None or path.exists() for path in inputs.values()):
                _make_folder(output)
        else:
            _check_file(output, overwrite)


def _check_file(output: Output, overwrite: bool) -> None:
    path = output.path
    what, endings, proposed = _ENDINGS[output.kind]
    if output.kind == "image" and path.suffix.lower() == ".zarr" and path.is_dir():
        _check_zarr(output, overwrite)
        return
    check_replaceable(path)
    if path.suffix.lower() not in endings:
        raise ConfigError(f"{output.name} is {what}, but its name is {path.name}: call it {path.stem}{proposed}")
    if path.exists() and not overwrite:
        raise ConfigError(f"{path} exists already: choose another name for {output.name}, or add --overwrite")
    if path.exists() and not os.access(path, os.W_OK):
        raise ConfigError(f"cannot write {path}: the file is read-only, choose another name")
    _try_to_write(path, Path(os.path.realpath(path)).parent)


def _check_zarr(output: Output, overwrite: bool) -> None:
    """Refuse to replace a folder that is not an OME-Zarr image, so that no other files are removed."""
    path = output.path
    if output.continues and is_unfinished(path):
        return
    if not overwrite:
        raise ConfigError(f"{path} exists already: choose another name for {output.name}, or add --overwrite")
    check_is_zarr(path, output.name)
    _try_to_write(path, path.resolve().parent)


def check_is_zarr(path: Path, name: str) -> None:
    """Raise ConfigError for a folder that is no OME-Zarr image and must not be replaced by one."""
    if not (path / "zarr.json").is_file():
        raise ConfigError(f"{path} is a folder that is no OME-Zarr image: choose another name for {name}")


def _make_folder(output: Output) -> None:
    path = output.path
    if path.exists() and not path.is_dir():
        raise ConfigError(f"{output.name} is a folder, but {path} is a file: choose another name")
    endings = {ending for _, kinds, _ in _ENDINGS.values() for ending in kinds}
    if not path.exists() and path.suffix.lower() in endings:
        raise ConfigError(
            f"{output.name} is a folder, but its name is that of a file: call it {path.stem.removesuffix('.ome')}"
        )
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot make the folder {path}: {write_remedy(path, error)}") from error
    _try_to_write(path, path)


def _try_to_write(path: Path, folder: Path) -> None:
    """Make an empty file in the folder and remove it, because permissions alone do not show that this works."""
    remove_leftovers(folder)
    probe = folder / temporary_name()
    try:
        probe.touch()
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {write_remedy(path, error)}") from error
    finally:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)


def _is_same(a: Path, b: Path) -> bool:
    with contextlib.suppress(OSError):
        return a.samefile(b)
    return os.path.normcase(os.path.realpath(a)) == os.path.normcase(os.path.realpath(b))

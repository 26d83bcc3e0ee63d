"""Write a file whole or not at all, and remove what a killed process left behind."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import platform
import re
import shutil
import stat
import uuid
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from napari_selfdeconv.errors import ConfigError, reason_of

_OWNED = re.compile(r"\.selfdeconv-([0-9a-f]{8})-(\d{1,9})-([0-9a-f]{8})\.(\w+)")
# Clocks of a file system and of the computer may differ by this many seconds.
_CLOCKS_S = 2.0


@contextlib.contextmanager
def whole_or_not_at_all(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder, which becomes ``path`` on success and is removed otherwise.

    If ``path`` is a link, its target is replaced. Temporary files of killed processes are removed.

    Raises
    ------
    ConfigError
        For any OSError on the way (no such folder, no permission, disk full), with a remedy, and for a device.
    """
    check_replaceable(path)
    target = Path(os.path.realpath(path))
    remove_leftovers(target.parent)
    temporary = target.with_name(temporary_name())
    try:
        yield temporary
        temporary.replace(target)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {write_remedy(path, error)}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def whole_folder_or_not_at_all(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` for a folder, as `whole_or_not_at_all` does for a file.

    A folder that exists already is replaced when the new one is complete, and is put back if that fails.
    """
    target = Path(os.path.realpath(path))
    temporary, old = (target.with_name(temporary_name()) for _ in range(2))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(target.parent)
        yield temporary
        if target.exists():
            target.rename(old)
        temporary.rename(target)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {write_remedy(path, error)}") from error
    finally:
        if old.exists() and not target.exists():
            old.rename(target)
        for folder in (temporary, old):
            shutil.rmtree(folder, ignore_errors=True)


def check_replaceable(path: Path) -> None:
    """Raise ConfigError if ``path`` exists and is not a file, but a folder, a device or a pipe."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {write_remedy(path, error)}") from error
    if stat.S_ISDIR(mode):
        raise ConfigError(f"cannot write {path}: it is a folder, give a file name")
    if not stat.S_ISREG(mode):
        raise ConfigError(f"cannot write {path}: it is a device or a pipe, give the name of a file")


class OwnedFile(NamedTuple):
    """A file with a `temporary_name` of this machine, and whether its process is still running."""

    path: Path
    process: int
    mark: str
    written: float
    alive: bool


def temporary_name(ending: str = "part", mark: str | None = None) -> str:
    """Return a name for a temporary file, which names the process and the machine that made it.

    ``mark`` is eight hexadecimal digits. By default the name is a new one.
    """
    return f".selfdeconv-{_machine()}-{os.getpid()}-{mark or uuid.uuid4().hex[:8]}.{ending}"


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files and folders in ``folder`` that killed processes of this machine left."""
    for path in find_leftovers(folder, "part"):
        with contextlib.suppress(OSError):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()


def find_leftovers(folder: Path, ending: str) -> list[Path]:
    """Return paths with a `temporary_name` whose process has ended, the newest first, without links."""
    left = [(one.written, one.path) for one in find_owned(folder, ending) if not one.alive]
    return [path for _, path in sorted(left, reverse=True)]


def find_owned(folder: Path, ending: str) -> list[OwnedFile]:
    """Return the files with a `temporary_name` of this machine, without links.

    Files of other machines are left out, because nothing here tells whether their processes are running.
    """
    found: list[OwnedFile] = []
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            name = _OWNED.fullmatch(entry.name)
            if not name or (name[1], name[4]) != (_machine(), ending) or entry.is_symlink():
                continue
            with contextlib.suppress(OSError):
                written = entry.stat(follow_symlinks=False).st_mtime
                process = int(name[2])
                found.append(OwnedFile(Path(entry), process, name[3], written, _is_alive(process, written)))
    return found


def write_remedy(path: Path, error: OSError) -> str:
    """Say why ``path`` cannot be written and what to do, without error numbers."""
    # NumPy reports a full disk without an error number: "1000 requested and 512 written".
    if error.errno in (errno.ENOSPC, errno.EDQUOT) or "requested and" in str(error):
        return "the disk is full, free some space or choose another folder"
    if error.errno == errno.ENAMETOOLONG:
        return "the name is too long, choose a shorter one"
    if error.errno == errno.EROFS:
        return "the disk is read-only, choose another folder"
    if error.errno in (errno.EIO, errno.ENODEV, errno.ENXIO, getattr(errno, "ESTALE", errno.EIO)):
        return "the disk does not answer, check its connection or choose another folder"
    with contextlib.suppress(OSError):
        if path.is_dir():
            return "it is a folder, give a file name"
        if not path.parent.is_dir():
            return f"there is no folder {path.parent}, create it first"
    if isinstance(error, PermissionError):
        return "no permission, choose another folder"
    return reason_of(error)


@cache
def _machine() -> str:
    """Return a mark of this machine and its process numbers: several machines may share a folder."""
    try:
        numbers = str(Path("/proc/self/ns/pid").readlink())
    except OSError:  # Not Linux: one machine, one list of processes.
        numbers = ""
    return hashlib.sha256(f"{platform.node()} {numbers}".encode()).hexdigest()[:8]


def _is_alive(process: int, written: float) -> bool:
    """Whether the process that wrote a file is still running. A younger process with its number does not count."""
    import psutil

    try:
        found = psutil.Process(process)
        # A zombie has ended, but its parent has not asked for its exit status.
        ended = found.status() == psutil.STATUS_ZOMBIE
        return not ended and bool(found.create_time() <= written + _CLOCKS_S)
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return True

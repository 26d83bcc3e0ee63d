"""Write a file whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import uuid
from collections.abc import Iterator
from pathlib import Path

from napari_selfdeconv.errors import ConfigError


@contextlib.contextmanager
def whole_or_not_at_all(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder, which becomes ``path`` on success and is gone otherwise.

    Raises
    ------
    ConfigError
        For any OSError on the way (no such folder, no permission, disk full), with a remedy.
    """
    temporary = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {_remedy(path, error)}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _remedy(path: Path, error: OSError) -> str:
    # NumPy reports a full disk without an error number: "1000 requested and 512 written".
    if error.errno in (errno.ENOSPC, errno.EDQUOT) or "requested and" in str(error):
        return "the disk is full, free some space or choose another folder"
    if path.is_dir():
        return "it is a folder, give a file name"
    if not path.parent.is_dir():
        return f"there is no folder {path.parent}, create it first"
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        return "no permission, choose another folder"
    return error.strerror or str(error)

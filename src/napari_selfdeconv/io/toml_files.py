"""TOML files of the user: read into a dictionary, or refused with a message of one line, and written."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_selfdeconv.errors import ConfigError, reason_of
from napari_selfdeconv.io.atomic import whole_or_not_at_all

# Settings have a few kilobytes.
_MOST_BYTES = 1_000_000


def read_toml(path: str | os.PathLike[str], what: str) -> dict[str, Any]:
    """Return the names and values that a TOML file holds.

    Parameters
    ----------
    path : path of a UTF-8 text file of at most 1 MB.
    what : what the file should hold, for the message.

    Raises
    ------
    ConfigError
        If the file cannot be read, is too large, or holds no TOML.
    """
    try:
        size = Path(path).stat().st_size
        if size > _MOST_BYTES:
            raise ConfigError(f"{path} does not hold {what}: it has {size / 1e6:.0f} MB")
        return tomllib.loads(Path(path).read_bytes().decode("utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {what} from {reason_of(error)}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} does not hold {what}: it is no text file") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} does not hold {what}: {reason_of(error)}") from error


def write_toml(path: str | os.PathLike[str], values: Mapping[str, Any]) -> None:
    """Write names and values, whole or not at all. Values that are None are left out, as TOML has no None.

    Raises
    ------
    ConfigError
        If the file cannot be written.
    """
    text = toml_text(values)
    with whole_or_not_at_all(Path(path)) as temporary:
        temporary.write_text(text, "utf-8")


def toml_text(values: Mapping[str, Any]) -> str:
    """Return names and values as TOML without those that are None; ConfigError for values that TOML lacks."""
    import tomli_w

    try:
        return tomli_w.dumps(_without_none(values))
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(f"the settings cannot be written: {reason_of(error)}") from error


def _without_none(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_none(item) for name, item in value.items() if item is not None}
    return [_without_none(item) for item in value] if isinstance(value, list) else value

"""JSON from a file: read into a dictionary, or refused with a message of one line."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from napari_selfdeconv.errors import ConfigError, reason_of

# Settings and records have a few kilobytes.
_MOST_BYTES = 16_000_000


def read_json(path: str | os.PathLike[str], what: str) -> dict[str, Any]:
    """Return the JSON object that a file holds.

    Parameters
    ----------
    path : path of a UTF-8 text file of at most 16 MB.
    what : what the file should hold, for the message.

    Raises
    ------
    ConfigError
        If the file cannot be read, is too large, or holds no JSON object.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "run.json").write_text('{"seed": 1}')
    ...     read_json(f"{folder}/run.json", "the settings of a run")
    {'seed': 1}
    """
    try:
        size = Path(path).stat().st_size
        if size > _MOST_BYTES:
            raise ConfigError(f"{path} does not hold {what}: it has {size / 1e6:.0f} MB")
        text = Path(path).read_bytes().decode("utf-8")
    except OSError as error:
        raise ConfigError(f"cannot read {what} from {reason_of(error)}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} does not hold {what}: it is no text file") from error
    return parse_json(text, f"{path} does not hold {what}")


def parse_json(text: str, problem: str) -> dict[str, Any]:
    """Return the JSON object that a text holds, or raise ConfigError that starts with ``problem``.

    Examples
    --------
    >>> parse_json('{"steps": 5}', "no settings")
    {'steps': 5}
    >>> parse_json("[" * 100_000, "no settings")
    Traceback (most recent call last):
        ...
    napari_selfdeconv.errors.ConfigError: no settings: its brackets are nested too deep
    """
    values = parse_value(text, problem)
    if not isinstance(values, dict):
        raise ConfigError(f"{problem}: it has no names and values")
    return values


def parse_value(text: str, problem: str) -> Any:
    """Return the JSON value that a text holds, or raise ConfigError that starts with ``problem``."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ConfigError(f"{problem}: its brackets are nested too deep") from None
    except ValueError as error:
        raise ConfigError(f"{problem}: {reason_of(error)}") from error

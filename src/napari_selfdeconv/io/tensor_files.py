"""Files of tensors with a header of texts, in the format safetensors. Reading one runs no code from it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from napari_selfdeconv.config.checks import cut, shown
from napari_selfdeconv.errors import ConfigError, reason_of
from napari_selfdeconv.io.atomic import whole_or_not_at_all


def write_tensors(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> None:
    """Write a file whole or not at all; ConfigError if that fails.

    Examples
    --------
    >>> import tempfile
    >>> import torch
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "a.safetensors")
    ...     write_tensors(path, {"weights": torch.ones(3)}, {"format": "mine"})
    ...     with open_tensors(path, "mine", "a file of weights", "give another name") as (file, header):
    ...         file.get_tensor("weights").tolist()
    [1.0, 1.0, 1.0]
    """
    # clone: safetensors refuses memory that is shared.
    copies = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    with whole_or_not_at_all(path) as temporary:
        # Not `save_file`: it writes a temporary file of its own first, which a kill would leave behind.
        temporary.write_bytes(safetensors.torch.save(copies, dict(header)))


@contextlib.contextmanager
def open_tensors(path: Path, form: str, what: str, remedy: str) -> Iterator[tuple[Any, dict[str, str]]]:
    """Yield an open file and its header.

    Parameters
    ----------
    path : path of the file.
    form : value of "format" in the header.
    what, remedy : what the file should be and what to do, for the message if it is another one.

    Raises
    ------
    ConfigError
        If the file cannot be read or is another one.
    """
    try:
        # safetensors says of a file without permission that it does not exist.
        with path.open("rb"):
            pass
    except OSError as error:
        raise ConfigError(f"cannot read {what} from {reason_of(error)}", remedy) from error
    try:
        with safetensors.safe_open(path, framework="pt", device="cpu") as file:
            header = file.metadata() or {}
            if header.get("format") != form:
                raise ConfigError(
                    f"{path} is not {what} this version reads: its format is {shown(header.get('format'))}, "
                    f"not {form!r}",
                    remedy,
                )
            yield file, header
    except (safetensors.SafetensorError, OSError) as error:
        raise ConfigError(f"{path} is not {what}: {cut(reason_of(error))}", remedy) from error

"""Outputs that a run claims while it computes, so that a second run does not replace its result."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.io.atomic import OwnedFile, find_owned, temporary_name
from napari_selfdeconv.io.outputs import Output

_ENDING = "claim"
_WAIT_S = 0.01


@contextlib.contextmanager
def claim_outputs(outputs: Sequence[Output]) -> Iterator[None]:
    """Refuse files that another process is about to write, and let no other process write them meanwhile.

    Parameters
    ----------
    outputs : all that one run writes. Folders are not claimed, because several runs may write into one.

    Raises
    ------
    ConfigError
        If another run of this machine has claimed one of them.

    Notes
    -----
    A claim is a small hidden file beside the output. Its name says which process has made it, so the claim of a
    process that was killed does not count, and the next run there removes it. Runs of other machines on a shared
    folder are not seen. Where no file can be made, nothing is claimed.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     output = Output("--out", Path(folder) / "cells.ome.tif")
    ...     with claim_outputs([output]), claim_outputs([output]):
    ...         pass
    Traceback (most recent call last):
        ...
    napari_selfdeconv.errors.ConfigError: another run (process ...) is writing ...cells.ome.tif: wait until ...
    """
    with contextlib.ExitStack() as claims:
        for output in outputs:
            if output.kind != "folder":
                claims.enter_context(_claimed(output))
        yield


@contextlib.contextmanager
def _claimed(output: Output) -> Iterator[None]:
    target = Path(os.path.realpath(output.path))
    mark = hashlib.sha256(os.fsencode(os.path.normcase(target.name))).hexdigest()[:8]
    mine = target.with_name(temporary_name(_ENDING, mark))
    _find_others(mine, mark)  # removes one that a killed process with the number of this one has left
    try:
        mine.touch(exist_ok=False)
    except FileExistsError:
        raise _refusal(output, os.getpid()) from None
    except OSError:
        yield
        return
    try:
        _wait_for(output, mine, mark)
        mine.write_bytes(b"held")
        yield
    finally:
        with contextlib.suppress(OSError):
            mine.unlink(missing_ok=True)


def _wait_for(output: Output, mine: Path, mark: str) -> None:
    """Return when the output belongs to this process alone.

    An empty claim is one of a process that is looking for others as well. Of two such processes the one with the
    larger number gives up, and the other one waits until it has. A claim that is not empty has won.
    """
    while others := _find_others(mine, mark):
        for other in others:
            with contextlib.suppress(FileNotFoundError):
                if other.process <= os.getpid() or other.path.stat().st_size > 0:
                    raise _refusal(output, other.process)
        time.sleep(_WAIT_S)


def _find_others(mine: Path, mark: str) -> list[OwnedFile]:
    """Return the claims of running processes on the same output, and remove claims of ended ones."""
    claims = find_owned(mine.parent, _ENDING)
    for claim in claims:
        if not claim.alive:
            with contextlib.suppress(OSError):
                claim.path.unlink()
    return [claim for claim in claims if claim.alive and claim.mark == mark and claim.path != mine]


def _refusal(output: Output, process: int) -> ConfigError:
    return ConfigError(
        f"another run (process {process}) is writing {output.path}",
        f"wait until it has ended, or choose another name for {output.name}",
    )

"""Errors of torch and numpy, translated into ours in one place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from napari_selfdeconv.compute.device import is_out_of_memory
from napari_selfdeconv.errors import ComputeError, OutOfMemory

# Words that occur only in errors of a graphics card.
_CARD_WORDS = ("cuda", "cudnn", "cufft", "cublas", "hip", "mps", "alloc_failed")


def translate_error(error: RuntimeError | MemoryError) -> ComputeError:
    """Return an error of a computation in the reader's words, with the remedy.

    Parameters
    ----------
    error : error of torch or numpy.

    Examples
    --------
    >>> str(translate_error(MemoryError()))
    'this computer ran out of memory: close other programs, use a smaller image, or set a smaller patch or tile'
    """
    if not is_out_of_memory(error):
        return ComputeError(f"the computation failed: {error}")
    if any(word in str(error).lower() for word in _CARD_WORDS):
        return OutOfMemory(
            "the graphics card ran out of memory",
            "set the device to cpu, close other programs that use the card, or set a smaller patch or tile",
        )
    return OutOfMemory(
        "this computer ran out of memory",
        "close other programs, use a smaller image, or set a smaller patch or tile",
    )


@contextmanager
def translate_errors() -> Iterator[None]:
    """Raise `ComputeError` for every RuntimeError and MemoryError inside the block.

    napari's worker takes a RuntimeError for a deleted worker, and then never ends.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        raise translate_error(error) from error

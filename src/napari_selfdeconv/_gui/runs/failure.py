"""What a failed run says to the user: what happened, and what to do about it."""

from __future__ import annotations

import traceback
from dataclasses import dataclass

from napari_selfdeconv.errors import ComputeError, ConfigError, NotFinite, OutOfMemory


@dataclass(frozen=True)
class Failure:
    """The run failed: what happened, what to do, and the error where it was not one of ours."""

    message: str
    remedy: str = ""
    unexpected: Exception | None = None

    @property
    def text(self) -> str:
        """Message and remedy, one below the other."""
        return f"{self.message}\n{self.remedy}".strip()


def explain(error: BaseException) -> Failure:
    """Return ``error`` in the user's words, with the remedy."""
    if not isinstance(error, Exception):
        # napari ends if it receives a KeyboardInterrupt.
        ended = RuntimeError(f"the computation was ended from inside ({error!r})")
        error = ended.with_traceback(error.__traceback__)
    if isinstance(error, (RuntimeError, MemoryError)):
        # Here and not above: the import takes torch with it, and this is the worker's thread.
        from napari_selfdeconv.api import translate_error

        translated = translate_error(error)
        error = translated if isinstance(translated, OutOfMemory) else error
    text = str(error).strip() or type(error).__name__
    if isinstance(error, NotFinite):
        return Failure(text, "Or leave them out: under 'Camera and pixels' choose 'leave out, and NaN'.")
    if isinstance(error, ConfigError):
        return Failure(text)
    if isinstance(error, ComputeError):
        remedy = error.remedy or "try another seed, or the device cpu, under Advanced"
        return Failure(_as_sentence(error.problem), _as_sentence(remedy))
    # Frames hold the arrays they worked on; the traceback is kept for the report, the memory is not.
    traceback.clear_frames(error.__traceback__)
    remedy = "This error was not expected. Please report it with the traceback from napari's notification."
    return Failure(f"{type(error).__name__}: {text}", remedy, unexpected=error)


def _as_sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."

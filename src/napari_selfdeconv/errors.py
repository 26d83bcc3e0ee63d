"""What can go wrong, in two kinds: the caller's input, and the computation.

None of these derives from RuntimeError: napari's generator worker takes a RuntimeError for a deleted
worker and never reports it.
"""

from __future__ import annotations


class SelfDeconvError(Exception):
    """Base of every error this package raises on purpose.

    Attributes
    ----------
    problem : what is wrong.
    remedy : what to do about it; "" if that is not known, or if the problem says it.

    The text of the error is both.
    """

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(f"{problem}: {remedy}" if remedy else problem)
        self.problem, self.remedy = problem, remedy


class ConfigError(SelfDeconvError, ValueError):
    """A setting or an input that cannot be used; the message names it, its range and what was received."""


class UnusablePixels(ConfigError):
    """An image that cannot be used because of its values."""


class ConstantImage(UnusablePixels):
    """An image whose pixels are all equal."""


class ComputeError(SelfDeconvError):
    """The computation failed (out of memory, unusable device, numbers that stopped being finite)."""


class OutOfMemory(ComputeError):
    """The device or the computer does not have enough memory."""


class Cancelled(SelfDeconvError):
    """The user asked to discard the run."""


def reason_of(error: BaseException) -> str:
    """Return what an error says, in one line and without error numbers.

    Examples
    --------
    >>> reason_of(FileNotFoundError(2, "No such file or directory", "a.tif"))
    'a.tif: No such file or directory'
    """
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return " ".join(str(error).split()) or type(error).__name__

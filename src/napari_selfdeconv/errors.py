"""What can go wrong, in two kinds: the caller's input, and the computation.

None of these derives from RuntimeError: napari's generator worker takes a RuntimeError for a deleted
worker and never reports it.
"""

from __future__ import annotations


class SelfDeconvError(Exception):
    """Base of every error this package raises on purpose."""


class ConfigError(SelfDeconvError, ValueError):
    """A setting or an input that cannot be used; the message names it, its range and what was received."""


class ComputeError(SelfDeconvError):
    """The computation failed (out of memory, unusable device, numbers that stopped being finite)."""


class OutOfMemory(ComputeError):
    """The device, or the computer, has not the memory for it."""


class Cancelled(SelfDeconvError):
    """The user asked to discard the run."""

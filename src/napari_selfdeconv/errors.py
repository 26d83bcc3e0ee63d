"""The errors of the package, of two kinds: wrong input of the caller, and failures of the computation.

None of these derives from RuntimeError: napari's generator worker takes a RuntimeError for a deleted
worker and never reports it.
"""

from __future__ import annotations


class SelfDeconvError(Exception):
    """Base of all errors that this package raises deliberately. The text is problem and remedy.

    Attributes
    ----------
    problem : what is wrong.
    remedy : what to do about it; "" if that is unknown, or if the problem states it.

    Examples
    --------
    >>> error = SelfDeconvError("the disk is full", "choose another folder")
    >>> str(error), error.remedy
    ('the disk is full: choose another folder', 'choose another folder')
    """

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(f"{problem}: {remedy}" if remedy else problem)
        self.problem, self.remedy = problem, remedy


class ConfigError(SelfDeconvError, ValueError):
    """A setting or an input that cannot be used. The message names it, the allowed range and the value.

    Examples
    --------
    >>> from napari_selfdeconv import preset
    >>> try:
    ...     preset("quick", 2, steps=-1)
    ... except ConfigError as error:
    ...     "steps" in str(error)
    True
    """


class UnusablePixels(ConfigError):
    """An image that cannot be used because of its values.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_selfdeconv.api import check_image
    >>> try:
    ...     check_image([[0.0, np.nan], [1.0, 2.0]])
    ... except UnusablePixels as error:
    ...     "replace them first" in str(error)
    True
    """


class NotFinite(UnusablePixels):
    """An image with NaN or infinite pixels, which the weights "auto+nan" leave out.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_selfdeconv.api import check_image
    >>> try:
    ...     check_image([[0.0, np.nan], [1.0, 2.0]])
    ... except NotFinite as error:
    ...     "1 NaN" in str(error)
    True
    """


class ConstantImage(UnusablePixels):
    """An image whose pixels are all equal.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_selfdeconv.api import check_image
    >>> try:
    ...     check_image(np.ones((8, 8)))
    ... except ConstantImage:
    ...     "constant"
    'constant'
    """


class ComputeError(SelfDeconvError):
    """The computation failed, because of memory, the device, or values that are no longer finite.

    Examples
    --------
    >>> ComputeError("the loss is not finite", "try a lower learning rate").problem
    'the loss is not finite'
    """


class OutOfMemory(ComputeError):
    """The device or the computer does not have enough memory.

    Examples
    --------
    >>> from napari_selfdeconv.api import translate_error
    >>> isinstance(translate_error(MemoryError()), OutOfMemory)
    True
    """


class Cancelled(SelfDeconvError):
    """The run was discarded by ``StopToken.cancel()``.

    Examples
    --------
    >>> from napari_selfdeconv import StopToken, iter_richardson_lucy
    >>> from napari_selfdeconv.events import drain
    >>> import numpy as np
    >>> stop = StopToken()
    >>> stop.cancel()
    >>> try:
    ...     drain(iter_richardson_lucy(np.eye(16), np.ones((1, 1)), (2,), stop=stop))
    ... except Cancelled:
    ...     "discarded"
    'discarded'
    """


def reason_of(error: BaseException) -> str:
    """Return the text of an error in one line, without error numbers.

    Examples
    --------
    >>> reason_of(FileNotFoundError(2, "No such file or directory", "a.tif"))
    'a.tif: No such file or directory'
    """
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return " ".join(str(error).split()) or type(error).__name__

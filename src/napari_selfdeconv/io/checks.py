"""Checks whether an image can be deconvolved. The message says why not and what to do."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_selfdeconv.arrays.scaling import check_values
from napari_selfdeconv.config.checks import shown
from napari_selfdeconv.errors import ConfigError, reason_of

GREY_HINT = "convert it to grey first (Fiji: Image > Type > 32-bit; Python: skimage.color.rgb2gray)"


def as_array(name: str, value: ArrayLike) -> NDArray[Any]:
    """Return ``value`` as an array of real numbers; ConfigError, with the name, if it is not one.

    Examples
    --------
    >>> as_array("the result", [[1], [2, 3]])
    Traceback (most recent call last):
        ...
    napari_selfdeconv.errors.ConfigError: the result must be an array of numbers: its rows differ in length
    """
    data = to_array(name, value)
    _check_real(name, data)
    return data


def to_array(name: str, value: ArrayLike) -> NDArray[Any]:
    """Return ``value`` as an array of any type; ConfigError, with the name, if that is not possible."""
    if value is None or isinstance(value, (str, bytes, os.PathLike)):
        raise ConfigError(
            f"{name} must be an array of numbers, got {shown(value)}", "read_image(path).data is one"
        )
    refuse_mask(name, value)
    try:
        return np.asarray(value)
    except ValueError:
        raise ConfigError(f"{name} must be an array of numbers: its rows differ in length") from None
    except (TypeError, RuntimeError) as error:  # such as a tensor on a graphics card
        raise ConfigError(f"{name} cannot be turned into an array: {reason_of(error)}") from error


def refuse_mask(name: str, value: Any) -> None:
    """Raise ConfigError for a masked array in which something is masked: NumPy drops masks without a word.

    Examples
    --------
    >>> refuse_mask("the image", np.ma.masked_equal([[1, 2]], 2))
    Traceback (most recent call last):
        ...
    napari_selfdeconv.errors.ConfigError: the image came as a masked array, whose mask does not count here: ...
    """
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise ConfigError(
            f"{name} came as a masked array, whose mask does not count here",
            "give its data, and weights that are 0 where it is masked",
        )


def check_sliceable(image: Any, out: Any = None) -> None:
    """Raise ConfigError unless parts of an image can be read, and float32 can be written into ``out``.

    Examples
    --------
    >>> check_sliceable([[1, 2]])
    Traceback (most recent call last):
        ...
    napari_selfdeconv.errors.ConfigError: the image must be an array that can be sliced, got a list: ...
    """
    if not (hasattr(image, "shape") and hasattr(image, "dtype")):
        kind = type(image).__name__
        raise ConfigError(f"the image must be an array that can be sliced, got a {kind}", "np.asarray makes one")
    refuse_mask("the image", image)
    if out is not None and not np.can_cast(np.float32, out.dtype):
        raise ConfigError(
            f"out holds {out.dtype}, and the result is float32: its fractions would be lost",
            "give a float32 array",
        )


def check_image(data: ArrayLike, axes: str | None = None) -> NDArray[Any]:
    """Return ``data`` as an array, or say why it cannot be deconvolved.

    Parameters
    ----------
    data : array_like, shape ([z,] y, x)
    axes : str, optional
        One letter an axis, as in `ImageFile`; finds time and channel axes that a shape does not show.

    Returns
    -------
    ndarray
        The same values and type.

    Raises
    ------
    ConfigError
        Unless it is 2D or 3D, real, not colour, and its values can be used (`check_values`).

    Examples
    --------
    >>> check_image([[0, 1], [2, np.nan]])
    Traceback (most recent call last):
        ...
    napari_selfdeconv.errors.NotFinite: the image has 1 NaN and 0 infinite pixels: replace them first
    """
    image = as_array("the image", data)
    check_layout("the image", image, axes)
    check_values(image)
    return image


def looks_like_colour(shape: tuple[int, ...]) -> bool:
    return shape[-1] in (2, 3, 4) and min(shape[-3:-1]) > 4


def check_layout(name: str, data: NDArray[Any], axes: str | None = None) -> None:
    """Check that an array is 2D or 3D, real and not in colour, without looking at its values.

    Parameters
    ----------
    name : name of the image in messages.
    data : array of any kind.
    axes : letters of ZYX, if known.

    Raises
    ------
    ConfigError
        If the array is not 2D or 3D, is empty, has channels or colours, or does not hold real numbers.

    Examples
    --------
    >>> check_layout("the image", np.zeros((4, 8, 8, 8)))
    Traceback (most recent call last):
        ...
    napari_selfdeconv.errors.ConfigError: the image must be 2D or 3D, got shape (4, 8, 8, 8): ...
    """
    if axes is None and data.ndim == 3 and looks_like_colour(data.shape):
        raise ConfigError(f"{name} looks like a colour image, shape {data.shape}: {GREY_HINT}")
    if axes is not None and set(axes) - set("ZYX"):
        raise ConfigError(
            f"{name} has axes {axes}, shape {data.shape}: keep one channel and one time point, as YX or ZYX "
            "(a z-stack stored as time or channels: relabel it, in Fiji by Image > Properties)"
        )
    if data.ndim not in (2, 3):
        raise ConfigError(f"{name} must be 2D or 3D, got shape {data.shape}: keep one channel and time point")
    if data.size == 0:
        raise ConfigError(f"{name} is empty, shape {data.shape}")
    _check_real(name, data)


def _check_real(name: str, data: NDArray[Any]) -> None:
    if data.dtype.kind not in "iuf":
        hint = {"c": "take its magnitude", "b": "convert it to numbers"}.get(data.dtype.kind, "convert it")
        raise ConfigError(f"{name} must hold real numbers, got {data.dtype}: {hint} first")

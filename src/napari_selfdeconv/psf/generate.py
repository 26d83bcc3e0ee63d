"""The PSF of a microscope on the voxel grid, computed by a model of the registry."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv.config.optics import Optics
from napari_selfdeconv.psf.models import model_of


class PsfWarning(UserWarning):
    """A warning about a PSF that was computed: its sampling, its window or the optics should be checked.

    Examples
    --------
    >>> import warnings
    >>> from napari_selfdeconv import Optics
    >>> coarse = Optics(na=1.2, wavelength_um=0.52, refractive_index=1.33)
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     _ = richards_wolf_psf((5, 5), (0.5, 0.5), coarse)
    >>> caught[0].category.__name__
    'PsfWarning'
    """


def richards_wolf_psf(shape: Sequence[int], spacing_um: Sequence[float], optics: Optics) -> NDArray[np.float32]:
    """Compute the PSF of a microscope, by its model in the registry `psf.models.MODELS`.

    Parameters
    ----------
    shape : (nz, ny, nx) or (ny, nx) for a single plane; any parity.
    spacing_um : voxel size in um in the same order, (dz, dy, dx) or (dy, dx); dy and dx may differ.
    optics : the microscope. Plane k is focused ``(k - nz // 2) * dz + defocus_um`` deeper than the emitter.
        A camera integrates over its pixels (laterally; planes are sampled); for a point-scanning confocal
        set ``pixel_integration=False``.

    Returns
    -------
    float32 array of ``shape``, >= 0, sum 1, peak at ``n // 2`` on every axis (unless defocused).
    With layers, z also counts from the plane in which the centre is brightest (`focus_shift`).

    Raises
    ------
    ConfigError
        If the shape or the spacing is not positive, or their lengths differ. Also if na reaches an index that the
        objective was designed for, or the layers aberrate the light more than can be integrated.

    Warns
    -----
    PsfWarning
        Pixels or planes too coarse for the optics, less than 90 % of a plane's light inside the window, or na
        above the sample's index.

    Notes
    -----
    float64 inside. Each plane is tabulated along the radius and put on the grid by interpolation of degree 7 and
    q x q Gauss-Legendre points a pixel, q = 2 + ceil(2 pi na dxy / wavelength).

    References
    ----------
    Richards and Wolf 1959, https://doi.org/10.1098/rspa.1959.0200
    Gibson and Lanni 1991, https://doi.org/10.1364/JOSAA.8.001601

    Examples
    --------
    >>> optics = Optics(na=1.4, wavelength_um=0.52, refractive_index=1.515)
    >>> psf = richards_wolf_psf((3, 64, 65), (0.05, 0.065, 0.065), optics)
    >>> psf.shape, str(psf.dtype), round(float(psf.sum()), 4)
    ((3, 64, 65), 'float32', 1.0)
    >>> bool(psf[1, 32, 32] == psf.max())
    True
    """
    psf, sampling, window = model_of(optics).compute(shape, spacing_um, optics)
    for message in sampling + window:
        warnings.warn(message, PsfWarning, stacklevel=2)
    return psf


def psf_for_image(
    optics: Optics, voxel_um: Sequence[float], image_shape: Sequence[int]
) -> tuple[NDArray[np.float32], list[str]]:
    """Compute a compact PSF of a size that suits the image and the network.

    Use `psf_for_stack` for a widefield stack. Classical methods without an open border need a compact PSF.

    Parameters
    ----------
    optics : the microscope.
    voxel_um : voxel size in um, (dz, dy, dx) or (dy, dx).
    image_shape : shape of the image in the same order.

    Returns
    -------
    The PSF (see `richards_wolf_psf`; its size is `suggest_psf_shape`'s), and sentences about the sampling and the
    optics that the user should read. That the outer planes spread beyond the window is part of the choice of size
    and is not among them.

    Raises
    ------
    ConfigError
        As `richards_wolf_psf`.

    Examples
    --------
    >>> optics = Optics(na=0.8, wavelength_um=0.6, refractive_index=1.33)
    >>> psf, notes = psf_for_image(optics, (0.406, 0.406), (256, 256))
    >>> psf.shape[0] % 2, len(notes)
    (1, 1)
    """
    shape = suggest_psf_shape(optics, voxel_um, image_shape)
    psf, sampling, _ = model_of(optics).compute(shape, voxel_um, optics)
    return psf, sampling


def psf_and_notes(
    shape: Sequence[int], spacing_um: Sequence[float], optics: Optics
) -> tuple[NDArray[np.float32], list[str], list[str]]:
    """Return the array of `richards_wolf_psf`, doubts about sampling and optics, and doubts about the window.

    The doubts are sentences and not Python warnings, because filters of warnings are shared by all threads.

    Parameters
    ----------
    shape, spacing_um, optics : as in `richards_wolf_psf`.

    Raises
    ------
    ConfigError
        As `richards_wolf_psf`.

    Examples
    --------
    >>> from napari_selfdeconv import Optics
    >>> optics = Optics(na=1.2, wavelength_um=0.52, refractive_index=1.33)
    >>> psf, doubts, window = psf_and_notes((31, 31), (0.05, 0.05), optics)
    >>> psf.shape, doubts
    ((31, 31), [])
    """
    return model_of(optics).compute(shape, spacing_um, optics)


def suggest_psf_shape(
    optics: Optics, spacing_um: Sequence[float], image_shape: Sequence[int], energy: float = 0.9
) -> tuple[int, ...]:
    """Suggest a compact odd size for the PSF of an image.

    Laterally, the window holds the share ``energy`` of the light of the planes within one depth of focus,
    wavelength / (n - sqrt(n^2 - na^2)), of the brightest (in 2D: of the plane itself). Along z it ends where the
    light inside that window has fallen below ``1 - energy`` of its largest value: a widefield plane never loses
    light, it only spreads it beyond the window. No axis is longer than 129 pixels in 2D, 65 voxels in 3D (memory:
    the PSF pads every tile), or than the largest odd size inside the image.

    Parameters
    ----------
    optics : the microscope.
    spacing_um : voxel size in um, (dz, dy, dx) or (dy, dx).
    image_shape : shape of the image in the same order.
    energy : 0.01 to 0.999.

    Returns
    -------
    tuple of odd ints, as long as ``image_shape``.

    Raises
    ------
    ConfigError
        As `richards_wolf_psf`, and for ``energy`` out of range.

    Examples
    --------
    >>> optics = Optics(na=1.4, wavelength_um=0.52, refractive_index=1.515)
    >>> suggest_psf_shape(optics, (0.2, 0.065, 0.065), (13, 512, 512))
    (13, 29, 29)
    """
    return model_of(optics).suggest_shape(optics, spacing_um, image_shape, energy)

"""The kernel that the paper blurs its truths with, computed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import j0

from napari_selfdeconv.errors import ConfigError

_NA, _REFRACTIVE_INDEX, _WAVELENGTH_UM, _VOXEL_UM = 0.8, 1.33, 0.6, 0.406
_SIZE = 17
# Between planes 7 and 8.
_FOCUS = 7.5
_NODES = 200


def paper_psf(ndim: int) -> NDArray[np.float32]:
    """Return the paper's kernel: 17^3 voxels of 0.406 um in 3D, in 2D the first plane of that, 3 um out of focus.

    Scalar diffraction at a uniform pupil (Gibson and Lanni without any mismatch), NA 0.8 in water, 0.6 um, at
    points. Like the program it came from, it is computed at radii half a pixel apart, with straight lines between.

    Parameters
    ----------
    ndim : 2 or 3.

    Returns
    -------
    ndarray of float32, unit sum
        0.2 % (relative L2) from the array that the paper used, whose integrals were cut short. For a microscope of
        today take `richards_wolf_psf`.

    Raises
    ------
    ConfigError
        For another number of axes.

    References
    ----------
    Papkov, Palo, Parts (2023), Self-Supervised Single-Image Deconvolution with Siamese Neural Networks.

    Examples
    --------
    >>> paper_psf(3).shape, round(float(paper_psf(2).sum()), 5)
    ((17, 17, 17), 1.0)
    """
    if ndim not in (2, 3):
        raise ConfigError(f"the paper's kernel has 2 or 3 axes, got {ndim}")
    node, weight = np.polynomial.legendre.leggauss(_NODES)
    pupil, weight = (node + 1) / 2, weight / 2
    across = np.arange(_SIZE) - _SIZE // 2
    radius = np.hypot(*np.meshgrid(across, across, indexing="ij"))
    radii = np.arange(0, radius.max() + 0.5, 0.5)
    wavenumber = 2 * np.pi / _WAVELENGTH_UM
    waves = weight * pupil * j0(wavenumber * _NA * _VOXEL_UM * radii[:, None] * pupil)
    depth_um = (np.arange(_SIZE) - _FOCUS)[:, None] * _VOXEL_UM
    phase = np.exp(1j * wavenumber * depth_um * np.sqrt(_REFRACTIVE_INDEX**2 - _NA**2 * pupil**2))
    planes = np.stack([np.interp(radius, radii, values) for values in np.abs(phase @ waves.T) ** 2])
    kernel = planes if ndim == 3 else planes[0]
    return np.asarray(kernel / kernel.sum(), np.float32)

"""Simulated measurements: the blur and noise of the benchmark, and samples whose truth is known."""

from __future__ import annotations

from dataclasses import dataclass

from napari_selfdeconv.config.optics import Optics
from napari_selfdeconv.psf.generate import richards_wolf_psf
from napari_selfdeconv.simulate.degrade import Array, degrade, rescale_to_unit
from napari_selfdeconv.simulate.phantoms import cells_2d, microtubules_3d


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A simulated measurement together with everything that is known about it.

    Attributes
    ----------
    image : ndarray of float32, shape ([z,] y, x)
        Blurred and noisy, in [0, 1].
    psf : ndarray of float32, ([z,] y, x)
        Sums to 1.
    truth : ndarray of float32, the shape of ``image``
        What a perfect deconvolution would return.
    voxel_um : tuple of float
        Voxel size in micrometres, ([z,] y, x).
    optics : Optics
        The microscope the PSF was computed for.
    """

    image: Array
    psf: Array
    truth: Array
    voxel_um: tuple[float, ...]
    optics: Optics


def sample_2d(seed: int = 0) -> Sample:
    """Return a sheet of cells, 512 x 512, seen a little out of focus, with the benchmark's 2D noise.

    Parameters
    ----------
    seed : seed of scene and noise.

    Examples
    --------
    >>> sample = sample_2d()
    >>> sample.image.shape, sample.psf.shape, sample.voxel_um
    ((512, 512), (25, 25), (0.25, 0.25))
    """
    optics = Optics(na=0.5, wavelength_um=0.6, refractive_index=1.0, defocus_um=2.5)
    # 12 pixels of the sheet on every side are not recorded, as wide as the PSF reaches.
    return _sample(cells_2d((536, 536), seed), (25, 25), (0.25, 0.25), optics, seed, salt=True)


def sample_3d(seed: int = 0) -> Sample:
    """Return a volume of microtubules, 64 x 128 x 128, widefield, with the benchmark's 3D noise (no salt).

    Parameters
    ----------
    seed : seed of scene and noise.

    Examples
    --------
    >>> sample = sample_3d()
    >>> sample.image.shape, sample.psf.shape, sample.voxel_um
    ((64, 128, 128), (13, 31, 31), (0.3, 0.13, 0.13))
    """
    optics = Optics(na=1.0, wavelength_um=0.52, refractive_index=1.33)
    # Thicker than the benchmark's, so that they are visible in the noisy image.
    truth = microtubules_3d((76, 158, 158), seed, count=72, sigma=2.0)
    return _sample(truth, (13, 31, 31), (0.3, 0.13, 0.13), optics, seed, salt=False)


def _sample(
    truth: Array,
    psf_shape: tuple[int, ...],
    voxel_um: tuple[float, ...],
    optics: Optics,
    seed: int,
    *,
    salt: bool,
) -> Sample:
    """Record the middle of a scene, so that light from beyond the field reaches the image."""
    psf = richards_wolf_psf(psf_shape, voxel_um, optics)
    image = degrade(truth, psf, seed=seed, salt=salt)
    field = tuple(slice(k // 2, n - k // 2) for n, k in zip(truth.shape, psf_shape, strict=True))
    return Sample(
        image=image[field], psf=psf, truth=rescale_to_unit(truth)[field], voxel_um=voxel_um, optics=optics
    )

"""A stack of fluorescent beads as a person would record it, good and bad ones, and its true PSF."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from napari_selfdeconv.config.optics import Optics
from napari_selfdeconv.psf.generate import richards_wolf_psf

_SHAPE = (48, 256, 256)
_VOXEL_UM = (0.25, 0.1, 0.1)
_PSF_SHAPE = (25, 91, 91)
_BACKGROUND = 100.0
_HEIGHT = 1500.0
_TOP = 4095  # of a 12-bit camera
_READ_NOISE = 4.0
_CELLS = 4  # good beads lie in a grid of cells, anywhere near their middles, so that they do not touch
_JITTER = (5.0, 12.0, 12.0)
_TAKEN = ((0, 2), (2, 1))
#: (z, y, x) in voxels and brightness relative to the typical bead.
_BAD = (
    (24.2, 30.4, 160.3, 5.0),  # saturates the camera
    (23.6, 160.6, 95.2, 1.0),  # two in contact
    (23.6, 162.9, 98.3, 0.9),
    (25.1, 128.3, 4.7, 1.0),  # at the border
    (3.2, 128.8, 128.1, 1.1),  # at the lower end of the stack
    (24.0, 251.0, 191.0, 0.9),
)


@dataclass(frozen=True, kw_only=True)
class BeadSample:
    """Simulated beads.

    Attributes
    ----------
    image : uint16, (z, y, x); a 12-bit camera, so it saturates at 4095.
    psf : float32, sum 1: what the beads were made with.
    positions : (n, 3), the centres of all beads in voxels.
    voxel_um : voxel size in um, (z, y, x).
    optics : optics of the PSF.
    """

    image: NDArray[np.uint16]
    psf: NDArray[np.float32]
    positions: NDArray[np.float64]
    voxel_um: tuple[float, float, float]
    optics: Optics


def sample_beads(seed: int = 0) -> BeadSample:
    """Return beads at random sub-pixel positions, most of them good, some saturated, touching or at the border.

    Parameters
    ----------
    seed : seed of positions and noise.

    Examples
    --------
    >>> sample = sample_beads()
    >>> sample.image.shape, str(sample.image.dtype), int(sample.image.max()), len(sample.positions)
    ((48, 256, 256), 'uint16', 4095, 20)
    """
    random = np.random.default_rng(seed)
    optics = Optics(na=1.0, wavelength_um=0.52, refractive_index=1.33)
    psf = richards_wolf_psf(_PSF_SHAPE, _VOXEL_UM, optics)
    bad = np.array(_BAD)
    good = _scatter(random)
    positions = np.concatenate([good, bad[:, :3]])
    brightness = np.concatenate([random.uniform(0.7, 1.3, len(good)), bad[:, 3]])
    light = _HEIGHT * _place(psf / psf.max(), positions, brightness)
    counts = random.poisson(np.maximum(light, 0) + _BACKGROUND) + random.normal(0, _READ_NOISE, _SHAPE)
    image = np.clip(np.round(counts), 0, _TOP).astype(np.uint16)
    return BeadSample(image=image, psf=psf, positions=positions, voxel_um=_VOXEL_UM, optics=optics)


def _scatter(random: np.random.Generator) -> NDArray[np.float64]:
    """Return the places of the good beads, at random parts of a voxel."""
    cells = [cell for cell in product(range(_CELLS), repeat=2) if cell not in _TAKEN]
    side = np.array(_SHAPE[1:]) / _CELLS
    middles = [(_SHAPE[0] / 2, *((np.array(cell) + 0.5) * side)) for cell in cells]
    return np.array(middles) + random.uniform(-1, 1, (len(cells), 3)) * _JITTER


def _place(
    psf: NDArray[np.floating], positions: NDArray[np.float64], brightness: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the image of points: the PSF moved by phases, exact for parts of a voxel."""
    # The PSF's own size is added to the image's: nothing wraps around to the other side.
    shape = [fft.next_fast_len(n + k, real=True) for n, k in zip(_SHAPE, psf.shape, strict=True)]
    frequencies = [fft.fftfreq(n) for n in shape]
    frequencies[-1] = fft.rfftfreq(shape[-1])
    shifts = positions - [k // 2 for k in psf.shape]
    phases = [np.exp(-2j * np.pi * np.outer(shifts[:, a], frequency)) for a, frequency in enumerate(frequencies)]
    points = np.einsum("b,bz,by,bx->zyx", brightness, *phases, optimize=True)
    image = fft.irfftn(fft.rfftn(psf, shape) * points, shape)
    return np.asarray(image[tuple(slice(n) for n in _SHAPE)], np.float64)

"""The size of a PSF for a whole widefield stack, and the share of its light that a size holds."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv.config.optics import Optics
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.psf.models import model_of
from napari_selfdeconv.psf.richards_wolf_grid import check_grid

#: Share of the light inside a stack that a PSF must hold, or its user is warned.
ENOUGH = 0.95
# A PSF this small never lacks memory; a larger one may have this many times the voxels of the stack.
_SMALL, _MOST = 2**23, 2
_LEAST_SIDE = 9
# Voxels on which the share is computed: beyond, pixels are put together.
_MEASURED = 2**20


def psf_for_stack(
    optics: Optics, voxel_um: Sequence[float], image_shape: Sequence[int]
) -> tuple[NDArray[np.float32], list[str]]:
    """Compute the PSF of an image, as large as the light that it spreads.

    A widefield plane never loses light, it only spreads it. The PSF covers twice the depth of the stack and the
    cone there (`stack_psf_shape`). The network is trained with its compact part, after the other light was
    subtracted from the image (`iter_deconvolve`).

    Parameters
    ----------
    optics : the microscope.
    voxel_um : voxel size in um, (dz, dy, dx) or (dy, dx).
    image_shape : shape of the image in the same order.

    Returns
    -------
    The PSF, and sentences about the sampling, the optics and missing light that the user should read.

    Raises
    ------
    ConfigError
        As `richards_wolf_psf`.

    Examples
    --------
    >>> optics = Optics(na=0.8, wavelength_um=0.6, refractive_index=1.33)
    >>> psf_for_stack(optics, (1.0, 0.3, 0.3), (5, 40, 40))[0].shape
    (9, 33, 33)
    """
    shape = stack_psf_shape(optics, voxel_um, image_shape)
    psf, notes, _ = model_of(optics).compute(shape, voxel_um, optics)
    if _spreads(optics, image_shape) and (share := share_in_stack(shape, optics, voxel_um, image_shape)) < ENOUGH:
        notes = [
            *notes,
            f"The PSF holds {share:.0%} of the light inside the stack, as a larger one takes too much memory: "
            "some haze stays",
        ]
    return psf, notes


def stack_psf_shape(optics: Optics, voxel_um: Sequence[float], image_shape: Sequence[int]) -> tuple[int, ...]:
    """Return the size of `psf_for_stack`: odd, and larger than the image where the cone is.

    Along z it is twice the depth of the stack. Laterally it is as wide as the cone there, twice the image at most.
    A PSF of more than twice the voxels of the stack (or 8 million) is narrowed, the longer side first. Models
    whose planes lose their light, and single planes, have the size of `suggest_psf_shape`.

    Parameters
    ----------
    optics, voxel_um, image_shape : as in `psf_for_stack`.

    Raises
    ------
    ConfigError
        As `richards_wolf_psf`.

    Examples
    --------
    >>> optics = Optics(na=1.2, wavelength_um=0.52, refractive_index=1.33)
    >>> stack_psf_shape(optics, (0.3, 0.12, 0.12), (40, 112, 112))
    (79, 223, 223)
    """
    model = model_of(optics)
    if not _spreads(optics, image_shape):
        return model.suggest_shape(optics, voxel_um, image_shape, 0.9)
    sizes, voxel = check_grid(image_shape, voxel_um, what="image_shape")
    sine = min(optics.na / optics.refractive_index, 0.999)
    radius = sine / math.sqrt(1 - sine**2) * (sizes[0] - 1) * voxel[0] + 2 * optics.wavelength_um / optics.na
    shape = [
        2 * sizes[0] - 1,
        *(min(2 * n - 1, 2 * math.ceil(radius / d) + 1) for n, d in zip(sizes[1:], voxel[1:], strict=True)),
    ]
    most = max(_SMALL, _MOST * math.prod(sizes))
    while math.prod(shape) > most and max(shape[1:]) > _LEAST_SIDE:
        widest = 1 if shape[1] * voxel[1] >= shape[2] * voxel[2] else 2
        shape[widest] = max(_LEAST_SIDE, (int(shape[widest] * 0.97) - 1) // 2 * 2 + 1)
    return tuple(shape)


def share_in_stack(
    psf_shape: Sequence[int], optics: Optics, voxel_um: Sequence[float], image_shape: Sequence[int]
) -> float:
    """Return the share of the light inside a stack that a PSF of some size holds.

    The share counts light that goes from any voxel of the stack to any other. Each displacement counts as often as
    it fits in.

    Parameters
    ----------
    psf_shape : size of the PSF.
    optics, voxel_um, image_shape : as `psf_for_stack`; three axes.

    Raises
    ------
    ConfigError
        As `richards_wolf_psf`, and for an image of two axes.

    Examples
    --------
    >>> optics = Optics(na=1.2, wavelength_um=0.52, refractive_index=1.33)
    >>> round(share_in_stack((21, 19, 19), optics, (0.3, 0.12, 0.12), (40, 112, 112)), 1)
    0.3
    """
    sizes, voxel = check_grid(image_shape, voxel_um, what="image_shape")
    if len(sizes) != 3:
        raise ConfigError(f"a stack has three axes, got the shape {sizes}")
    full = [2 * n - 1 for n in sizes]
    # Several pixels together, an odd number so that one stays in the middle.
    step = 1
    while full[0] * -(-full[1] // step) * -(-full[2] // step) > _MEASURED:
        step += 2
    halves = [-(-(n // 2) // step) for n in full[1:]]
    grid = (full[0], *(2 * half + 1 for half in halves))
    light, _, _ = model_of(optics).compute(grid, (voxel[0], step * voxel[1], step * voxel[2]), optics)
    counts = [
        np.maximum(n - np.abs(np.arange(m) - m // 2) * s, 0).astype(np.float32)
        for n, m, s in zip(sizes, grid, (1, step, step), strict=True)
    ]
    # A part of each pixel at the edge of the PSF is inside.
    held = [
        np.clip((k / 2 - np.abs(np.arange(m) - m // 2) * s) / s + 0.5, 0, 1).astype(np.float32)
        for k, m, s in zip(psf_shape, grid, (1, step, step), strict=True)
    ]
    total = np.einsum("zyx,z,y,x->", light, *counts)
    inside = np.einsum("zyx,z,y,x->", light, *(c * h for c, h in zip(counts, held, strict=True)))
    return float(inside / total)


def _spreads(optics: Optics, image_shape: Sequence[int]) -> bool:
    return model_of(optics).spreads and len(image_shape) == 3

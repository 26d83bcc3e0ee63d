"""The spots to examine, found or marked by the user, and the size of the window around them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.psf.beads.find import Spots
from napari_selfdeconv.psf.beads.judge import suggest_half
from napari_selfdeconv.psf.beads.settings import REASONS, BeadSettings

Float = NDArray[np.float64]


def candidates(
    spots: Spots, points: NDArray[Any] | None, shape: tuple[int, ...]
) -> tuple[NDArray[np.int64], Float, list[str]]:
    """Return indices of the spots to examine, the points without a spot, and sentences for the user."""
    if points is None:
        chosen = np.flatnonzero(spots.is_bead)
        if not len(chosen):
            top = float(spots.heights.max())
            raise ConfigError(
                f"No beads found: none is higher than the threshold of {spots.threshold:.4g}; the brightest "
                f"reaches {top:.4g}. Lower the threshold."
            )
        return chosen, np.zeros((0, len(shape))), []
    wanted = np.asarray(points, np.float64)
    if wanted.ndim != 2 or not len(wanted):
        raise ConfigError(
            "No points: click on the beads with the Points layer's add tool, or find them automatically."
        )
    if wanted.shape[1] not in (2, len(shape)):
        raise ConfigError(
            f"the points have {wanted.shape[1]} coordinates and the image has {len(shape)} axes: place the points "
            "on this image, or find the beads automatically"
        )
    notes = []
    axes = np.arange(len(shape))[-wanted.shape[1] :]
    if len(axes) < len(shape):
        notes.append("The points have no z: the brightest plane at each of them was taken.")
    size = np.asarray(shape)[axes]
    inside = np.all((wanted >= -0.5) & (wanted <= size - 0.5), axis=1)
    if not inside.any():
        raise ConfigError(
            f"All {len(wanted)} points lie outside the image of {' x '.join(map(str, shape))} voxels: "
            "choose the points that belong to this image (same scale and position)."
        )
    if not inside.all():
        notes.append(f"{np.count_nonzero(~inside)} of {len(wanted)} points lie outside the image: left out.")
    chosen, empty = _nearest(spots, wanted[inside], axes)
    missing = np.asarray(shape, np.float64) // 2 + np.zeros((len(empty), 1))
    missing[:, axes] = empty
    return chosen, missing, notes


def _nearest(spots: Spots, points: Float, axes: NDArray[np.int64]) -> tuple[NDArray[np.int64], Float]:
    """Return the spot for each point, each once, and the points without one within reach."""
    reach = np.maximum(np.asarray(spots.fwhm)[axes], 2.0)
    found, empty = [], []
    for point in points:
        apart = np.linalg.norm((spots.positions[:, axes] - point) / reach, axis=1)
        near = np.flatnonzero(apart <= 1)
        if not len(near):
            empty.append(point)
        elif len(axes) < spots.positions.shape[1]:
            found.append(int(near[np.argmax(spots.heights[near])]))
        else:
            found.append(int(near[np.argmax(spots.heights[near] * (1 - apart[near] / 2))]))
    return np.unique(np.array(found, np.int64)), np.reshape(empty, (-1, len(axes)))


def window_half(
    settings: BeadSettings,
    spots: Spots,
    chosen: NDArray[np.int64],
    voxel: tuple[float, ...],
    shape: tuple[int, ...],
) -> tuple[int, ...]:
    """Return half the window in voxels, as set or as the beads suggest."""
    if settings.window_um is None:
        which = np.zeros(len(spots.positions), bool)
        which[chosen] = True
        return suggest_half(spots, which, shape) if len(chosen) else tuple(math.ceil(3 * w) for w in spots.fwhm)
    if len(settings.window_um) != len(voxel):
        raise ConfigError(f"window_um must have {len(voxel)} entries for this image, got {settings.window_um}")
    half = tuple(max(0, round((w / v - 1) / 2)) for w, v in zip(settings.window_um, voxel, strict=True))
    for axis, h, n in zip("zyx"[-len(voxel) :], half, shape, strict=True):
        if 2 * h + 1 > n:
            raise ConfigError(
                f"the window of {2 * h + 1} voxels along {axis} is larger than the image ({n}): make it smaller"
            )
    if min(half[-2:]) < 3:
        raise ConfigError(f"window_um must be at least 7 voxels wide along y and x, got {settings.window_um}")
    return half


def check_some_left(reasons: list[str], empty: Float, half: tuple[int, ...], voxel: tuple[float, ...]) -> None:
    """Raise ConfigError if every bead has been rejected."""
    if "" in reasons:
        return
    everything = [*reasons, *["empty"] * len(empty)]
    counts = {reason: everything.count(reason) for reason in REASONS if reason in everything}
    told = ", ".join(f"{count} {reason}" for reason, count in counts.items())
    size = " x ".join(f"{(2 * h + 1) * v:.3g}" for h, v in zip(half, voxel, strict=True))
    most = max(counts, key=lambda reason: counts[reason])
    raise ConfigError(
        f"All {len(everything)} beads were rejected ({told}; window {size} um). "
        f"What would help most: {REASONS[most]}."
    )

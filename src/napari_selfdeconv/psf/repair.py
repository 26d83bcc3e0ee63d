"""The repair of the faults of a PSF that `diagnose` finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_selfdeconv.config.checks import shown
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.io.checks import to_array
from napari_selfdeconv.psf.diagnose import ALL_DARK, ENERGY, Context, examine_psf, fitting_psf, longest_axis
from napari_selfdeconv.psf.measure import background_level, has_background
from napari_selfdeconv.psf.prepare import prepare_psf
from napari_selfdeconv.psf.validate import real_psf


def repair_psf(
    psf: ArrayLike, keys: Sequence[str], context: Context | None = None
) -> tuple[NDArray[np.float32], tuple[float, ...] | None, list[str]]:
    """Repair faults of a PSF, and change nothing else.

    A PSF that is resampled or cropped also loses its background. A resampled one is cropped to its light.

    Parameters
    ----------
    psf : 2D or 3D, ([z,] y, x).
    keys : names of findings of `examine_psf` that have a fix.
    context : voxel size, and the image it is for; as in `examine_psf`.

    Returns
    -------
    psf : float32; the same array, bit for bit, if ``keys`` is empty.
    voxel_um : voxel size of the repaired PSF, None where unknown.
    did : sentences.

    Raises
    ------
    ConfigError
        For a key that cannot be repaired, and as `prepare_psf`.

    Examples
    --------
    >>> y, x = np.mgrid[-7:8, -7:9]
    >>> bead = 100 * np.exp(-(x**2 + y**2) / 8.0) + 10
    >>> fixed, _, _ = repair_psf(bead, [finding.key for finding in examine_psf(bead) if finding.fix])
    >>> fixed.shape, [finding.key for finding in examine_psf(fixed) if finding.fix]
    ((15, 15), [])
    """
    context = context or Context()
    fitting = fitting_psf(psf, context)
    if isinstance(keys, str) or not all(isinstance(key, str) for key in keys):
        raise ConfigError(f"keys must hold the names of findings, got {shown(keys)}")
    fixable = {"nan", "negative", "background", "sum", "even", "centre", "voxels", "axes", "large", "larger"}
    unknown = sorted(set(keys) - fixable)
    if unknown:
        raise ConfigError(f"cannot repair: {', '.join(unknown)}")
    if not keys:
        return np.asarray(psf, np.float32), context.voxel_um, []
    array, voxel = to_array("the PSF", psf), context.voxel_um
    did: list[str] = []
    if "axes" in keys:
        longest = longest_axis(np.where(np.isfinite(fitting), fitting, 0.0), voxel)
        array = np.moveaxis(array, longest, 0)
        if voxel is not None:
            voxel = (voxel[longest], *[v for axis, v in enumerate(voxel) if axis != longest])
        did.append(f"moved axis {longest} to the front")
    # "large" is judged above the background, however low: the crop has to be judged so too.
    dark = bool({"background", "negative", "nan", "large"} & set(keys))
    if {"centre", "voxels"} & set(keys):
        # Resampling continues with zeros: beside a background they would be an edge, and hide it.
        data = np.nan_to_num(real_psf(array), posinf=0.0, neginf=0.0)
        dark = dark or has_background(data, background_level(data, "auto"))
    target = context.image_voxel_um if "voxels" in keys else None
    # With other voxels an array of a good size can become too large: its size is chosen again.
    resized = target is not None or "large" in keys
    limits = context.image_shape if "larger" in keys else None
    prepared, report = prepare_psf(
        array,
        voxel_um=voxel if target is not None else None,
        target_voxel_um=target,
        background="auto" if dark else 0.0,
        center="centre" in keys,
        energy=ENERGY if resized else 1.0,
        noise_sigmas=3.0 if dark else 0.0,
        max_shape=limits,
    )
    if "background" in keys:
        prepared = _without_background(prepared)
    did += report.did
    if "large" in keys and prepared.shape != array.shape:
        # What is dark is judged again in a smaller array, which may show that still less of it is needed.
        left = replace(context, voxel_um=target or voxel)
        if any(finding.key == "large" and finding.fix for finding in examine_psf(prepared, left)):
            prepared, _, more = repair_psf(prepared, ["large"], left)
            did += more
    return prepared, target or voxel, did


def _without_background(psf: NDArray[np.float32]) -> NDArray[np.float32]:
    """Subtract what is left of a background; smoothing faint light brings some of it back."""
    level = background_level(psf.astype(np.float64), "auto")
    if not has_background(psf.astype(np.float64), level):
        return psf
    left = np.maximum(psf - np.float32(level), 0)
    if not left.any():
        raise ConfigError(ALL_DARK)
    scaled: NDArray[np.float32] = left / left.sum()
    return scaled

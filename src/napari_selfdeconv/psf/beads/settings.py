"""The settings for beads, and the result."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv.config.rules import Each, Number
from napari_selfdeconv.config.settings import Settings
from napari_selfdeconv.io.savable import Savable

Average = Literal["mean", "median"]
_WINDOW = Number(0.0, 1000.0, open_low=True, hint=" (in micrometres)")

#: Why a bead is not used, in the order in which it is asked, and what a person can do about it.
REASONS: Mapping[str, str] = {
    "empty": "place the point on a bead, closer than its width",
    "saturated": "record the beads with less light",
    "clipped": "set a smaller window, or record beads further from the border",
    "overlapping": "set a smaller window, or dilute the beads",
    "dim": "lower the minimum brightness",
    "outlier": "raise the outlier limit, if these are single beads",
}


@dataclass(frozen=True, kw_only=True)
class BeadSettings(Settings):
    """How beads are found, chosen and averaged.

    Attributes
    ----------
    window_um : size of the PSF in um, (z, y, x) or (y, x); None chooses it from the beads.
    threshold : least height of a bead above its surroundings, in the image's units; None chooses it.
    saturation : value from which a voxel counts as saturated; None looks for the top of the data type and for
        flat tops.
    min_brightness : beads dimmer than this share of the typical bead are rejected, 0 to 1.
    neighbour_share : a neighbour dimmer than this share of the bead does not count as overlapping, 0 to 1.
    outlier_sigmas : beads whose shape differs from the others' by more robust standard deviations are rejected.
    average : "mean" (robust, bright beads count more) or "median" of the registered beads.
    rotational : average over all angles about the optical axis. Only for optics without coma or astigmatism.

    Examples
    --------
    >>> BeadSettings(min_brightness=2)
    Traceback (most recent call last):
        ...
    napari_selfdeconv.errors.ConfigError: min_brightness must be a number from 0 to 1, got 2
    """

    window_um: Annotated[tuple[float, ...] | None, Each(_WINDOW, counts=(2, 3))] = None
    threshold: Annotated[float | None, Number(0.0, math.inf, open_low=True)] = None
    saturation: Annotated[float | None, Number(-math.inf, math.inf)] = None
    min_brightness: Annotated[float, Number(0.0, 1.0)] = 0.3
    neighbour_share: Annotated[float, Number(0.0, 1.0)] = 0.2
    outlier_sigmas: Annotated[float, Number(1.0, 100.0)] = 5.0
    average: Average = "mean"
    rotational: bool = False


@dataclass(frozen=True, kw_only=True)
class Bead:
    """One candidate: ``position`` in voxels (sub-pixel where used), ``height`` above its surroundings.

    ``reason`` is empty for a bead that was used, else a key of `REASONS`. ``correlation`` is that of its core
    with the average bead, NaN where it was not compared.
    """

    position: tuple[float, ...]
    height: float
    reason: str = ""
    correlation: float = math.nan


@dataclass(frozen=True, kw_only=True, repr=False)
class BeadPsf(Savable):
    """The average bead.

    Attributes
    ----------
    psf : float32, odd sizes, >= 0, sum 1, centre at ``n // 2``; axes ([z,] y, x).
    voxel_um : its voxel size in um.
    beads : every candidate, used or not.
    fwhm_um : full width at half maximum per axis, in um.
    threshold : least height of a bead that was found, in the image's units.
    noise : noise of the average in the dark part of the window, as a share of its peak.
    provenance : JSON-ready record: settings, counts, sizes.

    Examples
    --------
    >>> psf = np.full((3, 3), 1 / 9, np.float32)
    >>> BeadPsf(psf=psf, voxel_um=(0.1, 0.1), beads=(), fwhm_um=(0.3, 0.3), threshold=50.0, noise=0.01)
    <BeadPsf: 3 x 3 float32>
    """

    psf: NDArray[np.float32]
    voxel_um: tuple[float, ...]
    beads: tuple[Bead, ...]
    fwhm_um: tuple[float, ...]
    threshold: float
    noise: float
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def _array(self) -> NDArray[np.float32]:
        return self.psf

    @property
    def used(self) -> int:
        """Number of beads in the average."""
        return sum(not bead.reason for bead in self.beads)

    @property
    def rejected(self) -> dict[str, int]:
        """Number of beads per reason, only reasons that occur."""
        return count_reasons(self.beads)


def count_reasons(beads: tuple[Bead, ...]) -> dict[str, int]:
    """Return how many beads were rejected for which reason.

    Examples
    --------
    >>> count_reasons((Bead(position=(1, 2), height=3), Bead(position=(4, 5), height=1, reason="dim")))
    {'dim': 1}
    """
    reasons = [bead.reason for bead in beads]
    return {reason: reasons.count(reason) for reason in REASONS if reason in reasons}

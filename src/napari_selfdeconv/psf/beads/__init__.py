"""From an image of beads to a PSF: find them, reject the bad ones, register them, average them."""

from napari_selfdeconv.psf.beads.find import Spots, find_spots
from napari_selfdeconv.psf.beads.judge import judge, suggest_half
from napari_selfdeconv.psf.beads.settings import REASONS, Bead, BeadPsf, BeadSettings

__all__ = ["REASONS", "Bead", "BeadPsf", "BeadSettings", "Spots", "find_spots", "judge", "suggest_half"]

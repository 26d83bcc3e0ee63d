"""The classical methods on top of the shared forward model, each a generator of events."""

from napari_selfdeconv.classical.choose import HELD_OUT_PERCENT, HeldOutError, choose_lucy, choose_regularisation
from napari_selfdeconv.classical.lucy import iter_lucy, lucy_step
from napari_selfdeconv.classical.median_guard import without_specks
from napari_selfdeconv.classical.total_variation import iter_tv
from napari_selfdeconv.classical.wiener import wiener

__all__ = [
    "HELD_OUT_PERCENT",
    "HeldOutError",
    "choose_lucy",
    "choose_regularisation",
    "iter_lucy",
    "iter_tv",
    "lucy_step",
    "wiener",
    "without_specks",
]

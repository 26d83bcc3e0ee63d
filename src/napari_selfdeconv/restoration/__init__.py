"""The classical methods on top of the shared forward model, each a generator of events."""

from napari_selfdeconv.holdout.choose import HELD_OUT_PERCENT, HeldOutError, choose_regularisation
from napari_selfdeconv.restoration.iterations import choose_iterations
from napari_selfdeconv.restoration.median_guard import replace_outliers
from napari_selfdeconv.restoration.richardson_lucy import iterate_richardson_lucy, richardson_lucy_step
from napari_selfdeconv.restoration.total_variation import iter_tv
from napari_selfdeconv.restoration.wiener import wiener

__all__ = [
    "HELD_OUT_PERCENT",
    "HeldOutError",
    "choose_iterations",
    "choose_regularisation",
    "iter_tv",
    "iterate_richardson_lucy",
    "replace_outliers",
    "richardson_lucy_step",
    "wiener",
]

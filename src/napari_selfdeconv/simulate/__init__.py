"""Simulated measurements and samples with a known truth."""

from napari_selfdeconv.simulate.degrade import (
    GAUSSIAN_SIGMA,
    GREY_LEVELS,
    POISSON_GAIN,
    SALT_SHARE,
    degrade,
    measure,
    rescale_to_unit,
)
from napari_selfdeconv.simulate.paper_kernel import paper_psf
from napari_selfdeconv.simulate.phantoms import cells_2d, microtubules_3d
from napari_selfdeconv.simulate.samples import Sample, sample_2d, sample_3d

__all__ = [
    "GAUSSIAN_SIGMA",
    "GREY_LEVELS",
    "POISSON_GAIN",
    "SALT_SHARE",
    "Sample",
    "cells_2d",
    "degrade",
    "measure",
    "microtubules_3d",
    "paper_psf",
    "rescale_to_unit",
    "sample_2d",
    "sample_3d",
]

"""The start of every run: a checked image, a PSF with sum 1, and the scale and the border of the image.

No other module checks an image or a PSF, brightens a border or measures the scale. Every entry makes a `Problem`,
so no entry can forget a part.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv.arrays.channels import Channels
from napari_selfdeconv.arrays.out_of_core import Mapped
from napari_selfdeconv.arrays.scaling import Standardizer
from napari_selfdeconv.config.presets import preset
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.inference.light import to_light
from napari_selfdeconv.inference.weigh import Weights, weigh_pixels, weighing_of
from napari_selfdeconv.io.checks import as_array, check_layout
from napari_selfdeconv.network.model import Deconvolver, Model
from napari_selfdeconv.physics.even_border import ends_in_darkness, even_border_of
from napari_selfdeconv.physics.mask import find_unmeasured
from napari_selfdeconv.physics.noise_check import SHARED, check_noise
from napari_selfdeconv.physics.pixel_weights import PixelWeights
from napari_selfdeconv.psf.near import has_far_light, near_part, near_shape
from napari_selfdeconv.psf.validate import check_psf
from napari_selfdeconv.restoration.bright_points import BrightPoints
from napari_selfdeconv.restoration.far_light import FarLight

# Where a larger share of the pixels has no weight, the noise is not looked at.
_MOST_FILLED = 0.01
DARK_BORDER = (
    "The image gets dark towards its border as if no light came from beyond it. The border was brightened, "
    "because the setting 'Even border' is on."
)
#: Said of pixels that "auto" would leave out, where every pixel is to count.
COUNTED = (
    "They count as measurements, and a hot pixel becomes a bright point of the result. Let the run find such "
    "pixels and leave them out (--mask auto, weights='auto')."
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Problem:
    """An image and its PSF, ready to be deconvolved.

    The noise is not part of it: estimating the noise needs a first result, so `calibrate` and `Refiner` do that.

    Attributes
    ----------
    image : 2D or 3D, finite, not constant, in the user's units. Its border is evened if ``border_evened``, and
        pixels of weight 0 have the value of the nearest one that counts.
    psf : float32, sum 1, with as many axes.
    scale : mean, standard deviation, lowest and highest value of ``image``, where it has a weight.
    border_evened : whether the image was brightened at its border (`even_border_of`).
    notes : sentences for the user about the image, its pixels and the PSF.
    weights : how much each pixel counts; None if all are measurements.
    weighing : origin of the weights: "auto", "auto+nan", "given", or None (`weigh_pixels`).
    whole_psf : the given PSF with sum 1, if it is too large for a training patch (`has_far_light`). ``psf`` is
        then its compact part. Otherwise None.
    far : the light that `without_far_light` subtracted; None before, and without ``whole_psf``.
    bright : the bright points that `without_bright_points` subtracted; None before, and without bright points.
    shared_noise : kinds of findings of shared noise (`check_noise`).
    noise_changes : changes of `with_independent_noise` to ``image``: "stripes subtracted", "noise added".

    Examples
    --------
    >>> problem = Problem.of(np.eye(8), 5 * np.ones((3, 3)))
    >>> round(float(problem.psf.sum()), 6), round(float(problem.standard.std()), 6)
    (1.0, 1.0)
    """

    image: NDArray[Any]
    psf: NDArray[np.float32]
    scale: Standardizer
    border_evened: bool = False
    notes: tuple[str, ...] = ()
    weights: PixelWeights | None = None
    weighing: str | None = None
    whole_psf: NDArray[np.float32] | None = None
    far: FarLight | None = None
    bright: BrightPoints | None = None
    shared_noise: tuple[str, ...] = ()
    noise_changes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        image: NDArray[Any],
        psf: NDArray[Any],
        config: TrainConfig | None = None,
        *,
        weights: Weights = None,
        hot: NDArray[np.bool_] | None = None,
        psf_may_be_larger: bool = False,
    ) -> Self:
        """Check an image and a PSF.

        Parameters
        ----------
        image : 2D or 3D, any real dtype.
        psf : as many axes, at most as large unless it may be larger; it is divided by its sum.
        config : settings of a training run, which may have a larger PSF in 3D; says whether a dark border is
            evened. None leaves the border and the PSF as they are.
        weights, hot : as in `weigh_pixels`.
        psf_may_be_larger : as in `check_psf`.

        Raises
        ------
        ConfigError
            If the image or the PSF cannot be used.
        """
        image = np.ascontiguousarray(as_array("the image", image))
        check_layout("the image", image)
        larger = psf_may_be_larger or (config is not None and image.ndim == 3)
        kernel, psf_notes = check_psf(psf, image.shape, may_be_larger=larger)
        far = config is not None and has_far_light(kernel.shape, image.shape)
        compact = near_part(kernel, near_shape(kernel, image.shape))[0] if far else kernel
        may_be_evened = config is not None and config.result.even_border and not far
        made = cls._made(image, compact, None if may_be_evened else False, weights, tuple(psf_notes), hot)
        return replace(made._with_noise_checked(kernel), whole_psf=kernel if far else None)

    @classmethod
    def of_model(cls, model: Model, image: NDArray[Any], weights: Weights = None) -> Self:
        """Check an image that a trained model is applied to; the PSF is that of the model.

        Raises
        ------
        ConfigError
            If the image cannot be used, or has another number of axes than the model.
        """
        image = np.ascontiguousarray(as_array("the image", image))
        check_layout("the image", image)
        if image.ndim != model.psf.ndim:
            remedy = "keep one channel and time point" if image.ndim > model.psf.ndim else "give a stack (z, y, x)"
            raise ConfigError(
                f"the model is for {model.psf.ndim}D images, got an image of shape {image.shape}: {remedy}"
            )
        evens = None if model.config.result.even_border and model.whole_psf is None else False
        made = cls._made(image, model.psf, evens, weights)
        return replace(made._with_noise_checked(model.given_psf), whole_psf=model.whole_psf)

    def like(self, image: NDArray[Any], weights: Weights = None, hot: NDArray[np.bool_] | None = None) -> Self:
        """Check another frame of the same series: same PSF, and the same decision about the border.

        Every frame has its own scale. A border that is evened in some frames only would look like a change.

        Raises
        ------
        ConfigError
            If the frame cannot be used.
        """
        image = np.ascontiguousarray(as_array("the image", image))
        check_layout("the image", image)
        made = self._made(image, self.psf, self.border_evened, weights, hot=hot)
        return replace(made, whole_psf=self.whole_psf, shared_noise=self.shared_noise)

    def weights_of(self, where: tuple[slice, ...]) -> PixelWeights | None:
        """Return the weights of a part of the image; None if all pixels are measurements."""
        return None if self.weights is None else self.weights.cut(where)

    @property
    def given_psf(self) -> NDArray[np.float32]:
        """The PSF that was given, sum 1."""
        return self.psf if self.whole_psf is None else self.whole_psf

    def with_compact_psf(self) -> Self:
        """Return the problem with the compact part of the PSF alone: far light stays in the result as haze."""
        return replace(self, whole_psf=None, far=None)

    def light_factor(self, result: NDArray[np.float32]) -> float:
        """Return what a result of the compact PSF is multiplied by, once it has no negative values.

        Its light becomes that of the image, and then that of the whole PSF.
        """
        if self.far is None:
            return 1.0
        light, given = (float(np.mean(a, dtype=np.float64)) for a in (np.maximum(result, 0), self.image))
        return (given / light if given > 0 < light else 1.0) / self.far.share

    @property
    def scene_is_refined(self) -> bool:
        """Whether the result is refined with the whole PSF, which needs all of the stack at once."""
        return self.far is not None and self.far.scene is not None

    def may_be_refined(self, config: TrainConfig) -> bool:
        """Return whether Richardson-Lucy with the compact PSF may refine a result.

        It would fit the errors of far light: a stack with far light is refined with the whole PSF.
        """
        return config.result.refine and self.far is None

    def in_units(
        self, result: NDArray[np.float32], factor: float | None = None, where: tuple[slice, ...] | None = None
    ) -> NDArray[np.float32]:
        """Scale a result of the compact PSF to the light of the whole one, add bright points, and return it.

        It is changed in place.

        Parameters
        ----------
        result : result of the compact PSF, units of the image.
        factor : factor of the whole image, where ``result`` is a part of it; None takes `light_factor` of
            ``result``.
        where : that part; None is all of the image.
        """
        if self.far is not None:
            result = to_light(result, self.light_factor(result) if factor is None else factor, self.scale.std)
        if self.bright is not None:
            share = 1.0 if self.far is None else self.far.share
            result += self.bright.light[... if where is None else where] / np.float32(share)
        return result

    @classmethod
    def _made(
        cls,
        image: NDArray[Any],
        psf: NDArray[np.float32],
        evens: bool | None,
        weights: Weights,
        notes: tuple[str, ...] = (),
        hot: NDArray[np.bool_] | None = None,
    ) -> Self:
        """Measure the image; ``evens`` is None if the image itself decides about its border."""
        image, pixels, found = weigh_pixels(image, weights, hot)
        notes += found
        scale = scale_of(image, pixels)
        if evens is None:
            evens = ends_in_darkness(image, psf)
        if evens:
            image, notes = even_border_of(image, psf), (DARK_BORDER, *notes)
            scale = scale_of(image, pixels)
        return cls(
            image=image,
            psf=psf,
            scale=scale,
            border_evened=evens,
            notes=notes,
            weights=pixels,
            weighing=weighing_of(weights),
        )

    def _with_noise_checked(self, psf: NDArray[np.float32]) -> Self:
        """Check the noise and unweighted pixels, and add the findings to the notes; ``psf`` is the whole one."""
        if self.weights is not None and self.weights.unmeasured > _MOST_FILLED * self.image.size:
            return self  # the filled-in values of pixels of weight 0 are not noise
        # With weights, saturated pixels are in the notes about these.
        skipped = () if self.weighing is None else ("saturated",)
        found = [one for one in check_noise(self.image, psf) if one.kind not in skipped]
        if self.weighing is None and (told := find_unmeasured(self.image).describe(without="saturated")):
            notes = (*self.notes, f"{told}. {COUNTED}")
        else:
            notes = self.notes
        shared = tuple(one.kind for one in found if one.kind in SHARED)
        return replace(self, notes=(*notes, *(one.message for one in found)), shared_noise=shared)

    @cached_property
    def standard(self) -> NDArray[np.float32]:
        """The standardised image, computed at the first use and then kept: training needs all of it."""
        if self.whole_psf is not None and self.far is None:
            raise RuntimeError("the far light of this image was not subtracted: call make_ready first")
        return self.scale.apply(self.image)

    def input_of(self, network: Deconvolver) -> Any:
        """Return the input of a network, to be read in pieces: `pieces`, and the first estimate if it uses one."""
        if not network.takes_estimate:
            return self.pieces
        if self.far is None:
            raise RuntimeError("this network needs the first estimate, and no far light was subtracted")
        return Channels(self.standard, self.scale.apply(self.far.estimate))

    @property
    def pieces(self) -> Any:
        """The standardised image, to be read in pieces: `standard` if that exists already.

        A model that is applied needs one tile at a time, so no second array of the image's size is made.
        """
        if "standard" in vars(self) or self.whole_psf is not None:
            return self.standard
        return Mapped(self.image, self.scale.apply)


def scale_of(image: NDArray[Any], weights: PixelWeights | None) -> Standardizer:
    """Return the scale of the pixels that count."""
    return Standardizer.of(image if weights is None else image[weights.values > 0])


def settings_for(image: NDArray[Any], config: TrainConfig | None) -> TrainConfig:
    """Return ``config``, or for None the preset "quick" for this image.

    Raises
    ------
    ConfigError
        If the image has neither 2 nor 3 axes.
    """
    image = np.asarray(image)
    check_layout("the image", image)
    return preset("quick", image.ndim) if config is None else config

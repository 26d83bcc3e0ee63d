"""The trial: a test whether the first steps of a training improve the prediction of held-out pixels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import cast

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from napari_selfdeconv.network.model import Deconvolver
from napari_selfdeconv.physics.clipping import ClippedBlur
from napari_selfdeconv.training.validation import Validator

# The weights of one step are noisy, because the learning rate rises. Their mean over about five steps is not.
_DECAY = 0.8
# Training goes on unless its error is higher by more than so many standard errors: a run that began 2.6 standard
# errors worse gained 0.4 dB in the end.
_WORSE = 3.0


class Trial:
    """Compares the mean of the weights over the first steps with the initial weights.

    Parameters
    ----------
    network : in training; followed, not changed.
    validator, blur : measure the error.
    before : error of the initial weights at every held-out pixel.
    last_step : at which it is decided.
    """

    def __init__(
        self,
        network: Deconvolver,
        validator: Validator,
        blur: ClippedBlur,
        before: NDArray[np.float32],
        last_step: int,
    ) -> None:
        self._network, self._validator, self._blur = network, validator, blur
        self._before, self._last_step = before, last_step
        self._mean: AveragedModel | None = None

    def fails(self, step: int) -> bool:
        """Follow the network; return True if held-out pixels are predicted clearly worse at the trial's last step.

        "Clearly" is by more than three standard errors. Such runs were seen to gain less than 0.1 dB at their end.
        """
        if step > self._last_step:
            return False
        if self._mean is None:
            self._mean = self._new_mean()
        self._mean.update_parameters(self._network)
        if step < self._last_step:
            return False
        after = self._validator.measure_errors(cast(Deconvolver, self._mean.module), self._blur)
        self._mean = None
        worse = (after - self._before).astype(np.float64)
        return bool(worse.mean() > _WORSE * worse.std() / math.sqrt(max(1, worse.size)))

    def state(self) -> Mapping[str, Tensor]:
        """Return the mean of the weights so far; empty before the first step and after the last."""
        return {} if self._mean is None else self._mean.state_dict()

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state` returned."""
        if state:
            self._mean = self._new_mean()
            self._mean.load_state_dict(state)

    def _new_mean(self) -> AveragedModel:
        average = get_ema_multi_avg_fn(_DECAY)  # type: ignore[no-untyped-call]
        return AveragedModel(self._network, multi_avg_fn=average, use_buffers=True)

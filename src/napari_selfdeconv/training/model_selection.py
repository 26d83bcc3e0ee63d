"""Which weights of a run are returned: the last, the best, or weights between those and the initial ones."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.network.model import Deconvolver
from napari_selfdeconv.physics.clipping import ClippedBlur
from napari_selfdeconv.training.convergence import HeldOutCurve
from napari_selfdeconv.training.initial_or_trained import copy_weights, load_better, load_between
from napari_selfdeconv.training.trial import Trial
from napari_selfdeconv.training.validation import Validator


class SelectedWeights(NamedTuple):
    """``share`` of the way from the initial weights of a run to its weights after ``step`` steps."""

    step: int
    share: float


#: Of a run without a training step.
INITIAL = SelectedWeights(0, 1.0)


class ModelSelector:
    """Follows a network in training by its held-out error, and selects the weights that are returned.

    Parameters
    ----------
    network : in training; its weights are replaced in place.
    validator : measures the held-out error; None if no pixel is held out.
    blur : from f(x) to the expected image.
    initial : weights that the run began with, to go back to; None to use the trained weights as they are. The
        network has them now.
    share : share of the way from ``initial`` to the trained weights that is always taken. None lets held-out
        pixels decide.

    Attributes
    ----------
    curve : the measurements so far.
    best : the weights at the best of them; empty before the first, and without ``auto_stop``.
    trial : trial of the first steps; None if training is not given up early.
    failed : whether training was given up, because the trial failed.
    """

    def __init__(
        self,
        network: Deconvolver,
        validator: Validator | None,
        blur: ClippedBlur,
        config: TrainConfig,
        initial: Mapping[str, Tensor] | None,
        share: float | None = None,
    ) -> None:
        self.curve = HeldOutCurve(config.optimiser.steps)
        self._network, self._validator, self._blur = network, validator, blur
        self._share = share
        self._returns_to_best, self._initial = config.optimiser.auto_stop, initial
        self.best: dict[str, Tensor] = {}
        self._interpolates = config.start.weight_interpolation
        self.trial: Trial | None = None
        self.failed = False
        self._before: NDArray[np.float32] | None = None
        if validator is not None and validator.count > 0 and share is None:
            self._before = validator.measure_errors(network, blur)
        if self._before is not None and validator is not None and initial is not None and config.start.trial:
            last = math.ceil(config.start.trial * config.optimiser.steps)
            self.trial = Trial(network, validator, blur, self._before, last)

    def measure(self, step: int) -> float | None:
        """Measure the held-out error and copy the weights if they are the best; None if no pixel is held out."""
        if self._validator is None:
            return None
        error = self._validator.measure_error(self._network, self._blur)
        if self.curve.add(step, error) and self._returns_to_best:
            self.best = copy_weights(self._network)
        return error

    def gains(self) -> bool:
        """Return whether the error was lower at its last measurement than before the first step."""
        if self._before is None or not self.curve.history:
            return False
        return self.curve.history[-1][1] < float(self._before.mean(dtype=np.float64))

    def gives_up(self, step: int) -> bool:
        """Return whether training ends at ``step`` because its first steps gained nothing."""
        self.failed = self.trial is not None and self.trial.fails(step)
        return self.failed

    def load_selected(self, step: int) -> SelectedWeights:
        """Load the weights that are returned if training ends at ``step``; set the network to evaluation mode.

        These are the weights as they are now, or the best ones if the held-out error has clearly risen since
        (`auto_stop`). The initial weights are loaded instead if training gained nothing at the held-out pixels
        (`StartSettings.weight_interpolation`, `StartSettings.trial`).
        """
        if self._returns_to_best and self.curve.worse_than_best:
            self._network.load_state_dict(self.best)
            step = self.curve.best_step
        share = 1.0
        if self.failed and self._initial is not None:
            share = 0.0
            self._network.load_state_dict(self._initial)
        elif self._initial is not None and self._share is not None:
            share = self._share
            load_between(self._network, self._initial, share)
        elif self._interpolates and self._initial is not None and self._before is not None:
            assert self._validator is not None
            after = self._validator.measure_errors(self._network, self._blur)
            share = load_better(self._network, self._initial, self._before, after)
        self._network.eval()
        return SelectedWeights(step, share)

    @contextmanager
    def use_selected(self, step: int) -> Iterator[SelectedWeights]:
        """Within the block the network is as `load_selected` leaves it; after it, as before, in training mode."""
        now = copy_weights(self._network)
        try:
            yield self.load_selected(step)
        finally:
            self._network.load_state_dict(now)
            self._network.train()

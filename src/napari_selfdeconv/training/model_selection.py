"""Which weights of a run are kept: its last, those of its best step, or some of the way back to its start."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

from torch import Tensor

from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.network.model import Deconvolver
from napari_selfdeconv.physics.clipping import ClippedBlur
from napari_selfdeconv.training.validation import Validator, Watch
from napari_selfdeconv.training.weight_interpolation import interpolate_weights, snapshot


class SelectedWeights(NamedTuple):
    """``share`` of the way from the weights that a run began with to those of ``step``."""

    step: int
    share: float


class ModelSelector:
    """Follows a network in training by its held-out error, and makes of it what is kept.

    Parameters
    ----------
    network : in training; its weights are replaced in place.
    validator : measures the held-out error; None where no pixel is held out.
    camera : from f(x) to what is recorded of it.
    begun : weights that the run began with, to go back towards; None to keep what training made of them.

    Attributes
    ----------
    watch : the measurements so far.
    """

    def __init__(
        self,
        network: Deconvolver,
        validator: Validator | None,
        camera: ClippedBlur,
        config: TrainConfig,
        begun: Mapping[str, Tensor] | None,
    ) -> None:
        self.watch = Watch(config.steps)
        self._network, self._validator, self._camera = network, validator, camera
        self._goes_back, self._begun = config.auto_stop, begun
        self._best: dict[str, Tensor] = {}

    def look(self, step: int) -> float | None:
        """Measure the held-out error, remember the best weights; None where no pixel is held out."""
        if self._validator is None:
            return None
        error = self._validator.error(self._network, self._camera)
        if self.watch.add(step, error):
            self._best = snapshot(self._network)
        return error

    def settle(self, step: int) -> SelectedWeights:
        """Make the network, in evaluation mode, what is kept if training ends at ``step``.

        That is as it is now, or as it was at its best if it has clearly become worse since (`auto_stop`); then
        moved back to where it began (`blend_start`), as far as the held-out pixels ask for.
        """
        if self._goes_back and self.watch.worse_than_best:
            self._network.load_state_dict(self._best)
            step = self.watch.best_step
        share = 1.0
        if self._begun is not None and self._validator is not None and self._validator.count:
            errors = partial(self._validator.errors, self._network, self._camera)
            share = interpolate_weights(self._network, self._begun, errors)
        self._network.eval()
        return SelectedWeights(step, share)

    @contextmanager
    def settled(self, step: int) -> Iterator[SelectedWeights]:
        """Within, the network is what `settle` makes of it; afterwards it is what it was, in training."""
        now = snapshot(self._network)
        try:
            yield self.settle(step)
        finally:
            self._network.load_state_dict(now)
            self._network.train()

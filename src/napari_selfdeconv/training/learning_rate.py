"""The learning rate over the steps of a run, and its fall at the end of a run that is ended early."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from napari_selfdeconv.config.parts import OptimiserSettings


class Schedule:
    """The learning rate at each step: "halving" or "one-cycle".

    Attributes
    ----------
    position : how many of the planned steps are behind; in the cool-down one step moves it by several.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, settings: OptimiserSettings) -> None:
        self.position = 0
        self._settings = settings
        self._stride = 1
        self._rate = _rate(optimizer, settings)

    def advance(self) -> None:
        """Move on by one step, in the cool-down by several."""
        for _ in range(min(self._stride, self._settings.steps - self.position)):
            self._rate.step()
            self.position += 1

    @property
    def steps_left(self) -> int:
        return -(-(self._settings.steps - self.position) // self._stride)

    def to_dict(self) -> dict[str, int]:
        """Return where the schedule is."""
        return {"position": self.position, "stride": self._stride}

    def restore(self, values: Mapping[str, int]) -> None:
        """Go to a place of `to_dict`; the rates themselves are the optimiser's."""
        self.position, self._stride = int(values["position"]), int(values["stride"])
        self._rate.load_state_dict({"last_epoch": self.position, "_step_count": self.position + 1})

    def start_cooldown(self) -> None:
        """Go through the rest of the schedule in a few steps, because a network left at a high rate is noisy.

        A tenth of the planned steps is taken for "one-cycle". The rate of "halving" does not fall to an end, so
        that run ends with the next step.
        """
        left = self._settings.steps - self.position
        cooldown = max(1, self._settings.steps // 10) if self._settings.schedule == "one-cycle" else 1
        self._stride = -(-left // cooldown)


def _rate(optimizer: torch.optim.Optimizer, settings: OptimiserSettings) -> torch.optim.lr_scheduler.LRScheduler:
    if settings.schedule == "halving":
        return torch.optim.lr_scheduler.StepLR(optimizer, settings.halve_every, gamma=0.5)
    # The cycle has at least two steps: OneCycleLR divides by the length of its phases.
    return torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=settings.learning_rate,
        total_steps=max(2, settings.steps) + 1,
        pct_start=0.3,
    )

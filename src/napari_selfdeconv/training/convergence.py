"""The held-out error over a run: whether it still falls, and at which step it was lowest."""

from __future__ import annotations

import numpy as np

# Shorter plateaus were seen in the middle of runs whose result went on improving (0.1 to 0.3 dB on two images).
_LEAST_PLATEAU = 200


class HeldOutCurve:
    """The held-out error over the steps of a run.

    Parameters
    ----------
    steps : planned. A plateau is not looked for in the first half of them, where the learning rate is high, nor
        before the eighth measurement. It must last for a fifth of the steps, for 200 steps and for four
        measurements. In the short presets it never does, because fine detail gains from every one of their steps.

    Attributes
    ----------
    history : (step, error) of every measurement.
    best, best_step : the lowest averaged error, and where it was measured.

    Notes
    -----
    Errors are averaged over the last three measurements, because neighbouring ones differ by chance. A fall of
    less than one part in a thousand does not count.
    """

    _MEAN_OF = 3
    _FALL = 1e-3

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self.history: list[tuple[int, float]] = []
        self.best_step = 0
        self.best = float("inf")
        self._last_fall, self._since_fall, self._level = 0, 0, float("inf")

    def add(self, step: int, error: float) -> bool:
        """Take a measurement; return whether it is the best so far (averaged)."""
        self.history.append((step, error))
        mean = float(np.mean([e for _, e in self.history[-self._MEAN_OF :]]))
        self._since_fall += 1
        if mean < self._level * (1 - self._FALL):
            self._level, self._last_fall, self._since_fall = mean, step, 0
        if mean >= self.best:
            return False
        self.best, self.best_step = mean, step
        return True

    @property
    def plateau(self) -> bool:
        """Whether the error has stopped falling."""
        if len(self.history) < 8 or self._since_fall < 4:
            return False
        step = self.history[-1][0]
        return step >= self._steps / 2 and step - self._last_fall >= max(self._steps / 5, _LEAST_PLATEAU)

    @property
    def worse_than_best(self) -> bool:
        """Whether the last error lies clearly above the best one: the network has begun to fit the noise."""
        recent = [e for _, e in self.history[-self._MEAN_OF :]]
        return bool(recent) and float(np.mean(recent)) > self.best * (1 + 5 * self._FALL)

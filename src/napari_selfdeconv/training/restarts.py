"""Restarts of a training that failed, with a change that may help."""

from __future__ import annotations

from collections.abc import Callable, Generator

import torch

from napari_selfdeconv.compute.device import release_memory
from napari_selfdeconv.compute.memory_budget import differences, halve_training
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.errors import OutOfMemory
from napari_selfdeconv.events import Event, Warned
from napari_selfdeconv.training.collapse import Collapsed
from napari_selfdeconv.training.loop import Trained


def train_with_restarts(
    attempt: Callable[[TrainConfig], Generator[Event, None, Trained]], config: TrainConfig, device: torch.device
) -> Generator[Event, None, tuple[Trained, TrainConfig]]:
    """Train until it succeeds; return the result and the settings that it was made with.

    After a collapse training begins again once, with the next seed. Out of memory, it begins again with half the
    batch, and with half the patch when the batch is one.

    Raises
    ------
    Collapsed
        After the second collapse.
    OutOfMemory
        If the smallest patch needs too much.
    """
    reseeded = False
    while True:
        try:
            return (yield from attempt(config)), config
        except Collapsed as error:
            if reseeded:
                raise Collapsed(
                    f"training collapsed twice ({error.problem})",
                    "try another seed or the preset 'standard', and check that the image is more than noise",
                ) from None
            changed, reseeded = config.replace(seed=(config.seed + 1) % 2**31), True
            note = f"Training collapsed ({error.problem}). It begins again with seed {changed.seed}."
        except OutOfMemory:
            smaller = halve_training(config)
            if smaller is None:
                raise
            changed = smaller
            note = f"Training ran out of memory. It begins again with {differences(config, smaller)}."
        # Not in the except block: until it ends the error holds the frames, and they hold the run's memory.
        release_memory(device)
        yield Warned(note)
        config = changed

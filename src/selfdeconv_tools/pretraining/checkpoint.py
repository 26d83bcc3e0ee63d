"""A run of pre-training that can go on: weights, state of the optimiser, and where in which cycle it stands."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import safetensors
import torch
from torch import nn

from napari_selfdeconv.io.tensor_files import write_tensors
from napari_selfdeconv.training.state import adam_moments, as_part, load_adam_moments, part_of

_WEIGHTS, _OPTIMIZER = "weights", "optimizer"


@dataclass(frozen=True)
class Position:
    """Where a run stands.

    Parameters
    ----------
    step : steps done, over all cycles.
    cycle_start, cycle_steps : the learning rate falls once from its highest value to 0 over these steps.
    seconds : spent so far.
    cycle_start_s, cycle_s : or over these seconds, if they are over sooner.
    """

    step: int = 0
    cycle_start: int = 0
    cycle_steps: int = 1
    seconds: float = 0.0
    cycle_start_s: float = 0.0
    cycle_s: float = math.inf

    @property
    def share(self) -> float:
        """How much of the cycle is done, 0 to 1."""
        in_steps = (self.step - self.cycle_start) / self.cycle_steps
        return min(1.0, max(in_steps, (self.seconds - self.cycle_start_s) / self.cycle_s))

    @property
    def ended(self) -> bool:
        """Whether the cycle is over."""
        return self.share >= 1

    def next_cycle(self, steps: int, seconds: float) -> Position:
        """Return the beginning of another cycle."""
        return replace(self, cycle_start=self.step, cycle_steps=steps, cycle_start_s=self.seconds, cycle_s=seconds)


def save_checkpoint(path: Path, network: nn.Module, optimizer: torch.optim.Optimizer, position: Position) -> None:
    """Write the checkpoint, or leave the old one as it is."""
    tensors = as_part(_WEIGHTS, network.state_dict()) | as_part(_OPTIMIZER, adam_moments(optimizer))
    write_tensors(path, tensors, {"position": json.dumps(asdict(position))})


def load_checkpoint(path: Path, network: nn.Module, optimizer: torch.optim.Optimizer) -> Position:
    """Put weights and optimiser into the state that was saved, and return where the run stood."""
    with safetensors.safe_open(path, framework="pt", device="cpu") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        position = Position(**json.loads(file.metadata()["position"]))
    network.load_state_dict(part_of(tensors, _WEIGHTS))
    load_adam_moments(optimizer, part_of(tensors, _OPTIMIZER))
    return position

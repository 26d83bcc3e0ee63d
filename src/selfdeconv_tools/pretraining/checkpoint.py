"""A run of pre-training that can go on: weights, state of the optimiser, and where in which cycle it stands."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from napari_selfdeconv.io.atomic import whole_or_not_at_all

_WEIGHTS, _OPTIMIZER = "weights.", "optimizer."


@dataclass(frozen=True)
class Position:
    """Where a run stands.

    Parameters
    ----------
    step : steps done, over all cycles.
    cycle_start, cycle_steps : the learning rate falls once from its highest value to 0 over these steps.
    seconds : spent so far.
    """

    step: int = 0
    cycle_start: int = 0
    cycle_steps: int = 1
    seconds: float = 0.0

    @property
    def ended(self) -> bool:
        """Whether the cycle is over."""
        return self.step >= self.cycle_start + self.cycle_steps


def save_checkpoint(path: Path, network: nn.Module, optimizer: torch.optim.Optimizer, position: Position) -> None:
    """Write the checkpoint, or leave the old one as it is."""
    tensors = {_WEIGHTS + name: value for name, value in network.state_dict().items()}
    for index, values in optimizer.state_dict()["state"].items():
        tensors |= {f"{_OPTIMIZER}{index}.{name}": value for name, value in values.items()}
    whole = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    with whole_or_not_at_all(path) as temporary:
        save_file(whole, temporary, metadata={"position": json.dumps(asdict(position))})


def load_checkpoint(path: Path, network: nn.Module, optimizer: torch.optim.Optimizer) -> Position:
    """Put weights and optimiser into the state that was saved, and return where the run stood."""
    with safetensors.safe_open(path, framework="pt", device="cpu") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        position = Position(**json.loads(file.metadata()["position"]))
    network.load_state_dict(_below(_WEIGHTS, tensors))
    state: dict[int, dict[str, Any]] = {}
    for name, value in _below(_OPTIMIZER, tensors).items():
        index, field = name.split(".", 1)
        state.setdefault(int(index), {})[field] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    return position


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

"""The loop of pre-training: steps, checkpoints and validation."""

from __future__ import annotations

import csv
import datetime
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from napari_selfdeconv._version import __version__
from napari_selfdeconv.compute.device import Choice
from napari_selfdeconv.network.model import Deconvolver, autocast
from selfdeconv_tools.pretraining.checkpoint import Position, load_checkpoint, save_checkpoint
from selfdeconv_tools.pretraining.problems import Example
from selfdeconv_tools.pretraining.validation import validate

_WARM_UP_STEPS = 200
# A rare patch without signal must not shrink the steps of the next thousand: Adam remembers squares that long.
_LARGEST_GRADIENT = 1.0


class Source(Protocol):
    """What draws batches and validation images."""

    def batch(self, number: int) -> tuple[Tensor, Tensor, Tensor]: ...

    def validation(self) -> dict[str, list[Example]]: ...


@dataclass(frozen=True)
class Schedule:
    """How long a cycle is, how fast it learns, and where it is recorded.

    Parameters
    ----------
    steps : number of steps in a cycle.
    learning_rate : the highest, after the warm-up; it falls to 0 over the cycle as a cosine.
    checkpoint : file to go on from if it exists. If its cycle is over, another one begins from its weights.
    validate_every_s : seconds between checkpoints, each with a row of validation in ``checkpoint.csv``.
    cycle_s : the cycle ends after these seconds at the latest; the learning rate falls accordingly. For a graphics
        card that is at hand for a few minutes. Its weights then depend on the speed of the card.
    """

    steps: int
    learning_rate: float
    checkpoint: Path
    validate_every_s: float = 600.0
    cycle_s: float = math.inf


def train(network: Deconvolver, problems: Source, choice: Choice, schedule: Schedule) -> Position:
    """Train to the end of the cycle and return where the run stands."""
    network.train()
    optimizer = torch.optim.Adam(network.parameters(), lr=schedule.learning_rate)
    position = Position(cycle_steps=schedule.steps, cycle_s=schedule.cycle_s)
    if schedule.checkpoint.exists():
        position = load_checkpoint(schedule.checkpoint, network, optimizer)
        # A cycle that was begun without a limit ends in time on a card that is lent for minutes.
        position = replace(position, cycle_s=min(position.cycle_s, schedule.cycle_s))
    if position.ended:
        position = position.next_cycle(schedule.steps, schedule.cycle_s)
    examples = problems.validation()
    loss = torch.full((), math.nan, device=choice.device)
    record(schedule, position, math.nan, validate(network, examples, choice))
    began, validated = time.perf_counter() - position.seconds, time.perf_counter()
    while not position.ended:
        now = _step(network, optimizer, problems, choice, schedule.learning_rate, position)
        # Kept on the device: to read it would be to wait for each step.
        loss = torch.where(loss.isnan(), now, 0.99 * loss + 0.01 * now)
        position = replace(position, step=position.step + 1, seconds=time.perf_counter() - began)
        if position.ended or time.perf_counter() - validated > schedule.validate_every_s:
            save_checkpoint(schedule.checkpoint, network, optimizer, position)
            record(schedule, position, float(loss), validate(network, examples, choice))
            validated = time.perf_counter()
    return position


def learning_rate(highest: float, position: Position) -> float:
    """Return the rate of the next step: a short rise, then a cosine down to 0.

    Examples
    --------
    >>> [round(learning_rate(1.0, Position(step, 0, 1000)), 2) for step in (0, 200, 600, 999)]
    [0.01, 0.9, 0.35, 0.0]
    """
    done = position.step - position.cycle_start
    return highest * min(1, (done + 1) / _WARM_UP_STEPS) * 0.5 * (1 + math.cos(math.pi * position.share))


def record(schedule: Schedule, position: Position, loss: float, scores: Mapping[str, float]) -> None:
    """Append a row to the CSV beside the checkpoint."""
    path = schedule.checkpoint.with_suffix(".csv")
    row = {
        "date": datetime.date.today().isoformat(), "version": __version__, "steps": position.step,
        "hours": f"{position.seconds / 3600:.3f}", "loss": f"{loss:.4f}",
        **{f"{name} (dB)": f"{value:.3f}" for name, value in scores.items()},
    }  # fmt: skip
    is_new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, row)
        if is_new:
            writer.writeheader()
        writer.writerow(row)


def _step(
    network: Deconvolver,
    optimizer: torch.optim.Optimizer,
    problems: Source,
    choice: Choice,
    highest_rate: float,
    position: Position,
) -> Tensor:
    """Do one step and return its loss, on the device."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(highest_rate, position)
    inputs, truths, contrasts = (tensor.to(choice.device) for tensor in problems.batch(position.step))
    with autocast(choice):
        result = network.unet(inputs).float()
    error = (result - truths) / contrasts
    loss = 2 * F.huber_loss(error, torch.zeros_like(error), delta=1.0)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(network.parameters(), _LARGEST_GRADIENT)
    optimizer.step()
    return loss.detach()

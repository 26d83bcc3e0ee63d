"""All that the next step of a training run depends on, as tensors and plain numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from napari_selfdeconv.config.checks import cut
from napari_selfdeconv.errors import ConfigError, reason_of
from napari_selfdeconv.training.run import TrainingRun

# Of Adam, for each weight; "step" is a scalar.
_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


@dataclass(frozen=True, kw_only=True)
class RunState:
    """A training run after one of its steps.

    Attributes
    ----------
    step : how many steps are done.
    seconds : that training took so far.
    ended : whether that was the last step.
    tensors : on the CPU: weights, statistics, moments of the optimiser, random generators, curves.
    values : plain numbers, JSON-ready.
    """

    step: int
    seconds: float
    ended: bool
    tensors: Mapping[str, Tensor]
    values: Mapping[str, Any]


def capture_state(run: TrainingRun, step: int, seconds: float, ended: bool) -> RunState:
    """Return the state of a run after a step; its tensors are copies."""
    tensors = as_part("network", run.network.state_dict()) | as_part("best", run.selector.best)
    if run.selector.trial is not None:
        tensors |= as_part("trial", run.selector.trial.state())
    tensors |= as_part("adam", adam_moments(run.optimizer))
    tensors |= {f"random.{number}": one.get_state() for number, one in enumerate(run.generators)}
    tensors |= {
        f"losses.{name}": torch.tensor(values, dtype=torch.float64) for name, values in run.history.items()
    }
    curve = run.selector.curve.history
    tensors["held_out"] = torch.tensor(curve, dtype=torch.float64).reshape(-1, 2)
    values = {
        "schedule": run.schedule.to_dict(),
        "rates": [[group["lr"], *group["betas"]] for group in run.optimizer.param_groups],
        "first_loss": run.first_loss,
        "converged": run.converged,
        "failed": run.selector.failed,
    }
    return RunState(step=step, seconds=seconds, ended=ended, tensors=tensors, values=values)


def restore_state(run: TrainingRun, state: RunState) -> None:
    """Load a stored state into a run that has made no step, so that its next step is that of the stored run.

    Raises
    ------
    ConfigError
        If the state is of a run with other sizes, or a part of it is missing.
    """
    try:
        _restore(run, state)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ConfigError(
            f"the checkpoint is damaged or from another version ({cut(reason_of(error))})",
            "remove it and start again",
        ) from error


def _restore(run: TrainingRun, state: RunState) -> None:
    found = state.tensors
    run.network.load_state_dict(part_of(found, "network"))
    run.selector.best = part_of(found, "best")
    if run.selector.trial is not None:
        run.selector.trial.restore(part_of(found, "trial"))
    run.selector.failed = bool(state.values["failed"])
    load_adam_moments(run.optimizer, part_of(found, "adam"))
    for group, (rate, *betas) in zip(run.optimizer.param_groups, state.values["rates"], strict=True):
        group |= {"lr": float(rate), "betas": tuple(betas)}
    run.schedule.restore(state.values["schedule"])
    for number, generator in enumerate(run.generators):
        generator.set_state(found[f"random.{number}"])
    for step, error in found["held_out"].tolist():
        run.selector.curve.add(int(step), error)
    run.history = {name: values.tolist() for name, values in part_of(found, "losses").items()}
    run.first_loss = float(state.values["first_loss"])
    run.converged = bool(state.values["converged"])


def adam_moments(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return what Adam knows of each weight, as ``number.name``."""
    known = optimizer.state_dict()["state"]
    return {f"{number}.{name}": known[number][name] for number in known for name in _MOMENTS}


def load_adam_moments(optimizer: torch.optim.Optimizer, found: Mapping[str, Tensor]) -> None:
    """Give Adam what `adam_moments` returned for the same weights; KeyError if a part is missing."""
    moments = {}
    for number, weight in enumerate(weight for group in optimizer.param_groups for weight in group["params"]):
        own = part_of(found, str(number))
        # The fused optimiser walks through memory, so the moments lie there as their weights do.
        placed = {name: torch.empty_like(weight).copy_(own[name]) for name in _MOMENTS[1:]}
        moments[number] = {"step": own["step"], **placed}
    optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})


def as_part(part: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return copies on the CPU, each under the name ``part.name``."""
    return {f"{part}.{name}": value.detach().to("cpu", copy=True).contiguous() for name, value in tensors.items()}


def part_of(found: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    """Return the tensors that `as_part` has put under a name."""
    return {name.removeprefix(f"{part}."): value for name, value in found.items() if name.startswith(f"{part}.")}

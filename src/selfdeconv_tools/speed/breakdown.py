"""The parts of the time of a training step, by torch's profiler."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from napari_selfdeconv.compute import device
from napari_selfdeconv.compute.malloc import retained_memory
from napari_selfdeconv.config.training import TrainConfig
from selfdeconv_tools.speed.figure import Result, Setting
from selfdeconv_tools.speed.inputs import precision_name
from selfdeconv_tools.speed.steps import make_run, step_config, step_size
from selfdeconv_tools.speed.timing import Timing

_STEPS = 5
# The first rule that an operation, or the one it is part of, and so on outwards, fits decides; the outermost
# convolution with a PSF is one FFT figure with its padding and products.
_GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("PSF and Wiener filters", ("_Linear",)),
    ("optimizer", ("Optimizer.",)),
    ("convolution backward", ("aten::convolution_backward", "ConvolutionBackward")),
    ("convolution forward", ("aten::conv",)),
    ("batch norm", ("aten::batch_norm", "NativeBatchNormBackward", "CudnnBatchNormBackward", "BatchNorm")),
    ("sampling and masks", ("aten::rand", "aten::randint", "aten::normal", "aten::where", "aten::index_put_",
                            "aten::index", "aten::flip", "aten::arange", "aten::stack", "aten::__and__",
                            "aten::bitwise_", "aten::bernoulli_")),
    ("copies and layout", ("aten::to", "aten::_to_copy", "aten::copy_", "aten::contiguous", "aten::clone",
                           "aten::cat", "CatBackward", "ToCopyBackward", "Memcpy", "aten::pad", "aten::zero")),
)  # fmt: skip
REST = "rest"


@dataclass(frozen=True, kw_only=True)
class Breakdown:
    """The step of one network: one row for each group of operations, the share in percent as its rate."""

    name: str
    size: str
    config: TrainConfig
    ndim: int

    def measure(self, setting: Setting) -> Iterator[Result]:
        with retained_memory():  # as training does
            step_s, found = self._profiled(setting)
        precision = precision_name(device.choose_device(setting.device, "auto").dtype)
        for group, share in found.items():
            yield Result(
                name=f"{self.name}/{group}",
                size=self.size,
                compares="share of the time in torch's operations in a training step, by its profiler",
                timing=Timing((share * step_s,)),
                precision=precision,
                rate=100 * share,
                rate_unit="% of the step",
            )

    def _profiled(self, setting: Setting) -> tuple[float, dict[str, float]]:
        """Return the seconds of a step, and the share of each group."""
        run = make_run(self.config, self.ndim, setting)
        run.make_step()
        run.make_step()
        _wait(setting)
        start = time.perf_counter()
        for _ in range(_STEPS):
            run.make_step()
        _wait(setting)
        step_s = (time.perf_counter() - start) / _STEPS
        on_cuda = setting.device.startswith("cuda")
        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_cuda else [])]
        with profile(activities=activities) as profiler:
            for _ in range(_STEPS):
                run.make_step()
            _wait(setting)
        operations = _operations(profiler.events() or [])
        return step_s, shares(operations, "self_device_time_total" if on_cuda else "self_cpu_time_total")


def figures(setting: Setting) -> list[Breakdown]:
    """Return the breakdown of the paper's network and of the preset quick, 2D and 3D."""
    batch = {2: 16, 3: 4} if setting.device.startswith("cuda") else {2: 4, 3: 1}
    found = []
    for ndim in (2, 3):
        for name, overrides in (("paper", {"batch_size": batch[ndim]}), ("quick", {})):
            config = step_config(name, ndim, setting, **overrides)
            size = step_size(config, ndim, setting)
            found.append(Breakdown(name=f"profile-{ndim}d-{name}", size=size, config=config, ndim=ndim))
    return found


def shares(events: Sequence[Any], attribute: str) -> dict[str, float]:
    """Return the share of every group in the time of all operations, 0 to 1."""
    times = dict.fromkeys([*(group for group, _ in _GROUPS), REST], 0.0)
    for event in events:
        times[group_of(_names(event))] += max(0.0, float(getattr(event, attribute, 0.0)))
    total = sum(times.values()) or 1.0
    return {group: seconds / total for group, seconds in times.items()}


def group_of(names: Sequence[str]) -> str:
    """Return the group of an operation by the names of itself and of what it is part of.

    Examples
    --------
    >>> group_of(["aten::mul", "_LinearBackward"]), group_of(["aten::convolution", "aten::conv2d"])
    ('PSF and Wiener filters', 'convolution forward')
    """
    for group, beginnings in _GROUPS:
        if any(name.startswith(beginnings) for name in names):
            return group
    return REST


def _operations(events: Iterable[Any]) -> list[Any]:
    """Leave out the accelerator's own events: their time counts for the operations that launched them."""
    return [event for event in events if event.device_type.name == "CPU"]


def _names(event: Any) -> list[str]:
    names = []
    while event is not None:
        names.append(event.name.removeprefix("autograd::engine::evaluate_function: "))
        event = event.cpu_parent
    return names


def _wait(setting: Setting) -> None:
    if setting.device.startswith("cuda"):
        torch.cuda.synchronize(setting.device)

"""What a CUDA chip multiplies at most, and how much of it the paper's training step reaches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from selfdeconv_tools.speed.figure import Result, Setting
from selfdeconv_tools.speed.inputs import size_text
from selfdeconv_tools.speed.steps import make_run, step_config, step_size
from selfdeconv_tools.speed.timing import alternate

_SIDE = 8192
_BATCH = 16


@dataclass(frozen=True, kw_only=True)
class Chip:
    """Two rows: the matrix product in bfloat16, and the paper's 2D step in the same unit."""

    name: str = "chip"
    size: str = size_text((_SIDE, _SIDE))

    def measure(self, setting: Setting) -> Iterator[Result]:
        a = torch.randn(_SIDE, _SIDE, device=setting.device, dtype=torch.bfloat16)

        def multiply() -> None:
            # Several at a time: waiting for one costs as much as a tenth of it.
            for _ in range(10):
                a @ a
            torch.cuda.synchronize(setting.device)

        product, _, _ = alternate(multiply, None, setting.repeats)
        best = 10 * 2 * _SIDE**3 / product.ours_median_s
        yield Result(
            name=self.name, size=self.size, compares="ten matrix products in bfloat16", timing=product,
            precision="bfloat16", rate=best / 1e12, rate_unit="TFLOP/s",
        )  # fmt: skip
        config = step_config("paper", 2, setting, batch_size=_BATCH)
        run = make_run(config, 2, setting)
        run.make_step()
        with FlopCounterMode(display=False) as counter:
            run.make_step()

        def step() -> None:
            run.make_step()
            torch.cuda.synchronize(setting.device)

        timing, _, _ = alternate(step, None, setting.repeats)
        reached = counter.get_total_flops() / timing.ours_median_s
        yield Result(
            name=f"{self.name}/step-2d-paper",
            size=step_size(config, 2, setting),
            compares="the arithmetic of a training step, forward and backward",
            timing=timing,
            precision=str(run.choice.dtype).removeprefix("torch."),
            rate=reached / 1e12,
            rate_unit="TFLOP/s",
            note=f"{counter.get_total_flops() / 1e12:.3g} TFLOP a step; {reached / best:.1%} of the matrix rate",
        )


def figures(setting: Setting) -> list[Chip]:
    """Return the chip's rate, on CUDA."""
    return [Chip()] if setting.device.startswith("cuda") else []

"""Many runs that are started and stopped in one process: memory, threads, handles and files as before."""

from __future__ import annotations

import gc
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import psutil

from napari_selfdeconv import api
from napari_selfdeconv.config.presets import preset
from napari_selfdeconv.errors import Cancelled, ComputeError
from napari_selfdeconv.events import Progress
from napari_selfdeconv.stop_token import StopToken

MOST_MB = 50.0
# The first runs load libraries and fill pools.
_WARM_UP = 10


@dataclass(frozen=True)
class Held:
    """What a process holds."""

    megabytes: float
    threads: int
    handles: int
    files: int

    @classmethod
    def now(cls, folder: Path) -> Self:
        """Measure this process, and count the files in a folder."""
        gc.collect()
        process = psutil.Process()
        handles = process.num_handles() if psutil.WINDOWS else process.num_fds()
        return cls(process.memory_info().rss / 1e6, process.num_threads(), handles, len(list(folder.iterdir())))

    def grown(self, before: Held) -> list[str]:
        """Return what is held more than before, beyond the memory that is allowed."""
        more = [
            f"{name} {getattr(before, name)} before, {getattr(self, name)} after"
            for name in ("threads", "handles", "files")
            if getattr(self, name) > getattr(before, name)
        ]
        if self.megabytes - before.megabytes > MOST_MB:
            more.append(f"memory {before.megabytes:.0f} MB before, {self.megabytes:.0f} MB after")
        return more


def start_and_stop(count: int, seed: int) -> tuple[str, list[str]]:
    """Start runs; stop, cancel or break them, or let them end. Return a summary and what was broken."""
    random = np.random.default_rng(seed)
    config = preset(
        "quick", 2, steps=6, patch=32, features=4, levels=2, batch_size=1, pretrained=False, device="cpu"
    )
    psf = np.outer([1, 2, 1], [1, 2, 1]) / 16.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        before = Held.now(folder)
        for number in range(count + _WARM_UP):
            if number == _WARM_UP:
                before = Held.now(folder)
            image = random.normal(100, 20, (128, 128)).astype(np.float32)
            _one_cycle(number % 4, image, psf, config, folder / "run.checkpoint", int(random.integers(1, 6)))
        after = Held.now(folder)
    problems = after.grown(before)
    said = f"memory {after.megabytes - before.megabytes:+.1f} MB, threads {after.threads - before.threads:+d}"
    said += f", handles {after.handles - before.handles:+d}, files {after.files - before.files:+d}"
    return f"cycles: {count} starts and stops; {said}; broken {len(problems)}", problems


def _one_cycle(
    ending: int, image: np.ndarray, psf: np.ndarray, config: api.TrainConfig, path: Path, step: int
) -> None:
    stop = StopToken()
    work = api.iter_deconvolve(image, psf, config, stop=stop, checkpoint=api.Checkpoint(path))
    try:
        for event in work:
            if not isinstance(event, Progress) or event.step < step:
                continue
            if ending == 0:
                stop.stop()
            elif ending == 1:
                stop.cancel()
            elif ending == 2:
                work.throw(MemoryError())
    except (Cancelled, ComputeError, MemoryError):
        return

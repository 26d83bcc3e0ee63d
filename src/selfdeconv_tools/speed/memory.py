"""The peak memory of one side of a figure, measured in a separate process."""

from __future__ import annotations

import subprocess
import sys
import threading

import psutil
import torch

from napari_selfdeconv.errors import ComputeError
from selfdeconv_tools.speed.timing import Call

_SAMPLE_EVERY_S = 0.001
_TIMEOUT_S = 1800


def peak_of_call(call: Call, device: str, calls: int = 2) -> int:
    """Return how many bytes some calls take at their peak, beyond what was there before.

    The second call finds what the first left behind (the optimiser's state), as in a long run. On CUDA it is
    the memory of the device by torch's count. Elsewhere it is the resident memory of the process, sampled every
    millisecond, because the kernel's high-water mark is inherited from the parent process.
    """
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        for _ in range(calls):
            call()
        return torch.cuda.max_memory_allocated(device) - before
    process, done = psutil.Process(), threading.Event()
    before = most = process.memory_info().rss

    def sample() -> None:
        nonlocal most
        while not done.wait(_SAMPLE_EVERY_S):
            most = max(most, process.memory_info().rss)

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        for _ in range(calls):
            call()
    finally:
        done.set()
        thread.join()
    return int(max(most, process.memory_info().rss) - before)


def peak_of_side(name: str, side: str, device: str, small: bool) -> int | None:
    """Measure one side of the figure ``name`` in another process.

    None where it ran out of memory or broke, or took none of the device's: then it computes elsewhere.
    """
    command = [sys.executable, "-m", "selfdeconv_tools.speed.one_side", name, side, device]
    try:
        return int(output_of([*command, *(["--small"] if small else [])]).split()[-1]) or None
    except ComputeError:
        return None


def output_of(command: list[str]) -> str:
    """Run a command; return what it printed.

    Raises
    ------
    ComputeError
        With the last line of its complaint.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise ComputeError(f"a measurement took more than {_TIMEOUT_S} s") from error
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise ComputeError(lines[-1])
    return done.stdout

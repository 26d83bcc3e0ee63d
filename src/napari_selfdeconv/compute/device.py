"""The choice of device and precision, with its reason, and the self-test of accelerators."""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
import torch.nn.functional as F

from napari_selfdeconv.compute.allocation import free_bytes
from napari_selfdeconv.config.parts import Precision
from napari_selfdeconv.errors import ConfigError


class Choice(NamedTuple):
    """The device and the precision of a computation.

    Attributes
    ----------
    device, dtype : as in torch.
    reason : the reason for the choice, in one sentence.
    remedy : what would make it faster; "" if nothing would.

    Examples
    --------
    >>> choice = choose_device("cpu", "float32")
    >>> choice.device.type, choice.dtype
    ('cpu', torch.float32)
    """

    device: torch.device
    dtype: torch.dtype
    reason: str
    remedy: str = ""

    @property
    def precision(self) -> str:
        """Name of the precision: "float32" or "bfloat16"."""
        return str(self.dtype).removeprefix("torch.")


@functools.cache
def self_test(name: str) -> str:
    """Compare FFT, strided and transposed 3D convolutions with the CPU; "" if they agree.

    Apple's MPS has returned wrong numbers for some of these, or raised errors.
    """
    device = torch.device(name)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 2, 6, 10, 12, generator=generator)
    weight = torch.randn(2, 2, 2, 2, 2, generator=generator)
    operations: dict[str, Callable[[torch.device], torch.Tensor]] = {
        "real FFT": lambda d: torch.fft.irfftn(
            torch.fft.rfftn(x.to(d), dim=(-3, -2, -1)), s=x.shape[-3:], dim=(-3, -2, -1)
        ),
        "3D convolution": lambda d: F.conv3d(x.to(d), weight.to(d), stride=2),
        "3D transposed convolution": lambda d: F.conv_transpose3d(x.to(d), weight.to(d), stride=2),
    }
    for label, operation in operations.items():
        try:
            difference = (operation(device).cpu() - operation(torch.device("cpu"))).abs().max().item()
        except RuntimeError as error:  # NotImplementedError is one
            return f"{label} failed ({str(error).splitlines()[0]})"
        if not difference < 1e-2:
            return f"{label} is off by {difference:.2g}"
    return ""


def choose_device(device: str, precision: Precision) -> Choice:
    """Return the device and the dtype for the user's choice.

    Parameters
    ----------
    device : "auto", "cpu", "cuda", "cuda:N" or "mps".
    precision : "auto", "float32" or "bfloat16". "auto" depends only on the hardware and not on a timing, so it is
        always the same on a machine.

    Raises
    ------
    ConfigError
        If the device is unknown, or not available.

    Examples
    --------
    >>> choose_device("cpu", "float32").reason
    'as asked for'
    """
    chosen, reason = _auto() if device == "auto" else (_named(device), "as asked for")
    if precision == "auto":
        dtype = torch.bfloat16 if fast_bfloat16(chosen) else torch.float32
    else:
        dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    remedy = _remedy() if chosen.type == "cpu" else ""
    return Choice(chosen, dtype, reason, remedy)


def free_memory_bytes(device: torch.device) -> int:
    """Return the memory in bytes that a computation on ``device`` may still take.

    Parameters
    ----------
    device : processor or graphics card.

    Examples
    --------
    >>> import torch
    >>> free_memory_bytes(torch.device("cpu")) > 0
    True
    """
    if device.type == "cuda":
        # Memory that torch caches counts as used for the driver; we can still use it.
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + kept
    return free_bytes()


def release_memory(device: torch.device) -> None:
    """Release the memory of the device that torch caches."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


@contextmanager
def repeatable(device: torch.device, *, exact: bool = False) -> Iterator[None]:
    """Compute repeatably inside the block; ``exact`` asks for full float32, without TF32.

    On CUDA only cuDNN has a choice; elsewhere this does nothing.
    """
    if device.type != "cuda":
        yield
        return
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=not exact):
        yield


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether a computation failed because the device or the computer ran out of memory."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    words = (
        "can't allocate memory", "not enough memory", "out of memory",
        "alloc_failed", "unable to find a valid cudnn algorithm",  # the words of cuFFT, cuBLAS and cuDNN
    )  # fmt: skip
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in words)


def _auto() -> tuple[torch.device, str]:
    if torch.cuda.is_available():
        # A card for which this build of PyTorch has no kernels is found as well, but cannot be used.
        problem = self_test("cuda")
        if not problem:
            return torch.device("cuda"), f"a CUDA GPU is available ({torch.cuda.get_device_name()})"
        return torch.device("cpu"), f"the CUDA GPU did not pass its self-test: {problem}"
    if torch.backends.mps.is_available():
        problem = self_test("mps")
        if not problem:
            return torch.device("mps"), "Apple's GPU is available and passed its self-test"
        return torch.device("cpu"), f"Apple's GPU did not pass its self-test: {problem}"
    return torch.device("cpu"), "PyTorch sees no GPU"


def _remedy() -> str:
    if torch.cuda.is_available() and self_test("cuda"):
        return "Install the build of PyTorch that is made for this card (pytorch.org, Get Started)."
    if torch.cuda.is_available() or (torch.backends.mps.is_available() and not self_test("mps")):
        return "A graphics card is available: set the device to auto."
    if torch.version.cuda is None and sys.platform != "darwin":
        return (
            "This PyTorch is built without CUDA. With an NVIDIA card, install the CUDA build (pytorch.org, "
            "Get Started) into this environment and restart napari."
        )
    if sys.platform == "darwin":
        return "Apple's GPU needs a Mac with an M-series chip and macOS 14 or newer."
    return "With an NVIDIA card, update its driver (nvidia-smi must list the card) and restart napari."


def _named(device: str) -> torch.device:
    if not re.fullmatch(r"cpu|cuda(:\d+)?|mps", device):
        raise ConfigError(f"device must be auto, cpu, cuda, cuda:N or mps, got {device!r}")
    if device.startswith("cuda"):
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        number = int(device.partition(":")[2] or 0)
        if number >= count:
            raise ConfigError(
                f"device {device!r} is not available: PyTorch sees {count} CUDA devices; use auto or cpu"
            )
    if device == "mps":
        if not torch.backends.mps.is_available():
            raise ConfigError("device 'mps' is not available: it needs an Apple GPU; use auto or cpu")
        problem = self_test("mps")
        if problem:
            raise ConfigError(f"device 'mps' did not pass its self-test: {problem}; use cpu")
    return torch.device(device)


def onednn_without_avx512() -> bool:
    """Return whether oneDNN computes on this processor with AVX2 alone: it then lacks some kernels of its own."""
    return torch.backends.mkldnn.is_available() and torch.backends.cpu.get_cpu_capability() == "AVX2"  # type: ignore[no-untyped-call]


def fast_bfloat16(device: torch.device) -> bool:
    """Return whether the device computes faster in bfloat16 than in float32.

    A processor must have the instructions, and oneDNN must use them: ``ONEDNN_MAX_CPU_ISA`` can forbid it.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu":
        return False
    # Private in torch 2.4 to 2.13; without them float32 is the safe answer, only slower.
    has_it = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    uses_it = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return bool(has_it and uses_it and has_it() and uses_it())

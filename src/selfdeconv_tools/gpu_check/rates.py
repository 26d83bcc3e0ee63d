"""The speed of a device: matrix products, steps, FFT against direct, memory, compiling, transfers."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from statistics import median

import torch
from torch.utils.flop_counter import FlopCounterMode

from napari_selfdeconv.compute.device import choose_device, self_test
from selfdeconv_tools.gpu_check.table import Bench
from selfdeconv_tools.speed.convolution import estimated_direct_s, there_and_back
from selfdeconv_tools.speed.figure import Setting
from selfdeconv_tools.speed.memory import peak_of_call
from selfdeconv_tools.speed.steps import make_run, step_config

# A convolution that would take longer is left out.
_MOST_DIRECT_S = 5.0


def wait(device: str) -> None:
    """Return when the device has done what it was given."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    elif device == "mps":
        torch.mps.synchronize()


def seconds_of(call: Callable[[], object], device: str, repeats: int) -> float:
    """Return the median time of a call, after one that does not count."""
    call()
    times = []
    for _ in range(repeats):
        wait(device)
        start = time.perf_counter()
        call()
        wait(device)
        times.append(time.perf_counter() - start)
    return median(times)


def check_device(bench: Bench) -> None:
    """Write what the device is, whether it computes right, and what it chooses."""
    problem = self_test(bench.device)
    bench.row("device", "self-test", "status", problem or "passed")
    choice = choose_device(bench.device, "auto")
    name = torch.cuda.get_device_name(bench.device) if bench.on_cuda else bench.device
    bench.row("device", name, "precision", choice.precision, note=f"PyTorch {torch.__version__}; {choice.reason}")


def check_steps(bench: Bench) -> dict[int, float]:
    """Write the matrix rate, the time of steps, their share of it, and their memory; return the paper's steps."""
    setting, repeats = Setting(device=bench.device, small=bench.tiny), 1 if bench.tiny else 5
    side = 256 if bench.tiny else 8192
    precision = choose_device(bench.device, "auto").dtype
    a = torch.randn(side, side, device=bench.device).to(precision)
    rate = 2 * side**3 / seconds_of(lambda: a @ a, bench.device, repeats)
    bench.row(
        "step", f"matrix product {side}", "rate", rate / 1e12, "TFLOP/s", str(precision).removeprefix("torch.")
    )
    found = {}
    for name in ("quick", "paper"):
        for ndim in (2, 3):
            config = step_config(name, ndim, setting)
            run, label = make_run(config, ndim, setting), f"{name} {ndim}D"
            run.make_step()
            with FlopCounterMode(display=False) as counter:
                run.make_step()
            seconds = seconds_of(run.make_step, bench.device, repeats)
            reached = counter.get_total_flops() / seconds
            bench.row("step", label, "time", seconds, "s", f"batch {config.optimiser.batch_size}")
            bench.row("step", label, "share of the matrix rate", reached / rate)
            peak = peak_of_call(run.make_step, bench.device)
            model = run.peak_bytes
            bench.row("memory", label, "peak of a step", peak / 1e6, "MB", f"the model says {model / 1e6:.0f} MB")
            if name == "paper":
                found[ndim] = seconds
    return found


def check_convolution(bench: Bench) -> None:
    """Write the forward model with PSFs of 17 and 31 voxels a side, by FFT and directly."""
    batch = (1, 1, 8, 8, 8) if bench.tiny else (1, 1, 64, 64, 64)
    for side in (3, 5) if bench.tiny else (17, 31):
        psf = (side,) * 3
        fft = seconds_of(there_and_back(psf, batch, "fft", bench.device), bench.device, 3)
        bench.row("convolution", f"PSF {side}^3", "FFT", fft, "s", "forward and backward")
        expected = estimated_direct_s(psf, batch, bench.device)
        if expected > _MOST_DIRECT_S:
            bench.row("convolution", f"PSF {side}^3", "direct", "not run", note=f"{expected:.0f} s expected")
            continue
        direct = seconds_of(there_and_back(psf, batch, "direct", bench.device), bench.device, 3)
        bench.row("convolution", f"PSF {side}^3", "direct", direct, "s", f"{direct / fft:.2f} times as long")


def check_compiling(bench: Bench) -> None:
    """Write a step of `quick` with and without torch.compile, and the network with and without a CUDA graph."""
    setting = Setting(device=bench.device, small=bench.tiny)
    for ndim in (2,) if bench.tiny else (2, 3):
        run = make_run(step_config("quick", ndim, setting), ndim, setting)
        plain = seconds_of(run.make_step, bench.device, 3)
        # Without a compiler on the processor the tiny check goes through the same code as it is.
        backend = "eager" if bench.tiny else "inductor"
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # of torch, about itself
                run.blind_spot.network = torch.compile(run.network, backend=backend)  # type: ignore[assignment]
                begun = time.perf_counter()
                run.make_step()
                wait(bench.device)
                took = time.perf_counter() - begun
            compiled = seconds_of(run.make_step, bench.device, 3)
        except RuntimeError as error:
            bench.row("compile", f"step {ndim}D", "status", "failed", note=str(error).splitlines()[0])
            continue
        note = f"{backend}; {plain / compiled:.2f} times as fast, compiled in {took:.1f} s"
        bench.row("compile", f"step {ndim}D", "plain", plain, "s")
        bench.row("compile", f"step {ndim}D", "compiled", compiled, "s", note)
    if not bench.on_cuda:
        bench.row("graphs", "network 2D", "status", "not measured", note="CUDA graphs need CUDA")
        return
    run = make_run(step_config("quick", 2, setting), 2, setting)
    network, x = run.network.eval(), torch.randn(8, 1, 128, 128, device=bench.device)
    with torch.no_grad():
        plain = seconds_of(lambda: network(x), bench.device, 10)
        graph = torch.cuda.CUDAGraph()
        network(x)
        with torch.cuda.graph(graph):
            network(x)
        replayed = seconds_of(graph.replay, bench.device, 10)
    bench.row("graphs", "network 2D", "plain", plain, "s")
    bench.row("graphs", "network 2D", "graph", replayed, "s", f"{plain / replayed:.2f} times as fast")


def check_transfers(bench: Bench) -> None:
    """Write how long tiles take with their transfers one after the other, and overlapped on a second stream."""
    if not bench.on_cuda:
        bench.row("transfers", "tiles", "status", "not measured", note="there is nothing to transfer")
        return
    setting = Setting(device=bench.device, small=bench.tiny)
    network = make_run(step_config("quick", 2, setting), 2, setting).network.eval()
    tiles = [torch.randn(1, 1, 1024, 1024).pin_memory() for _ in range(8)]
    side = torch.cuda.Stream(bench.device)  # type: ignore[no-untyped-call]

    def in_turn() -> None:
        for tile in tiles:
            network(tile.to(bench.device)).cpu()

    def overlapped() -> None:
        results = []
        with torch.cuda.stream(side):
            coming = tiles[0].to(bench.device, non_blocking=True)
        for following in (*tiles[1:], None):
            torch.cuda.current_stream().wait_stream(side)
            now = coming
            if following is not None:
                with torch.cuda.stream(side):
                    coming = following.to(bench.device, non_blocking=True)
            results.append(network(now).to("cpu", non_blocking=True))
        wait(bench.device)

    with torch.no_grad():
        first = seconds_of(in_turn, bench.device, 3)
        second = seconds_of(overlapped, bench.device, 3)
    bench.row("transfers", "eight tiles", "in turn", first, "s")
    bench.row("transfers", "eight tiles", "overlapped", second, "s", f"{first / second:.2f} times as fast")

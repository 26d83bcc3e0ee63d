"""Show the plugin at work: ``python -m selfdeconv_tools.demo``.

Opens napari and presses the buttons of the dock: Train, Richardson-Lucy, Side by side. Prints the progress and a
table of metrics, and writes a picture of the window and the result. With a display the viewer then stays open.
With ``--headless`` (or under xvfb-run) the program ends.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from napari_selfdeconv.errors import SelfDeconvError

if TYPE_CHECKING:
    import napari
    from napari.layers import Image

    from napari_selfdeconv._gui.docks.deconvolve import DeconvolveWidget

PLUGIN = "napari-selfdeconv"
SAMPLES = {"3d": "microtubules_3d", "2d": "cells_2d"}
WINDOW = (1280, 800)
_SAY_EVERY_S = 2.0
# Enough to see the result improve: the sample image gains what 45 steps gain, the volume 0.80 dB of 1.04 dB.
_SAMPLE_STEPS = {"3d": 15, "2d": 20}


class Closed(Exception):
    """The user closed the window; the demonstration ends quietly."""


def say(text: str = "") -> None:
    """Write a line to the terminal at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m selfdeconv_tools.demo", description=__doc__)
    parser.add_argument("--sample", choices=sorted(SAMPLES), default="3d", help="generated sample to use")
    parser.add_argument("--image", type=Path, help="your own image instead of a sample")
    parser.add_argument("--psf", type=Path, help="its PSF; without one it is generated from the optics")
    parser.add_argument("--na", type=float, help="numerical aperture, if the file does not state it")
    parser.add_argument("--wavelength-um", type=float, help="emission, um, if the file does not state it")
    parser.add_argument("--refractive-index", type=float, help="of the immersion, if not in the file")
    parser.add_argument(
        "--voxel-um", type=float, nargs="+", help="[DZ] DY DX, um, if the file does not state the voxel size"
    )
    parser.add_argument("--preset", choices=("instant", "quick", "standard", "paper"), default="quick")
    parser.add_argument("--steps", type=int, help="training steps (default: few on a sample, else the preset's)")
    parser.add_argument("--out", type=Path, default=Path("demo"), help="folder for the picture and the result")
    parser.add_argument("--headless", action="store_true", help="end when done instead of staying open")
    options = parser.parse_args(words)
    if options.steps is None:
        few = options.image is None and options.preset == "quick"
        options.steps = _SAMPLE_STEPS[options.sample] if few else 0
    # xvfb-run names its authority file after itself: nobody sits in front of that screen.
    options.headless |= "xvfb-run" in os.environ.get("XAUTHORITY", "")
    return options


class Demo:
    """Drives the dock as a person would, and tells the terminal."""

    def __init__(self, viewer: napari.Viewer, options: argparse.Namespace) -> None:
        self.viewer, self.options = viewer, options
        self.widget: DeconvolveWidget
        self._started = time.perf_counter()

    def play(self) -> None:
        """Go through all stages; SelfDeconvError when one fails."""
        self._open()
        widget = self.widget
        say("Training (the button 'Train') ...")
        widget.run_panel.train_button.click()
        self._wait(widget)
        say("Richardson-Lucy, for comparison ...")
        widget.compare.rl_button.click()
        self._wait(widget)
        widget.compare.side_button.click()
        self._report()

    def _open(self) -> None:
        from napari_selfdeconv._gui.docks.deconvolve import DOCK_NAME

        options = self.options
        if options.image is None:
            say(f"Generating the {options.sample} sample ...")
            self.viewer.open_sample(PLUGIN, SAMPLES[options.sample])
        else:
            self._open_files()
        _, self.widget = self.viewer.window.add_plugin_dock_widget(PLUGIN, DOCK_NAME)
        form = self.widget.train_form
        form.preset.setCurrentIndex(form.preset.findData(options.preset))
        form.steps.setValue(options.steps)
        if options.image is not None and options.psf is None:
            self._fill_optics()
        self._spin(0.5)

    def _open_files(self) -> None:
        from napari_selfdeconv._gui.layers.exchange import METADATA_KEY, add_input
        from napari_selfdeconv._gui.layers.file_record import RECORD_KEY
        from napari_selfdeconv.io.images import read_image, read_psf

        options = self.options
        image = read_image(options.image)
        voxel_um = tuple(options.voxel_um) if options.voxel_um else image.voxel_um
        layer = add_input(self.viewer, image.data, options.image.name.split(".")[0], voxel_um)
        # The dock fills in the optics that the file states.
        layer.metadata[METADATA_KEY] = {RECORD_KEY: image.record}
        if options.psf is not None:
            psf = read_psf(options.psf)
            add_input(self.viewer, psf.data, "PSF", psf.voxel_um or voxel_um).visible = False

    def _fill_optics(self) -> None:
        form, options = self.widget.psf_form, self.options
        for given, fill in (
            (options.na, form.na.setValue),
            (options.wavelength_um, form.wavelength.set_um),
            (options.refractive_index, form.index.setValue),
        ):
            if given is not None:
                fill(given)

    def _wait(self, widget: DeconvolveWidget) -> None:
        """Let the window live until the run is over; say how it goes."""
        last = 0.0
        while widget.busy:
            self._spin(0.05)
            bar = widget.run_panel.bar
            now = time.perf_counter()
            if now - last >= _SAY_EVERY_S:
                last = now
                say(f"  {now - self._started:5.0f} s  {bar.text() or widget.run_panel.status.text()}")
        status = widget.run_panel.status
        if status.kind == "error":
            raise SelfDeconvError(status.text())
        say(f"  {status.text()}")

    def _spin(self, seconds: float) -> None:
        from qtpy.QtWidgets import QApplication

        end = time.perf_counter() + seconds
        while True:
            QApplication.processEvents()
            if not self.viewer.window._qt_window.isVisible():
                raise Closed
            if time.perf_counter() >= end:
                return
            time.sleep(0.01)

    def _shoot(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._spin(0.7)
        self.viewer.window.screenshot(str(path), flash=False, canvas_only=False)

    def _report(self) -> None:
        """Print the metrics where there is a truth; write the result and the picture of the window."""
        from napari_selfdeconv._gui.layers.exchange import about, results_of, role, voxel_um
        from napari_selfdeconv._gui.plugin.files import SESSION_KEYS
        from napari_selfdeconv.io.images import write_ome_tiff

        layer = self.widget.image_box.layer
        assert layer is not None
        related = results_of(self.viewer, layer)
        results = [other for other in related if role(other) == "result"]
        for truth in (other for other in related if role(other) == "truth"):
            _print_metrics([layer, *results], truth)
        out = self.options.out
        self._shoot(out / "session.png")
        best = next(other for other in results if "config" in about(other))
        provenance = {key: value for key, value in about(best).items() if key not in SESSION_KEYS}
        write_ome_tiff(out / "deconvolved.ome.tif", best.data, voxel_um(layer), provenance)
        say(f"\n{out / 'session.png'}: the window\n{out / 'deconvolved.ome.tif'}: the deconvolved image")


def _print_metrics(layers: list[Image], truth: Image) -> None:
    from napari_selfdeconv.metrics.scores import evaluate

    say(f"\n{'against the truth':32s} {'PSNR, dB':>9s} {'SSIM':>7s} {'RMSE':>8s}")
    for layer in layers:
        scores = evaluate(layer.data, truth.data)
        say(f"{layer.name:32s} {scores['psnr']:9.2f} {scores['ssim']:7.3f} {scores['rmse']:8.4f}")


def main(words: list[str] | None = None) -> int:
    """Run the demonstration; 0 if all went well, 2 with one line on standard error if not."""
    options = arguments(words)
    import napari

    viewer = napari.Viewer()
    viewer.window._qt_window.resize(*WINDOW)
    demo = Demo(viewer, options)
    try:
        demo.play()
    except Closed:
        return 0
    except KeyboardInterrupt:
        viewer.close()  # this ends a run under way
        return 130
    except SelfDeconvError as error:
        sys.stderr.write(f"the demonstration failed: {error}\n")
        viewer.close()
        return 2
    if options.headless:
        viewer.close()
    else:
        say("\nThe viewer is yours; close it to end.")
        napari.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())

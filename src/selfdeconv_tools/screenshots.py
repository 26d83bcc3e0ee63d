"""The documentation's pictures, taken of the real docks: ``python -m selfdeconv_tools.screenshots DIR``."""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np
from PIL import Image

from napari_selfdeconv.io.microscope_files import FOLDER_VARIABLE
from selfdeconv_tools.demo import PLUGIN, WINDOW, say

if TYPE_CHECKING:
    import napari


# No session of the docks takes longer.
_PATIENCE_S = 900.0
# Where the picture shows no more with all steps.
_FEW_STEPS = 20
# During training the messages change now and then.
_MOST_LOOKS = 20
# Of 255 grey levels.
_MOST_ERROR = 8
#: The part of the 2D sample that wanders through the movie.
MOVIE = (slice(128, 384), slice(128, 384))


class Photographer:
    """One viewer and one folder, with waiting for runs to end.

    Parameters
    ----------
    folder : where the pictures go.
    steps : training steps instead of the preset's; 0 keeps those.
    settle_s : how long the window may draw before a picture is taken.
    """

    def __init__(self, viewer: napari.Viewer, folder: Path, steps: int = 0, settle_s: float = 0.8) -> None:
        self.viewer, self._folder, self._steps, self._settle_s = viewer, folder, steps, settle_s
        folder.mkdir(parents=True, exist_ok=True)

    def take_all(self) -> None:
        """Make every picture."""
        for session in (
            self.first_deconvolution,
            self.trust_and_compare,
            self.microscope,
            self.psf,
            self.series,
            self.colours,
        ):
            self._clear()
            session()

    def first_deconvolution(self) -> None:
        """Open a sample, train, look at the result."""
        dock = self._main("cells_2d")
        self._shoot("input")
        dock.run_panel.train_button.click()
        plot = dock.run_panel.plot
        self._until(lambda: not dock.busy or (plot.points >= 8 and self._has_preview()))
        self._shoot("training")
        self._until(lambda: not dock.busy)
        self._shoot("deconvolved")
        dock.compare.rl_button.click()
        self._until(lambda: not dock.busy)
        dock.compare.side_button.click()
        self._shoot("side_by_side")
        dock.compare.side_button.click()
        dock.before_after.after_box.choose(self.viewer.layers["cells [deconvolved]"])
        dock.before_after.button.click()
        self._shoot("before_after")
        dock.before_after.button.click()

    def trust_and_compare(self) -> None:
        """Residual and uncertainty of a result, then the Compare dock."""
        from napari_selfdeconv._gui.docks.compare import open_compare
        from napari_selfdeconv._gui.layers.exchange import role

        dock = self._main("cells_2d", steps=_FEW_STEPS)
        dock.train()
        self._until(lambda: not dock.busy)
        for name in ("psf", "network", "compare"):
            dock.sections[name].heading.setChecked(False)
        dock.sections["model"].unfold()
        image, result = self.viewer.layers["cells"], self.viewer.layers["cells [deconvolved]"]
        self._shoot("model")
        self.viewer.layers.selection = {result}
        dock.model_panel.residual_button.click()
        self._until(lambda: not dock.busy)
        dock.model_panel.uncertainty_button.click()
        self._until(lambda: not dock.busy)
        roles = ("image", "result", "residual", "uncertainty")
        shown = [layer for layer in self.viewer.layers if role(layer) in roles]
        dock.compare.side_by_side.show(lambda: [image, *[layer for layer in shown if layer is not image]])
        for layer, limits, colours in (
            (self.viewer.layers["cells [residual of deconvolved]"], (-0.3, 0.3), "PiYG"),
            (self.viewer.layers["cells [uncertainty]"], (0.0, 0.3), "inferno"),
        ):
            layer.contrast_limits, layer.colormap = limits, colours
        self._shoot("trust")
        dock.compare.side_by_side.restore()
        made = ("cells [residual of deconvolved]", "cells [uncertainty]", "cells [not supported]")
        for name in made:
            self.viewer.layers.remove(name)
        compare = open_compare(self.viewer, image, self.viewer.layers["cells PSF"])
        compare.methods.settings["rl"].setText("3 10 auto")
        compare.methods.ticks["wiener"].setChecked(True)
        compare.compare()
        self._until(lambda: not compare.busy)
        compare.line_button.click()
        compare.sections["Image and PSF"].heading.setChecked(False)
        self._shoot("compare")
        self.viewer.window.remove_dock_widget(compare)

    def microscope(self) -> None:
        """A file that states a part of the microscope: what is marked, what is asked for, what the camera says."""
        from napari_selfdeconv._gui.docks.deconvolve import DOCK_NAME
        from napari_selfdeconv.api import ChannelRecord, ImageRecord, sample_3d, write_ome_tiff

        made = sample_3d()
        stack = made.image.copy()
        stack[:, :, 40] = 0  # a dead column
        record = ImageRecord(
            file="",
            format="",
            axes="ZYX",
            shape=stack.shape,
            dtype=str(stack.dtype),
            na=made.optics.na,
            immersion="water",
            channels=(ChannelRecord(emission_um=made.optics.wavelength_um, modality="widefield"),),
        )
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "microtubules.ome.tif"
            write_ome_tiff(path, stack, voxel_um=made.voxel_um, record=record)
            self.viewer.open(str(path), plugin=PLUGIN)
        _, dock = self.viewer.window.add_plugin_dock_widget(PLUGIN, DOCK_NAME)
        dock.psf_form.generated.click()
        dock.psf_form.index.setValue(0)
        dock.run_panel.train_button.click()
        self._shoot("microscope")
        dock.psf_form.index.setValue(made.optics.refractive_index)
        for name in ("psf", "network", "compare"):
            dock.sections[name].heading.setChecked(False)
        dock.sections["camera"].unfold()
        self._until(lambda: bool(dock.camera_panel.report_note.text()))
        self._shoot("camera")

    def psf(self) -> None:
        """The three tabs of the PSF dock."""
        from napari_selfdeconv._gui.docks.psf import open_psf
        from napari_selfdeconv.api import sample_3d

        self.viewer.open_sample(PLUGIN, "microtubules_3d")
        dock = open_psf(self.viewer)
        self._until(lambda: dock.generate.generated is not None and not dock.generate.busy)
        self._shoot("psf_generate")
        made = sample_3d()
        random = np.random.default_rng(0)
        # A faulty PSF: the sample's PSF as a camera would record it, moved, with a background and an even size.
        moved = np.roll(made.psf, (1, 2, -1), (0, 1, 2))[:, :-1]
        recorded = random.poisson(100 + 3000 * moved / moved.max()).astype(np.uint16)
        self.viewer.add_image(
            recorded, name="recorded PSF", visible=False, scale=made.voxel_um, units=("um",) * recorded.ndim
        )
        dock.tabs.setCurrentWidget(dock.doctor)
        dock.doctor.psf_box.choose(self.viewer.layers["recorded PSF"])
        self._until(lambda: not dock.doctor.busy)
        self._shoot("psf_check")
        self.viewer.layers.clear()
        self.viewer.open_sample(PLUGIN, "beads_3d")
        dock.tabs.setCurrentWidget(dock.beads)
        dock.beads.make()
        self._until(lambda: not dock.beads.busy)
        self._shoot("beads")
        self.viewer.window.remove_dock_widget(dock)

    def series(self) -> None:
        """A movie: the sample, wandering."""
        dock = self._main("cells_2d", steps=_FEW_STEPS)
        image = self.viewer.layers["cells"]
        movie = np.stack([np.roll(image.data, 6 * t, 1)[MOVIE] for t in range(4)])
        for name in ("cells", "cells truth"):
            self.viewer.layers.remove(name)
        layer = self.viewer.add_image(
            movie,
            name="movie",
            axis_labels=("t", "y", "x"),
            scale=(1, *image.scale),
            units=("s", *image.units),
            contrast_limits=image.contrast_limits,
        )
        dock.image_box.choose(layer)
        dock.train()
        self._until(lambda: not dock.busy)
        dock.sections["compare"].heading.setChecked(False)
        self.viewer.reset_view()
        self._shoot("series")

    def colours(self) -> None:
        """Three channels whose file states their colours, and a colour picture that comes back as one."""
        from napari_selfdeconv._gui.docks.deconvolve import DOCK_NAME
        from napari_selfdeconv.api import ChannelRecord, ImageRecord, write_ome_tiff

        dock = self._main("cells_2d")
        image = self.viewer.layers["cells"]
        channels = np.stack([np.roll(image.data, shift, 1)[MOVIE] for shift in (0, 30, 60)])
        stated = (("DAPI", "#4060ff", 0.461), ("GFP", "#00ff00", 0.51), ("mCherry", "#ff2020", 0.61))
        record = ImageRecord(
            file="",
            format="",
            axes="CYX",
            shape=channels.shape,
            dtype=str(channels.dtype),
            channels=tuple(ChannelRecord(name=n, colour=c, emission_um=e) for n, c, e in stated),
        )
        self._clear()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "colours.ome.tif"
            write_ome_tiff(path, channels, voxel_um=tuple(image.scale), axes="CYX", record=record)
            self.viewer.open(str(path), plugin=PLUGIN)
        _, dock = self.viewer.window.add_plugin_dock_widget(PLUGIN, DOCK_NAME)
        dock.psf_form.generated.click()
        self._shoot("channels")
        self._clear()
        dock = self._main("cells_2d", steps=_FEW_STEPS)
        scaled = 255 * (channels - channels.min()) / np.ptp(channels)
        picture = np.moveaxis(scaled, 0, -1).astype(np.uint8)
        for name in ("cells", "cells truth"):
            self.viewer.layers.remove(name)
        dock.image_box.choose(
            self.viewer.add_image(picture, rgb=True, name="picture", scale=image.scale, units=image.units)
        )
        dock.train()
        self._until(lambda: not dock.busy)
        for name in ("network", "psf"):
            dock.sections[name].heading.setChecked(False)
        self.viewer.reset_view()
        dock.before_after.button.click()
        self._shoot("colour_picture")
        dock.before_after.button.click()

    def _has_preview(self) -> bool:
        from napari_selfdeconv._gui.layers.exchange import role

        return any(layer.visible and role(layer) == "preview" for layer in self.viewer.layers)

    def _main(self, sample: str, steps: int = 0) -> Any:
        from napari_selfdeconv._gui.docks.deconvolve import DOCK_NAME

        self.viewer.open_sample(PLUGIN, sample)
        _, dock = self.viewer.window.add_plugin_dock_widget(PLUGIN, DOCK_NAME)
        # The choice of an earlier session holds for the next image.
        dock.psf_form.from_layer.click()
        dock.train_form.steps.setValue(self._steps or steps)
        return dock

    def _clear(self) -> None:
        self.viewer.layers.clear()
        for widget in self._docks():
            self.viewer.window.remove_dock_widget(widget)
        self._wait(0.2)

    def _until(self, done: Callable[[], bool]) -> None:
        started = time.perf_counter()
        while not done():
            self._wait(0.05)
            if time.perf_counter() - started > _PATIENCE_S:
                raise TimeoutError(f"nothing came of it in {_PATIENCE_S:.0f} s")
        # The dock is laid out again before the next click, as before that of a person.
        self._wait(self._settle_s / 4)

    def _wait(self, seconds: float) -> None:
        from qtpy.QtWidgets import QApplication

        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            QApplication.processEvents()
            time.sleep(0.01)

    def _settle(self) -> None:
        """Wait until the docks are laid out: on a busy machine folded sections and wrapped lines take a while."""
        from qtpy.QtWidgets import QWidget

        before: list[Any] = []
        for _ in range(_MOST_LOOKS):
            self._wait(self._settle_s)
            now = [widget.geometry() for dock in self._docks() for widget in (dock, *dock.findChildren(QWidget))]
            if now == before:
                return
            before = now

    def _docks(self) -> list[Any]:
        docks = list(self.viewer.window.dock_widgets.values())
        return [dock for dock in docks if type(dock).__module__.startswith("napari_selfdeconv")]

    def _shoot(self, name: str) -> None:
        self._settle()
        path = self._folder / f"{name}.png"
        picture = self.viewer.window.screenshot(flash=False, canvas_only=False)
        made = Image.fromarray(picture[..., :3])
        # A third of the size, where no pixel differs by more than a few grey levels.
        few = made.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        error = np.abs(np.asarray(few.convert("RGB"), int) - np.asarray(made, int)).max()
        (few if error <= _MOST_ERROR else made).save(path, optimize=True)
        say(f"  {path}")


@contextmanager
def nobodys_settings() -> Iterator[None]:
    """Use empty settings of napari and of the docks: no interrupted run and no microscope of whoever is here.

    napari reads the place of its settings when it is imported, so it must not be imported before.
    """
    with tempfile.TemporaryDirectory() as folder:
        places = {FOLDER_VARIABLE: folder, "NAPARI_CONFIG": str(Path(folder) / "napari.yaml")}
        with mock.patch.dict(os.environ, places):
            yield


def main(folder: Path) -> None:
    """Make the pictures in a folder."""
    with nobodys_settings():
        import napari

        viewer = napari.Viewer()
        viewer.window._qt_window.resize(*WINDOW)
        Photographer(viewer, folder).take_all()
        viewer.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m selfdeconv_tools.screenshots", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="DIR")
    main(parser.parse_args().folder)

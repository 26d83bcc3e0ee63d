"""The form 'how to train'. Reading it builds a dataclass, and that is the validation."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QCheckBox, QFormLayout, QGridLayout, QLabel, QSizePolicy, QToolButton, QWidget

from napari_selfdeconv._gui.forms.fields import ChoiceBox, Note, WholeBox
from napari_selfdeconv._gui.plugin.preferences import preferences
from napari_selfdeconv.config.loss_terms import LOSSES
from napari_selfdeconv.config.presets import preset, preset_cost, preset_names
from napari_selfdeconv.config.tiles import TileConfig
from napari_selfdeconv.config.training import TrainConfig

DEFAULT = "quick"
#: What is said of every preset that trains, for a stack with the whole PSF.
REFINED = (
    "No training step: the result of the learned weights is refined with the whole PSF of this widefield stack. "
    "Continue training then trains."
)
DEVICE_CHOICES = [("auto", "auto"), ("cpu", "cpu"), ("cuda (NVIDIA, AMD)", "cuda"), ("mps (Apple)", "mps")]


def offered() -> list[str]:
    """Return the presets that the dock offers: those whose files say what they cost."""
    return [name for name in preset_names() if preset_cost(name, 2) and preset_cost(name, 3)]


def describe(name: str, ndim: int) -> str:
    """Return one line about what a preset costs."""
    config = preset(name, ndim)
    steps = f"{config.optimiser.steps} steps" if config.optimiser.steps else "No training step"
    return f"{steps}, {config.network.features} features: {preset_cost(name, ndim)}."


class TrainForm(QWidget):
    """Preset and loss, and rarely used settings under 'Advanced'.

    Signal ``changed`` comes when a setting changes that affects the memory of a run.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.preset = ChoiceBox([(name, name) for name in offered()], "How long to train")
        self.preset.setCurrentIndex(self.preset.findData(DEFAULT))
        losses = [("preset's own", None), *((loss.label, name) for name, loss in LOSSES.items())]
        self.loss = ChoiceBox(losses, "What the network is trained to minimise")
        self.seed = WholeBox("The same seed gives the same result")
        self.steps = WholeBox("Training steps, instead of the preset's", "preset's")
        self.patch = WholeBox("Side of a training patch in voxels: smaller needs less memory", "preset's")
        self.tile = WholeBox("Side of a tile of the result in voxels: smaller needs less memory", "automatic")
        self.device = ChoiceBox(
            DEVICE_CHOICES, "Device that computes. 'auto' uses a graphics card if there is one"
        )
        self.auto_stop = _switch(
            "Stop automatically",
            "2 % of the pixels are held out of training. Training ends when their error has not fallen for 200 "
            "steps, and the step with the least error is used. It also ends after 15 % of the steps if the error "
            "has clearly risen by then. Not for the preset 'paper'.",
        )
        self.pretrained = _switch(
            "Pre-trained weights",
            "Start from weights learned on computer-generated scenes, which gives better results in less time. "
            "Without it the network learns from this image alone. 'instant' always uses these weights.",
        )
        self.refine = _switch(
            "Refine",
            "With little noise, iterations of Richardson-Lucy recover what the network has missed, if held-out "
            "pixels gain from it. Not for images that were smoothed or interpolated, nor for 'paper'.",
        )
        self.even_border = QCheckBox("Even border")
        self.even_border.setToolTip(
            "For simulated images that are dark towards their border because no light comes from beyond it. "
            "Makes the border as bright as the inside. A microscope's image does not need it."
        )
        self.device.setCurrentIndex(max(0, self.device.findData(preferences().device)))
        self.to_disk = QCheckBox("Result on disk (zarr)")
        self.to_disk.setToolTip(
            "Train on a block, predict tile by tile into a folder: for images larger than memory. Used "
            "automatically if a dask or zarr layer does not fit. The folder is set in the Preferences."
        )
        self.note = Note()
        self._ndim = 2
        self._trains_nothing = False
        self.advanced = QToolButton()
        self._build()
        for changed in (self.preset.currentIndexChanged, self.loss.currentIndexChanged, self.pretrained.toggled):
            changed.connect(self._describe)
            changed.connect(self.changed)
        for changed in (self.patch.valueChanged, self.tile.valueChanged, self.device.currentIndexChanged):
            changed.connect(self.changed)
        self._describe()

    def follow(self, ndim: int) -> None:
        """Describe the presets for images with this many axes."""
        if ndim in (2, 3):
            self._ndim = ndim
        self._describe()

    def say_refined(self, trains_nothing: bool) -> None:
        """Describe the preset for an image that a new run only refines, or for one that it trains on."""
        self._trains_nothing = trains_nothing
        self._describe()

    def config(self, ndim: int) -> TrainConfig:
        """Return the settings; ConfigError if one is out of range."""
        numbers = {"steps": self.steps.value(), "patch": self.patch.value()} if self.trains else {}
        chosen: dict[str, Any] = {name: value for name, value in numbers.items() if value}
        switches = {
            "auto_stop": self.auto_stop,
            "pretrained": self.pretrained,
            "refine": self.refine,
        }
        trains = self.trains
        chosen |= {
            name: False for name, box in switches.items() if not box.isChecked() and (trains or box.isEnabled())
        }
        if "auto_stop" in chosen:
            chosen["trial"] = 0.0
        if self.even_border.isChecked():
            chosen["even_border"] = True
        loss = self.loss.value() if trains else None
        if loss is not None:
            chosen["pretrained"] = False
        return preset(
            self.preset.value(),
            ndim,
            loss=loss,
            seed=self.seed.value(),
            device=self.device.value(),
            **chosen,
        )

    @property
    def trains(self) -> bool:
        """Whether the preset makes training steps."""
        return preset(self.preset.value(), self._ndim).optimiser.steps > 0

    def tiles(self) -> TileConfig:
        """Return how to tile the result; ConfigError if the tile is too small."""
        return TileConfig(tile=self.tile.value() or None, memory_share=preferences().memory_share)

    def _build(self) -> None:
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setVerticalSpacing(3)
        for column, (text, choice) in enumerate((("Preset", self.preset), ("Loss", self.loss))):
            layout.addWidget(QLabel(text), 0, column)
            layout.addWidget(choice, 1, column)
            layout.setColumnStretch(column, 1)
        # "standard" was cut off, and with a large font "instant".
        layout.setColumnMinimumWidth(0, 110)
        self.preset.setSizePolicy(QSizePolicy.Policy.Minimum, QSizePolicy.Policy.Fixed)
        layout.addWidget(self.note, 2, 0, 1, 2)
        layout.addWidget(self.auto_stop, 3, 1)
        self.advanced.setText("Advanced")
        self.advanced.setToolTip("Show or hide rarely used settings")
        self.advanced.setCheckable(True)
        self.advanced.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        layout.addWidget(self.advanced, 3, 0)
        self._more = QWidget()
        more = QFormLayout(self._more)
        more.setContentsMargins(0, 0, 0, 0)
        more.setVerticalSpacing(3)
        more.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        rows: tuple[tuple[str, QWidget], ...] = (
            ("Steps", self.steps),
            ("Seed", self.seed),
            ("Device", self.device),
            ("Patch, voxels", self.patch),
            ("Tile, voxels", self.tile),
        )
        for text, field in rows:
            more.addRow(text, field)
        for box in (self.pretrained, self.refine, self.even_border, self.to_disk):
            more.addRow("", box)
        layout.addWidget(self._more, 4, 0, 1, 2)
        self.advanced.toggled.connect(self._show_more)
        self._show_more(False)

    def _show_more(self, shown: bool) -> None:
        self._more.setVisible(shown)
        self.advanced.setArrowType(Qt.ArrowType.DownArrow if shown else Qt.ArrowType.RightArrow)

    def _describe(self) -> None:
        own = preset(self.preset.value(), self._ndim)
        for field in (self.loss, self.steps, self.patch, self.seed):
            field.setEnabled(self.trains)
        self.auto_stop.setEnabled(self.trains and own.optimiser.auto_stop)
        self.refine.setEnabled(own.result.refine)
        self.pretrained.setEnabled(self.trains and own.start.pretrained and self.loss.value() is None)
        config = own
        if (
            self.trains
            and own.start.pretrained
            and not (self.pretrained.isEnabled() and self.pretrained.isChecked())
        ):
            config = preset(self.preset.value(), self._ndim, pretrained=False)
            longer = ": two to three times as long" if config.optimiser.steps > 2 * own.optimiser.steps else ""
            self.note.say(f"{config.optimiser.steps} steps from random weights{longer}.")
        elif self.trains and self._trains_nothing:
            self.note.say(REFINED)
        else:
            self.note.say(describe(self.preset.value(), self._ndim))
        self.steps.setSpecialValueText(f"preset's ({config.optimiser.steps})")
        self.patch.setSpecialValueText(f"preset's ({config.optimiser.patch})")


def _switch(text: str, tip: str) -> QCheckBox:
    """Return a ticked box: a part of the preset is active unless the user unticks it."""
    box = QCheckBox(text)
    box.setChecked(True)
    box.setToolTip(tip)
    return box

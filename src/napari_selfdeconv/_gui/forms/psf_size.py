"""The share of a stack's light that the generated PSF holds, and the choice of one as large as the stack."""

from __future__ import annotations

from napari.layers import Image
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QCheckBox, QVBoxLayout, QWidget

from napari_selfdeconv._gui.forms.fields import Note
from napari_selfdeconv._gui.runs.controller import RunController, RunRequest
from napari_selfdeconv._gui.runs.psf_size import PsfSizes, sizes_job
from napari_selfdeconv.api import MODELS, model_key
from napari_selfdeconv.config.optics import Optics
from napari_selfdeconv.config.presets import preset

#: A pause in typing before anything is computed.
DEBOUNCE_MS = 500
# A PSF that holds this share is large enough; less is a warning.
_ENOUGH = 0.95


class PsfSizeNote(QWidget):
    """One line on the light held, and a tick for 'Whole stack' with what it costs."""

    def __init__(self) -> None:
        super().__init__()
        self.note = Note()
        self.whole = QCheckBox("Whole stack")
        self.whole.setChecked(True)
        self.whole.setToolTip(
            "Subtract the light that a widefield microscope spreads far through the stack, and refine the result "
            "with the whole PSF. Without this, the network is trained on the stack and haze stays. "
            "Richardson-Lucy, RL-TV and TV always use the whole PSF."
        )
        self.runs = RunController(self)
        self.whole.toggled.connect(self._say)
        self._found: PsfSizes | None = None
        self._asked: tuple[Optics, tuple[float, ...], tuple[int, ...]] | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(DEBOUNCE_MS)
        self._timer.timeout.connect(self._compute)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.note)
        layout.addWidget(self.whole)
        self.whole.hide()
        self.hide()

    def follow(self, image: Image | None, optics: Optics | None, voxel_um: tuple[float, ...]) -> None:
        """Show the share of the light of ``image`` that the PSF of these optics holds, if it matters."""
        asked = None
        if image is not None and optics is not None and len(voxel_um) == 3 and MODELS[model_key(optics)].spreads:
            data = image.data[0] if image.multiscale else image.data
            shape = tuple(int(n) for n in data.shape[: image.ndim][-3:])
            if len(shape) == 3:
                asked = optics, voxel_um, shape
        if asked == self._asked:
            return
        self._asked = asked
        self.setVisible(asked is not None)
        self.runs.cancel()
        self.note.say("")
        self._found = None
        self.whole.setVisible(asked is not None)
        if asked is None:
            self._timer.stop()
        else:
            self._timer.start()

    def _compute(self) -> None:
        if self._asked is not None:
            job = sizes_job(*self._asked, preset("quick", 3))
            self.runs.start_newest(RunRequest(job=job, what="PSF", on_success=self._show))

    def _show(self, found: PsfSizes) -> str:
        self._found = found
        self._say()
        return self.note.text()

    def _say(self) -> None:
        """Say what the chosen size holds, and what the other one would change."""
        if self._found is None:
            return
        compact, whole = self._found.automatic, self._found.whole
        larger = whole.share > compact.share + 0.01
        self.whole.setVisible(larger)
        chosen = whole if larger and self.whole.isChecked() else compact
        size = " × ".join(map(str, chosen.shape))
        text = f"The PSF of {size} voxels holds {chosen.share:.0%} of the light inside the stack."
        if larger and chosen is whole:
            text += f" A compact one would hold {compact.share:.0%}; this one takes {whole.more_than(compact)}."
        elif larger:
            text += f" Whole stack: {whole.share:.0%}, {whole.more_than(compact)}."
        self.note.say(text, "warning" if chosen.share < _ENOUGH else "")

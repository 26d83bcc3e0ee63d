"""The tab 'Check': what is wrong with a PSF layer, with a Fix beside each finding."""

from __future__ import annotations

from typing import Any

from napari.layers import Image
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_selfdeconv._gui.forms.added_psf import use_psf
from napari_selfdeconv._gui.forms.fields import Note
from napari_selfdeconv._gui.forms.layer_box import LayerBox, looks_like_input, looks_like_psf
from napari_selfdeconv._gui.forms.layout import scrolled
from napari_selfdeconv._gui.layers.exchange import METADATA_KEY, display_limits, voxel_um
from napari_selfdeconv._gui.layers.follow import Follower
from napari_selfdeconv._gui.panels.psf_picture import PsfPreview
from napari_selfdeconv._gui.qt import existing
from napari_selfdeconv._gui.runs.controller import Ending, RunController, RunRequest
from napari_selfdeconv._gui.runs.failure import Failure
from napari_selfdeconv._gui.runs.psf import Examination, PsfSnapshot, Repair, examine_job, repair_job

TAG = "[repaired]"


class DoctorPanel(QWidget):
    """Examines a PSF layer whenever it changes; a repair becomes a new layer, the original stays."""

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = viewer
        self.psf_box = LayerBox(viewer, looks_like_psf, "The PSF to examine")
        self.image_box = LayerBox(viewer, looks_like_input, "The image it is for")
        self.summary = Note()
        self.preview = PsfPreview()
        self.fix_all_button = QPushButton("Fix all")
        self.fix_all_button.setToolTip("Repair all that can be, as a new layer")
        self.findings: list[Any] = []
        self.fix_buttons: dict[str, QPushButton] = {}
        self.runs = RunController(self)
        self._followed = Follower(self.examine, "data", "scale", "units")
        self._rows = QWidget()
        self._list = QVBoxLayout(self._rows)
        self._list.setContentsMargins(0, 0, 0, 0)
        self._list.setSpacing(4)
        self._build()
        self.runs.finished.connect(self._on_finished)
        self.psf_box.layer_changed.connect(self._on_layers)
        self.image_box.layer_changed.connect(self._on_layers)
        self.fix_all_button.clicked.connect(lambda: self.fix([f.key for f in self.findings if f.fix]))

    def showEvent(self, event: Any) -> None:
        # Only when the tab is shown: the imports of the examination would slow down the start of the viewer.
        super().showEvent(event)
        self._on_layers()

    @property
    def busy(self) -> bool:
        """Whether a check or a repair is under way."""
        return self.runs.busy

    def close_panel(self) -> None:
        """Disconnect from the layers: the dock was closed."""
        self._followed.follow()

    def examine(self, _event: Any = None) -> None:
        """Examine the chosen layer again and list what is found."""
        layer = self.psf_box.layer
        self._clear()
        if layer is None:
            self.runs.cancel()
            self.summary.say("Choose the layer that holds the PSF.")
            return
        self.summary.say("Examining …")
        snapshot = self._snapshot(layer)
        job = examine_job(snapshot)
        self.runs.start_newest(
            RunRequest(job=job, what="PSF", on_success=lambda found: self._show(snapshot, found))
        )

    def _show(self, snapshot: PsfSnapshot, found: Examination) -> str:
        psf, self.findings = found.psf, found.findings
        self.preview.show_psf(psf, snapshot.voxel_um or (1.0,) * psf.ndim)
        problems = sum(finding.severity == "problem" for finding in self.findings)
        if not self.findings:
            self.summary.say("Nothing to repair: this PSF can be used as it is.", "good")
        else:
            advice = len(self.findings) - problems
            words = f"{problems} problem{'s' * (problems != 1)}, {advice} piece{'s' * (advice != 1)} of advice"
            self.summary.say(words, "error" if problems else "warning")
        for finding in self.findings:
            self._list.addWidget(self._row(finding))
        self.fix_all_button.setEnabled(any(finding.fix for finding in self.findings))
        return self.summary.text()

    def fix(self, keys: list[str]) -> None:
        """Repair the findings named, as the layer '<PSF> [repaired]', and examine that."""
        layer = self.psf_box.layer
        if layer is None or not keys:
            return
        job = repair_job(self._snapshot(layer), keys)
        self._clear()
        self.summary.say("Repairing …")
        self.runs.start_newest(
            RunRequest(job=job, what="PSF", on_success=lambda repair: self._take(layer, repair))
        )

    def _take(self, layer: Image, repair: Repair) -> str:
        repaired = self._show_repaired(layer, repair)
        self.psf_box.refresh()
        self.psf_box.choose(repaired)
        use_psf(self._viewer, repaired, layer)
        return f"Repaired: {repaired.name}"

    def _on_finished(self, ending: Ending) -> None:
        if isinstance(ending.outcome, Failure):
            self.summary.say(ending.outcome.text, "error")

    def _show_repaired(self, layer: Image, repair: Repair) -> Image:
        from napari_selfdeconv import api

        psf, voxel = repair.psf, repair.voxel_um
        told = api.psf_record({"prepared": {"from": layer.name, "did": repair.did}})
        metadata = {METADATA_KEY: {"role": "psf", **told}}
        placed = {} if voxel is None else {"scale": voxel, "units": ("um",) * psf.ndim}
        if layer.name.endswith(TAG) and layer in self._viewer.layers:  # the second repair of the same PSF
            layer.data, layer.metadata = psf, metadata
            if voxel is not None:
                layer.scale, layer.units = voxel, ("um",) * psf.ndim
            layer.contrast_limits = display_limits(psf)
            return layer
        name = layer.name if looks_like_psf(layer) else f"{layer.name} PSF"
        return self._viewer.add_image(
            psf,
            name=f"{name} {TAG}",
            contrast_limits=display_limits(psf),
            visible=False,
            metadata=metadata,
            axis_labels=tuple("zyx"[-psf.ndim :]),
            **placed,
        )

    def _snapshot(self, psf: Image) -> PsfSnapshot:
        image = self.image_box.layer
        if image is psf or (image is not None and image.ndim not in (2, 3)):
            image = None
        shape = None
        if image is not None and not image.multiscale:
            # Without the colours of a picture, which are the last axis of its data.
            shape = tuple(map(int, image.data.shape[: image.ndim]))
        return PsfSnapshot(
            data=psf.data,
            voxel_um=voxel_um(psf),
            image_shape=shape,
            image_voxel_um=None if image is None else voxel_um(image),
        )

    def _row(self, finding: Any) -> QWidget:
        row = QWidget()
        layout = QHBoxLayout(row)
        layout.setContentsMargins(0, 0, 0, 0)
        note = Note()
        note.say(finding.text, "error" if finding.severity == "problem" else "warning")
        layout.addWidget(note, 1)
        if finding.fix:
            button = QPushButton("Fix")
            button.setToolTip(finding.fix)
            button.setFixedWidth(44)
            button.clicked.connect(lambda: self.fix([finding.key]))
            layout.addWidget(button)
            self.fix_buttons[finding.key] = button
        return row

    def _clear(self) -> None:
        self.findings, self.fix_buttons = [], {}
        self.fix_all_button.setEnabled(False)
        self.preview.clear()
        while self._list.count():
            item = self._list.takeAt(0)
            existing(existing(item).widget()).deleteLater()

    def _on_layers(self, _layer: Any = None) -> None:
        self._followed.follow(self.psf_box.layer, self.image_box.layer)
        if self.isVisible():
            self.examine()

    def _build(self) -> None:
        boxes = (Note("PSF"), self.psf_box, Note("For the image"), self.image_box)
        scrolled(self, *boxes, self.summary, self._rows, self.fix_all_button, self.preview, spacing=5)

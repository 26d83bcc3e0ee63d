"""The dock 'Deconvolve': it fills in the api's arguments and draws its events."""

from __future__ import annotations

from typing import Any

import napari
from napari.layers import Image

from napari_selfdeconv._gui.docks.base import DockBase
from napari_selfdeconv._gui.docks.compare import open_compare
from napari_selfdeconv._gui.forms.axes import AxesForm
from napari_selfdeconv._gui.forms.fields import Note
from napari_selfdeconv._gui.forms.layer_box import LayerBox, looks_like_input
from napari_selfdeconv._gui.forms.layout import Section, scroll_to, scrolled
from napari_selfdeconv._gui.forms.psf import PsfForm
from napari_selfdeconv._gui.forms.train import TrainForm
from napari_selfdeconv._gui.layers.colour import ColourResult
from napari_selfdeconv._gui.layers.exchange import add_result, snapshot, voxel_um
from napari_selfdeconv._gui.layers.follow import Follower
from napari_selfdeconv._gui.layers.results import AddedLayers, FillingResult, WholeResult
from napari_selfdeconv._gui.layers.voxels import move_results, moved
from napari_selfdeconv._gui.panels.before_after import BeforeAfter
from napari_selfdeconv._gui.panels.camera import CameraPanel
from napari_selfdeconv._gui.panels.compare_row import CompareRow
from napari_selfdeconv._gui.panels.interrupted import InterruptedRow
from napari_selfdeconv._gui.panels.live import LivePreview
from napari_selfdeconv._gui.panels.memory_note import MemoryNote, trains_nothing
from napari_selfdeconv._gui.panels.model import ModelPanel
from napari_selfdeconv._gui.panels.preview import PreviewPanel
from napari_selfdeconv._gui.panels.run import RunPanel
from napari_selfdeconv._gui.plugin.preferences import preferences
from napari_selfdeconv._gui.runs.activity import Activity
from napari_selfdeconv._gui.runs.controller import RunController, RunRequest
from napari_selfdeconv._gui.runs.deconvolve import richardson_lucy_job
from napari_selfdeconv._gui.runs.inputs import RunInputs, answer, required
from napari_selfdeconv._gui.runs.plan import Repetition, RunPlan, plan_repetition, plan_training
from napari_selfdeconv._gui.runs.psf_choice import Psf, sized
from napari_selfdeconv._gui.runs.warm_up import warm_up
from napari_selfdeconv.errors import ConfigError

DOCK_NAME = "Deconvolve"


class DeconvolveWidget(DockBase):
    """Train on one image layer, watch it learn, compare it with Richardson-Lucy.

    Parameters
    ----------
    napari_viewer : the viewer it is docked in.
    """

    SIZE = (330, 680)
    NAME = DOCK_NAME

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__(napari_viewer)
        self.image_box = LayerBox(self.viewer, looks_like_input, "The image to deconvolve")
        self.image_note = Note()
        self.axes_form = AxesForm(self.viewer)
        self.psf_form = PsfForm(self.viewer)
        self.camera_panel = CameraPanel(self.viewer)
        self.train_form = TrainForm()
        self.memory_note = MemoryNote()
        self.run_panel = RunPanel()
        self.preview_panel = PreviewPanel(self.viewer)
        self.model_panel = ModelPanel(self.viewer, self.inputs, lambda: self.preview_panel.linked)
        self.compare = CompareRow(self.viewer)
        self.before_after = BeforeAfter(self.viewer)
        self.runs = RunController(self)
        self.activity = Activity(self.runs)
        self.live = LivePreview(self, self.inputs, self.runs, self.preview_panel)
        self.live.failed.connect(lambda text: self.run_panel.status.say(text, "warning"))
        self.interrupted = InterruptedRow(self.inputs, self.runs)
        self._placed = Follower(self._on_placed, "scale", "units")
        self._build()
        self._connect()
        self._on_image(self.image_box.layer)
        warm_up()

    @property
    def busy(self) -> bool:
        """Whether a run is under way."""
        return self.runs.busy

    @property
    def model(self) -> Any:
        """The model trained or loaded last (`napari_selfdeconv.network.model.Model`), or None."""
        return self.model_panel.model

    def inputs(self) -> RunInputs:
        """Return what the forms say now."""
        layer, ndim, chosen = self.image_box.layer, self.axes_form.spatial_ndim(), preferences()
        on_disk = self.train_form.to_disk.isChecked()
        return RunInputs(
            layer=layer,
            ndim=ndim,
            plan=answer(self.axes_form.plan),
            grey=self.axes_form.grey(),
            colour_picture=self.axes_form.colour_picture(),
            psfs=answer(self._psfs),
            config=answer(lambda: self.train_form.config(ndim)),
            tiles=answer(self.train_form.tiles),
            device=self.train_form.device.value(),
            folder=chosen.cache_folder if on_disk else None,
            cache_folder=chosen.cache_folder,
            memory_share=chosen.memory_share,
            previews=self.preview_panel.previews(),
            weights=answer(self.camera_panel.weights),
            camera=answer(self.camera_panel.camera),
        )

    def follow_layers(self) -> None:
        """Refresh the layer boxes."""
        self.image_box.refresh()
        self.psf_form.layer_box.refresh()
        self.axes_form.refresh()
        self.camera_panel.refresh()
        self.before_after.refresh()

    def leave_viewer(self) -> None:
        """Take away the preview box and the line, undo the grid, and disconnect from the layers."""
        self._placed.follow()
        self.live.follow(None)
        self.before_after.stop()
        self.compare.side_by_side.restore()
        self.preview_panel.close_panel()

    def train(self) -> None:
        """Start training on the chosen image with new weights, or say why not."""
        self._train(None)

    def go_on(self) -> None:
        """Train the last model further."""
        self._train(self.model)

    def repeat(self, asked: Repetition) -> None:
        """Train as an earlier run did, whatever the forms say now."""
        if not self._is_taken():
            self._launch(plan_repetition(asked, self.preview_panel.previews()))

    def run_richardson_lucy(self) -> None:
        """Start Richardson-Lucy on the chosen image, or say why not."""
        try:
            inputs = self.inputs()
            source, psf, counts = snapshot(inputs.layer), required(inputs.psfs)[0], self.compare.iterations()
            source, weights, camera = sized(source, psf), required(inputs.weights), required(inputs.camera)
        except ConfigError as error:
            self._refuse(error)
            return
        job = richardson_lucy_job(source, psf, counts, inputs.device, weights, camera)

        def add(value: dict[int, Any]) -> str:
            for count, (array, provenance) in value.items():
                linked = self.preview_panel.linked
                add_result(self.viewer, source, array, f"RL {count}", provenance, link=linked)
            return "Richardson-Lucy finished"

        self.start(RunRequest(job=job, what="Richardson-Lucy", on_success=add))

    def start(self, request: RunRequest) -> bool:
        """Run a job with the buttons and the progress of this dock; not while another one is under way."""
        if self._is_taken():
            return False
        self.runs.start(request)
        return True

    def toggle_side_by_side(self) -> None:
        """Lay the image and its results side by side, or go back."""
        if not self.compare.toggle(self.image_box.layer):
            self._refuse("There is nothing to compare yet.", "Press Train or Richardson-Lucy first.")

    def open_compare(self) -> None:
        """Open the Compare dock with the image and the PSF chosen here."""
        form = self.psf_form
        open_compare(
            self.viewer, self.image_box.layer, form.layer_box.layer if form.from_layer.isChecked() else None
        )

    def _is_taken(self) -> bool:
        """Return whether a run is under way, and say so."""
        if self.busy:
            self.run_panel.status.say("A run is under way in this dock: stop it first.", "warning")
        return self.busy

    def _refuse(self, problem: ConfigError | str, remedy: str = "") -> None:
        if not self.busy:
            self.run_panel.failed(str(problem), remedy)
            self.psf_form.point_at(problem)
            if self.axes_form.open_question:
                scroll_to(self.axes_form)

    def _psfs(self) -> tuple[Psf, ...]:
        return self.psf_form.psfs(self.image_box.layer, self.axes_form.channel_psfs(self.axes_form.channels()))

    def _train(self, start_from: Any) -> None:
        if self.busy:
            return
        try:
            plan = plan_training(self.inputs(), start_from)
        except ConfigError as error:
            self._refuse(error)
            return
        self._launch(plan)

    def _launch(self, plan: RunPlan) -> None:
        if self.busy:
            return
        self.live.follow(None)
        self.run_panel.revert_button.withdraw()
        self.preview_panel.start(plan.layer, plan.source, flat=plan.colour_picture)
        result = self._result(plan)

        def move(_event: Any = None) -> None:
            source = moved(plan.source, plan.layer)
            result.move(source)
            self.preview_panel.place(source)

        placing = Follower(move, "scale", "translate", "units", "name")

        def end() -> None:
            placing.follow()
            self.preview_panel.stop()

        def finish(value: Any) -> str:
            result.finish(value)
            self.run_panel.revert_button.offer(result)
            self.live.follow(None if plan.fills else plan.layer)
            models = getattr(value, "models", None)
            self.model_panel.model = models[0] if models else value.model
            return "Deconvolved"

        request = RunRequest(
            job=plan.job,
            what="Training" if plan.trains else "Deconvolving",
            on_success=finish,
            on_event=result.show_event,
            on_preview=self.preview_panel.show_preview,
            on_discard=result.discard,
            on_end=end,
            trains=plan.trains,
            interim=not plan.fills,
        )
        placing.follow(plan.layer)
        self.runs.start(request)

    def _result(self, plan: RunPlan) -> FillingResult | WholeResult | ColourResult:
        def linked() -> bool:
            return self.preview_panel.linked

        if plan.colour_picture:
            return ColourResult(self.viewer, plan.source)
        if not plan.fills:
            return WholeResult(self.viewer, plan.source, linked, plan.about)
        low, high = plan.layer.contrast_limits
        return FillingResult(self.viewer, plan.source, (float(low), float(high)), linked)

    def _on_image(self, layer: Image | None) -> None:
        if not self.busy:
            self.live.follow(None)
        # The voxel size in the form is that of this layer, and of no other.
        self._placed.follow(layer)
        self._describe_image()
        self.model_panel.follow(layer)
        self.before_after.follow(layer)
        self.camera_panel.follow(layer)
        if self.axes_form.open_question:
            scroll_to(self.axes_form)
        if not self.busy:
            self.run_panel.forget()

    def _on_placed(self, _event: Any) -> None:
        if self.image_box.layer is not None:
            move_results(self.viewer, self.image_box.layer)
        self._describe_image()

    def _describe_image(self, _event: Any = None) -> None:
        layer = self.image_box.layer
        self.axes_form.follow(layer)
        self.preview_panel.follow(layer)
        self._on_axes()
        if layer is None:
            self.image_note.say("")
            return
        shape = (layer.data[0] if layer.multiscale else layer.data).shape
        size = " × ".join(map(str, shape[: layer.ndim])) + (" in colour" if layer.rgb else "")
        voxels = voxel_um(layer)
        self.image_note.say(f"{size}, {' × '.join(f'{v:g}' for v in voxels)} µm" if voxels else size)

    def _on_axes(self) -> None:
        layer = self.image_box.layer
        ndim = self.axes_form.spatial_ndim()
        channels = 1 if self.axes_form.each_psf.isChecked() else self.axes_form.channels()
        self.psf_form.follow(layer, ndim if layer is not None else None, channels)
        self.train_form.follow(ndim)
        self._on_inputs()

    def _on_psf(self) -> None:
        self._on_inputs()
        self.live.psf_changed()
        if not self.busy:
            self.run_panel.forget()

    def _on_inputs(self) -> None:
        inputs = self.inputs()
        self.memory_note.follow(inputs)
        self.train_form.say_refined(trains_nothing(inputs))

    def _connect(self) -> None:
        self.image_box.layer_changed.connect(self._on_image)
        self.axes_form.changed.connect(self._on_axes)
        self.train_form.changed.connect(self._on_inputs)
        self.psf_form.changed.connect(self._on_psf)
        added = AddedLayers(self.viewer)
        self.runs.began.connect(lambda _request: added.begin())
        self.run_panel.follow(self.runs, added.names)
        self.run_panel.train.connect(self.train)
        self.run_panel.go_on.connect(self.go_on)
        self.model_panel.asked.connect(self.start)
        self.model_panel.repeat.connect(self.repeat)
        self.interrupted.planned.connect(self._launch)
        self.interrupted.refused.connect(self._refuse)
        self.model_panel.model_changed.connect(lambda: self.run_panel.offer_continue(self.model is not None))
        self.runs.began.connect(lambda _request: self.compare.rl_button.setEnabled(False))
        self.runs.finished.connect(lambda _ending: self.compare.rl_button.setEnabled(True))
        self.compare.rl_button.clicked.connect(self.run_richardson_lucy)
        self.compare.more_button.clicked.connect(self.open_compare)
        self.compare.side_button.clicked.connect(self.toggle_side_by_side)

    def _build(self) -> None:
        self.sections = {
            "image": Section("Image"),
            "psf": Section("Point spread function"),
            "camera": Section("Camera and pixels", folded=True),
            "network": Section("Network"),
            "preview": Section("Preview", folded=True),
            "model": Section("Model and result", folded=True),
            "compare": Section("Compare"),
        }
        self.sections["image"].add(self.interrupted, self.image_box, self.image_note, self.axes_form)
        self.sections["psf"].add(self.psf_form)
        self.sections["camera"].add(self.camera_panel)
        self.sections["network"].add(self.train_form, self.memory_note)
        self.sections["preview"].add(self.preview_panel)
        self.sections["model"].add(self.model_panel)
        self.sections["compare"].add(self.before_after, self.compare)
        scrolled(self, *self.sections.values(), pinned=self.run_panel)

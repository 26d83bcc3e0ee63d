"""The one entry for the GUI, the command line and notebooks. Contract first; bodies follow in this session.

deconvolve(image, psf, config=None, *, tiles=TileConfig(), on_event=None) -> Deconvolution
iter_deconvolve(image, psf, config=None, *, tiles=TileConfig(), stop=None,
                preview_every_s=None, preview_region=None) -> Generator[Event, None, Deconvolution]
    image: 2D or 3D array, any real dtype; psf: array of the same number of axes, same voxel size, peak at n//2,
    used as it is apart from division by its sum. config None = preset("quick", image.ndim).
    preview_region: callable returning tuple of slices (or None), asked in the worker's thread before each preview.
    Raises ConfigError (bad input) before the first event, ComputeError during, Cancelled when stop.cancel() was called.
apply_model(model, image) -> float32 ndarray;  iter_apply_model(model, image, *, tiles, stop, device="auto") generator
richardson_lucy(image, psf, iterations=10, *, boundary="reflect") -> float32 ndarray
iter_richardson_lucy(image, psf, iterations=(2, 5, 10), *, stop=None, boundary="reflect", device="auto")
    -> Generator[Event, None, dict[int, float32 ndarray]]  (counts reached only, if stopped)
richards_wolf_psf(shape, spacing_um, optics) -> float32 ndarray        (psf.py)
suggest_psf_shape(optics, spacing_um, image_shape) -> tuple of odd sizes  (psf.py)
prepare_psf(psf, ...) -> (float32 ndarray, PsfReport)                   (psf_prepare.py)
save_model(path, model) / load_model(path) -> Model                      (model_file.py)
Deconvolution: .image float32, .model Model, .losses dict[str, list[float]] history, .seconds, .device, .precision,
               .steps_done, .stopped, .provenance dict (JSON-ready: version, config, psf sha256, seed, ...)
Model: .config TrainConfig, .psf float32 array, .voxel_um tuple|None, .provenance
"""

"""A result that fills an OME-Zarr folder tile by tile, and continues there after the process was killed.

Every tile is a shard: one file, written once and whole. The model and the values that all tiles share are stored
beside them until the last tile is written. A later run computes only the missing tiles, and the result is the same
to the last bit.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv.api.checkpoints import Checkpoint
from napari_selfdeconv.api.large import LargeDeconvolution, fill_tiles
from napari_selfdeconv.api.large_tiles import TileWork, TrainedTiles
from napari_selfdeconv.compute import device
from napari_selfdeconv.config.tiles import TileConfig
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.errors import Cancelled, ConfigError
from napari_selfdeconv.events import Event
from napari_selfdeconv.inference.prepare import Problem
from napari_selfdeconv.inference.preview import Region
from napari_selfdeconv.inference.weigh import Weights
from napari_selfdeconv.io.atomic import whole_or_not_at_all, write_remedy
from napari_selfdeconv.io.json_files import read_json
from napari_selfdeconv.io.ome_zarr import (
    create_zarr,
    finish_zarr,
    import_zarr,
    is_unfinished,
    open_unfinished,
    unfinished_folder,
)
from napari_selfdeconv.io.outputs import check_is_zarr
from napari_selfdeconv.io.record import ImageRecord
from napari_selfdeconv.network.model_file import load_model, save_model
from napari_selfdeconv.psf.measure import psf_hash
from napari_selfdeconv.stop_token import StopToken

_STATE, _MODEL = "state.json", "model.safetensors"


def iter_deconvolve_zarr(
    image: Any,
    psf: NDArray[Any],
    path: str | os.PathLike[str],
    config: TrainConfig | None = None,
    *,
    overwrite: bool = False,
    weights: Weights = None,
    record: ImageRecord | None = None,
    region: Region | None = None,
    tiles: TileConfig | None = None,
    voxel_um: Sequence[float] | None = None,
    stop: StopToken | None = None,
    preview_every_s: float | None = None,
    preview_region: Callable[[], Region | None] | None = None,
    preview_extra: Callable[[], bool] | None = None,
    instant_first: bool = False,
    checkpoint: Checkpoint | None = None,
) -> Generator[Event, None, LargeDeconvolution]:
    """Deconvolve an image into an OME-Zarr folder, or continue a run that was killed in that folder.

    Parameters
    ----------
    image, psf, config, weights, region, tiles, voxel_um, stop, preview_every_s, preview_region, preview_extra,
    instant_first : as in `iter_deconvolve_large`. To continue, image, PSF, settings, weights and region must be
        those of the earlier run. The device and the tiles of the earlier run are used.
    path : path of the folder. It must not exist, unless ``overwrite`` is set or a run on this image was killed in
        it.
    overwrite : whether an OME-Zarr image at ``path`` is replaced, or an unfinished run on another image or with
        other settings. It stays until training has ended.
    record : record of the image. Its channel and its optics are stored.
    checkpoint : file for the training, as in `iter_deconvolve`. The tiles need none.

    Notes
    -----
    The folder is created after training, and every tile is written when it is computed. At the end smaller copies
    are added. After ``stop.cancel()`` the folder is removed. After a kill it stays, and the same call continues.

    Raises
    ------
    ConfigError, ComputeError, Cancelled
        As `iter_deconvolve_large`; also if the folder exists, or holds a run on another image or PSF, or with
        other settings.

    Examples
    --------
    >>> import tempfile
    >>> from napari_selfdeconv import preset
    >>> from napari_selfdeconv.events import drain
    >>> image = np.random.default_rng(0).random((32, 32))
    >>> config = preset("quick", 2, steps=1, patch=16, features=2, batch_size=1, pretrained=False)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     drain(iter_deconvolve_zarr(image, np.ones((3, 3)) / 9, f"{folder}/a.zarr", config)).image.shape
    (32, 32)
    """
    import_zarr()  # not after an hour of training
    place = _ZarrPlace(Path(path), tuple(int(n) for n in image.shape), voxel_um, record, overwrite)
    try:
        result = yield from fill_tiles(
            image,
            psf,
            config,
            place=place,
            weights=weights,
            region=region,
            tiles=tiles,
            voxel_um=voxel_um,
            stop=stop,
            preview_every_s=preview_every_s,
            preview_region=preview_region,
            preview_extra=preview_extra,
            instant_first=instant_first,
            checkpoint=checkpoint,
        )
    except Cancelled:
        if place.begun:
            shutil.rmtree(path, ignore_errors=True)
        raise
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            raise  # It may be the image that cannot be read.
        # Written tiles stay, so that the same call continues when there is room.
        raise ConfigError(f"cannot write {path}: {write_remedy(Path(path), error)}") from error
    finish_zarr(path, record)
    shutil.rmtree(unfinished_folder(path))
    return result


def _digest(array: NDArray[Any]) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


@dataclass
class _ZarrPlace:
    """The folder of a result, with the state that a later run needs."""

    path: Path
    shape: tuple[int, ...]
    voxel_um: Sequence[float] | None
    record: ImageRecord | None
    overwrite: bool
    begun: bool = False
    _key: str = ""
    _settings: dict[str, Any] = field(default_factory=dict)
    _out: Any = field(default=None, repr=False)

    def earlier(self, problem: Problem, config: TrainConfig) -> TrainedTiles | None:
        """Return the state of an earlier run."""
        block = problem.image
        self._key = f"{self.shape} {block.dtype} {_digest(block)} {psf_hash(problem.given_psf)}"
        if problem.weighing is not None:
            mask = "" if problem.weights is None else _digest(problem.weights.values)
            self._key += f" {problem.weighing} {mask}"
        # Without the device, which is that of the earlier run.
        self._settings = {name: value for name, value in config.to_dict().items() if name != "compute"}
        if not is_unfinished(self.path):
            if self.path.exists() and not self.overwrite:
                raise ConfigError(f"{self.path} exists already: give the name of a new folder")
            if self.path.exists():
                check_is_zarr(self.path, "the result")
            return None
        folder = unfinished_folder(self.path)
        state = read_json(folder / _STATE, "the state of a run")
        for name, mine, words in (
            ("key", self._key, "on another image or PSF, or with another mask"),
            ("settings", self._settings, "with other settings"),
        ):
            if state.get(name) != mine:
                if self.overwrite:
                    return None
                raise ConfigError(
                    f"{self.path} holds an unfinished run {words}", "name another folder, or overwrite it"
                )
        self._out, self.begun = open_unfinished(self.path), True
        return TrainedTiles(
            model=load_model(folder / _MODEL),
            work=TileWork.from_dict(state["work"]),
            tiles=TileConfig.from_dict(state["tiles"]),
            choice=device.choose_device(state["device"], state["precision"]),
            outcome=state["outcome"],
        )

    def begin(self, trained: TrainedTiles, core: tuple[int, ...]) -> Any:
        """Return the array. For a new run, create it and store the state before the first tile."""
        if self._out is not None:
            return self._out
        if self.path.exists():  # an image that is replaced
            shutil.rmtree(self.path)
        self._out = create_zarr(self.path, self.shape, voxel_um=self.voxel_um, record=self.record, shard=core)
        self.begun = True
        folder = unfinished_folder(self.path)
        folder.mkdir()
        save_model(folder / _MODEL, trained.model)
        state = {
            "key": self._key,
            "settings": self._settings,
            "work": trained.work.to_dict(),
            "tiles": trained.tiles.to_dict(),
            "device": str(trained.choice.device),
            "precision": trained.choice.precision,
            "outcome": dict(trained.outcome),
        }
        with whole_or_not_at_all(folder / _STATE) as temporary:
            temporary.write_text(json.dumps(state), "utf-8")
        return self._out

    @property
    def is_there(self) -> Callable[[tuple[slice, ...]], bool] | None:
        """Whether the shard of a tile is written."""
        return lambda core: self._shard(core).is_file()

    def _shard(self, core: tuple[slice, ...]) -> Path:
        sizes = self._out.shards
        place = [str(s.start // size) for s, size in zip(core, sizes, strict=True)]
        return self.path.joinpath("0", "c", *place)

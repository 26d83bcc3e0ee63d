"""Reading the part of an image file that a run uses."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv.config.template import ImageChoice
from napari_selfdeconv.config.template_rules import span
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.io.checks import check_layout
from napari_selfdeconv.io.images import ImageFile, read_image
from napari_selfdeconv.io.record import ImageRecord


def read_selected(path: str | os.PathLike[str], choice: ImageChoice | None = None) -> ImageFile:
    """Read a part of a file: one series, channel or time point, some planes, or a crop.

    Parameters
    ----------
    path : path of the file.
    choice : the part. An axis that is not mentioned is read whole.

    Returns
    -------
    ImageFile
        Its record has only the chosen channel. Its ``voxel_um`` is that of ``choice``, or else that of the file.

    Raises
    ------
    ConfigError
        As `read_image`, and if the file does not have the part.

    Examples
    --------
    >>> import tempfile
    >>> from napari_selfdeconv import write_ome_tiff
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_ome_tiff(f"{folder}/a.ome.tif", np.zeros((2, 4, 8, 8)), (0.3, 0.1, 0.1), axes="CZYX")
    ...     read_selected(f"{folder}/a.ome.tif", ImageChoice(channel=1)).data.shape
    (4, 8, 8)
    """
    choice = choice or ImageChoice()
    file = read_image(path, series=choice.series, axes=choice.axes)
    data, axes, record = file.data, file.axes, file.record
    assert record is not None  # read_image always makes one
    for letter, name, number in (("C", "channel", choice.channel), ("T", "time", choice.time)):
        if number is None:
            continue
        count = data.shape[axes.index(letter)] if letter in axes else 1
        if number >= count:
            raise ConfigError(
                f"{Path(path).name} has no {name} {number}: it has {count}, numbered from 0",
                f"leave --{name} out or give one of these",
            )
        if letter in axes:
            data, axes = np.take(data, number, axis=axes.index(letter)), axes.replace(letter, "")
        if letter == "C":
            record = _of_channel(record, number)
    parts = dict(zip("YX", choice.crop or (), strict=False)) | ({"Z": choice.z} if choice.z is not None else {})
    for letter, text in parts.items():
        if letter not in axes:
            raise ConfigError(f"{Path(path).name} has no axis {letter}: its axes are {axes}", "leave --z out")
        where = span(text, data.shape[axes.index(letter)], f"--{'z' if letter == 'Z' else 'crop'}")
        data = data[tuple(where if axis == letter else slice(None) for axis in axes)]
    if "Z" in axes and data.shape[axes.index("Z")] == 1:
        data, axes = np.squeeze(data, axes.index("Z")), axes.replace("Z", "")
    record = dataclasses.replace(record, axes=axes, shape=data.shape)
    voxel = _voxel_um(choice.voxel_um, record)
    return dataclasses.replace(file, data=np.ascontiguousarray(data), axes=axes, record=record, voxel_um=voxel)


def known_um(file: ImageFile) -> tuple[float | None, ...]:
    """Return the voxel size of a file in um along those of Z, Y, X that are in its axes; None where unknown."""
    spatial = [axis for axis in file.axes if axis in "ZYX"]
    if file.voxel_um is not None:
        return file.voxel_um
    stated = () if file.record is None else file.record.stated_um
    return stated if len(stated) == len(spatial) else (None,) * len(spatial)


def other_voxel_um(file: ImageFile) -> tuple[float | None, ...] | None:
    """Return the voxel size that a file states, in um, if another one was given; None otherwise.

    Axes are compared one by one, because files often state the size of their pixels and no step along z.
    """
    stated = () if file.record is None else file.record.stated_um
    used = file.voxel_um or ()
    if len(stated) != len(used):
        return None
    pairs = [(own, given) for own, given in zip(stated, used, strict=True) if own is not None]
    return None if all(math.isclose(own, given, rel_tol=1e-3) for own, given in pairs) else stated


def voxel_doubts(file: ImageFile) -> tuple[str, ...]:
    """Return a sentence if a given voxel size is not that of the file, along the axes that the file states.

    Parameters
    ----------
    file : from `read_selected`.

    Examples
    --------
    >>> from napari_selfdeconv.api import ImageFile
    >>> record = ImageRecord(
    ...     file="a.tif", format="TIFF", axes="ZYX", shape=(5, 8, 8), dtype="uint8", voxel_y_um=0.1, voxel_x_um=0.1
    ... )
    >>> image = np.zeros((5, 8, 8))
    >>> voxel_doubts(ImageFile(data=image, axes="ZYX", voxel_um=(0.3, 0.1, 0.1), record=record))
    ()
    >>> for sentence in voxel_doubts(ImageFile(data=image, axes="ZYX", voxel_um=(0.3, 0.2, 0.2), record=record)):
    ...     print(sentence)
    the voxel size is 0.3 x 0.2 x 0.2 um, as given; the file states 0.1 x 0.1 um along y and x
    """
    other, used = other_voxel_um(file), file.voxel_um
    if other is None or used is None:
        return ()
    known = [(axis, size) for axis, size in zip("zyx"[-len(other) :], other, strict=True) if size is not None]
    of = "" if len(known) == len(other) else f" along {' and '.join(axis for axis, _ in known)}"
    states = size_of([size for _, size in known])
    return (f"the voxel size is {size_of(used)} um, as given; the file states {states} um{of}",)


def size_of(voxel_um: Sequence[float]) -> str:
    """Return a voxel size in words, without its unit.

    Examples
    --------
    >>> size_of((0.3, 0.1, 0.1))
    '0.3 x 0.1 x 0.1'
    """
    return " x ".join(f"{size:g}" for size in voxel_um)


def check_one_image(file: ImageFile, path: str | os.PathLike[str] = "the image") -> NDArray[Any]:
    """Return the image of a file if it is one plane or one stack. The values of pixels are not checked here.

    Parameters
    ----------
    file : from `read_selected`.
    path : name of the file in messages.

    Raises
    ------
    ConfigError
        If it has time points or channels, or is not an image. The message says what to choose.

    Examples
    --------
    >>> from napari_selfdeconv.api import ImageFile
    >>> check_one_image(ImageFile(data=np.zeros((5, 8, 8)), axes="ZYX")).shape
    (5, 8, 8)
    """
    extra = {"C": "channel", "T": "time"}
    found = [(extra[axis], n) for axis, n in zip(file.axes, file.data.shape, strict=True) if axis in extra]
    if found:
        size = " x ".join(map(str, file.data.shape))
        options = " and ".join(f"--{name} N (0 to {n - 1})" for name, n in found)
        raise ConfigError(
            f"{Path(path).name} has axes {file.axes}, {size}",
            f"choose one with {options}, or deconvolve all with selfdeconv series (a z-stack stored as time or "
            "channels: --axes ZYX)",
        )
    check_layout("the image", file.data, file.axes)
    return file.data


def channel_record(record: ImageRecord, number: int) -> ImageRecord:
    """Return what a file states about one of its channels, as a record of that channel alone.

    Parameters
    ----------
    record : record of a file.
    number : number of the channel, from 0.

    Examples
    --------
    >>> from napari_selfdeconv.api import ChannelRecord, ImageRecord
    >>> channels = (ChannelRecord(emission_um=0.46), ChannelRecord(emission_um=0.52))
    >>> record = ImageRecord(
    ...     file="a.tif", format="OME-TIFF", axes="CYX", shape=(2, 8, 8), dtype="uint16", channels=channels
    ... )
    >>> channel_record(record, 1).channels[0].emission_um
    0.52
    """
    return _of_channel(record, number)


def _of_channel(record: ImageRecord, number: int) -> ImageRecord:
    """Return the record with one channel, which becomes its channel 0."""
    own, here = f"channels.{number}.", "channels.0."

    def moved(field_: str) -> str | None:
        if not field_.startswith("channels."):
            return field_
        return here + field_.removeprefix(own) if field_.startswith(own) else None

    return dataclasses.replace(
        record,
        channels=(record.channels[number],) if number < len(record.channels) else record.channels[:1],
        sources={new: source for old, source in record.sources.items() if (new := moved(old)) is not None},
        doubts=tuple(
            dataclasses.replace(doubt, field=new)
            for doubt in record.doubts
            if (new := moved(doubt.field)) is not None
        ),
    )


def _voxel_um(given: tuple[float, ...] | None, record: ImageRecord) -> tuple[float, ...] | None:
    """Return the voxel size in um that was given, else that of the file, else None."""
    if given is None:
        return record.voxel_um
    spatial = "".join(axis for axis in record.axes if axis in "ZYX")
    if len(given) != len(spatial):
        raise ConfigError(
            f"--voxel-um needs {len(spatial)} numbers for {record.file}, along {', '.join(spatial.lower())}; got "
            f"{len(given)}"
        )
    return given

"""The job of the dock 'Many files'."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_selfdeconv.stop_token import StopToken

if TYPE_CHECKING:
    from napari_selfdeconv.api import BatchResult, Sharing


@dataclass(frozen=True, kw_only=True)
class BatchOrder:
    """What to do: files, a settings file or None, the folder for the results, and how networks are shared."""

    paths: tuple[Path, ...]
    settings: Path | None
    out: Path
    sharing: Sharing
    overwrite: bool


def batch_job(order: BatchOrder) -> Callable[[StopToken], Generator[Any, None, BatchResult]]:
    """Return the job of an order. The settings file is read in the worker."""

    def job(stop: StopToken) -> Generator[Any, None, BatchResult]:
        from napari_selfdeconv import api

        template = api.Template() if order.settings is None else api.read_template(order.settings)
        items = [api.BatchItem(path=path) for path in order.paths]
        work = api.iter_batch(
            items, template, order.out, sharing=order.sharing, overwrite=order.overwrite, stop=stop
        )
        return (yield from work)

    return job

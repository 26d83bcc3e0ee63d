"""The folder of a batch: what earlier runs left in it, and what of that still counts."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from napari_selfdeconv.api.batch_identity import Identity, same_settings
from napari_selfdeconv.api.batch_items import BatchItem
from napari_selfdeconv.api.outcome import Outcome
from napari_selfdeconv.config.template import Template
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.io.atomic import whole_or_not_at_all
from napari_selfdeconv.io.claims import claim_outputs
from napari_selfdeconv.io.images import read_provenance
from napari_selfdeconv.io.json_files import read_json
from napari_selfdeconv.io.outputs import Output
from napari_selfdeconv.io.template_files import read_template, save_template
from napari_selfdeconv.network.model import Model
from napari_selfdeconv.network.model_file import load_model, save_model

Sharing = Literal["file", "all", "channel"]
#: Name of the table of a batch.
TABLE = "batch.csv"
_SETTINGS, _PENDING = "batch.toml", "batch.pending.json"
_RECORD = "batch"


@contextlib.contextmanager
def opened_folder(out: Path, template: Template, overwrite: bool) -> Iterator[None]:
    """Make the folder for one batch at a time; refuse one with results of other settings.

    Two batches would both write the table, and the later one would remove the rows of the other.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot make the folder {out}: {error.strerror}") from error
    with claim_outputs([Output("the folder", out / TABLE)]):
        known = out / _SETTINGS
        if known.exists() and not overwrite and not same_settings(read_template(known), template):
            raise ConfigError(
                f"{out} holds results of other settings ({_SETTINGS})", "name another folder, or add --overwrite"
            )
        save_template(known, template)
        yield


@dataclass
class SharedNetworks:
    """The networks that files share. They are stored in the folder, so that a later run finds them.

    With ``overwrite`` those of an earlier run are removed, because they may be of other settings.
    """

    sharing: Sharing
    out: Path
    overwrite: bool
    models: list[Model] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.overwrite:
            for path in self._stored():
                path.unlink()
        if self.sharing != "file":
            self.models = [load_model(path) for path in self._stored()]

    def _stored(self) -> list[Path]:
        paths = (self.out / "models").glob("channel*.safetensors")
        return sorted(paths, key=lambda path: (len(path.name), path))

    def for_channels(self, count: int) -> list[Model]:
        """Return a model for each channel; an empty list if they have to be trained."""
        if self.sharing == "all" and self.models:
            return [self.models[0]] * count
        return list(self.models)

    def remember(self, outcome: Outcome) -> None:
        """Keep the models of the first file, unless every file has its own or their training was stopped."""
        if self.sharing == "file" or self.models or outcome.provenance.get("stopped"):
            return
        (self.out / "models").mkdir(exist_ok=True)
        for number, model in enumerate(outcome.models):
            save_model(self.out / "models" / f"channel{number}.safetensors", model)
        self.models = list(outcome.models)


@dataclass
class EarlierResults:
    """The results of earlier runs in a folder. Each has a record of its image and of its settings.

    A file that is overwritten is pending until all its results are new, also in later runs. Until then results
    count only if they have the mark of the run that began to overwrite it.
    """

    out: Path
    _pending: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._list = self.out / _PENDING
        if self._list.exists():
            self._pending = dict(read_json(self._list, "the files that a batch has to overwrite"))

    def overwrite(self, items: list[BatchItem]) -> None:
        """Let no existing result of these files count."""
        mark = uuid.uuid4().hex
        self._pending |= {_name(item): mark for item in items}
        self._store()

    def finish(self, item: BatchItem) -> None:
        """Note that all results of a file are new."""
        if self._pending.pop(_name(item), None) is not None:
            self._store()

    def identity(self, item: BatchItem, template: Template, sharing: Sharing) -> Identity:
        """Return what the result of an image is made from."""
        return Identity(image=item.path, template=template, sharing=sharing, mark=self._pending.get(_name(item)))

    def choose(self, outputs: Iterator[Path], identity: Identity) -> tuple[Path, bool]:
        """Return the path of a result, and whether the result that a run would make is there.

        Parameters
        ----------
        outputs : the paths that the result may have. The first that is free is taken, unless the result is in
            another one. A path with a result of an image with another name is not free: images may have come or
            gone since.

        Raises
        ------
        ConfigError
            If the path has a result of another image or of other settings, which is not to be overwritten.
        """
        free: Path | None = None
        problem: str | None = None
        for output in outputs:
            if not output.exists():
                return (output, False) if free is None else _unless(free, problem)
            name, differs, makes_again = _judged(output, identity)
            if differs is None and not makes_again:
                return output, True
            if free is None and name in (None, identity.image.name):
                free, problem = output, differs
        raise AssertionError("there is always another name")

    def _store(self) -> None:
        if not self._pending:
            self._list.unlink(missing_ok=True)
            return
        with whole_or_not_at_all(self._list) as temporary:
            temporary.write_text(json.dumps(self._pending), "utf-8")


def recorded(outcome: Outcome, record: dict[str, Any]) -> dict[str, Any]:
    """Return the provenance of a result of a batch."""
    return {**outcome.provenance, _RECORD: record}


def _judged(output: Path, identity: Identity) -> tuple[str | None, str | None, bool]:
    """Return the name of the image of a result, how it differs, and whether it is to be made again."""
    try:
        provenance = read_provenance(output) or {}
    except ConfigError as error:
        return None, None if identity.mark is not None else f"cannot be read ({error})", identity.mark is not None
    found = provenance.get(_RECORD) or {}
    name = found.get("image", provenance.get("source"))
    if identity.mark is not None and found.get("mark") != identity.mark:
        return name, None, True
    # A training that was stopped is not one with these settings.
    return name, identity.difference(found), bool(provenance.get("stopped"))


def _unless(output: Path, problem: str | None) -> tuple[Path, bool]:
    if problem is not None:
        raise ConfigError(
            f"{output} exists and {problem}",
            "move it elsewhere to make it again, name another folder, or add --overwrite to make all again",
        )
    return output, False


def _name(item: BatchItem) -> str:
    return json.dumps([str(item.path.resolve()), *item.changes])

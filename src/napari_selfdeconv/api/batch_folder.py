"""The folder of a batch: what earlier runs left in it, and what of that still counts."""

from __future__ import annotations

import hashlib
import json
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from napari_selfdeconv.api.batch_items import BatchItem
from napari_selfdeconv.api.outcome import Outcome
from napari_selfdeconv.config.template import Template
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.io.atomic import whole_or_not_at_all
from napari_selfdeconv.io.images import read_provenance
from napari_selfdeconv.io.json_files import read_json
from napari_selfdeconv.io.template_files import read_template, save_template
from napari_selfdeconv.network.model import Model
from napari_selfdeconv.network.model_file import load_model, save_model

Sharing = Literal["file", "all", "channel"]
_SETTINGS, _PENDING = "batch.toml", "batch.pending.json"
_RECORD = "batch"


def begin_folder(out: Path, template: Template, overwrite: bool) -> None:
    """Make the folder; refuse one with results of other settings."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot make the folder {out}: {error.strerror}") from error
    known = out / _SETTINGS
    if known.exists() and not overwrite and read_template(known) != template:
        raise ConfigError(
            f"{out} holds results of other settings ({_SETTINGS})", "name another folder, or add --overwrite"
        )
    save_template(known, template)


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

    def record(self, item: BatchItem, template: Template, sharing: Sharing) -> dict[str, Any]:
        """Return what the record of a result says of its batch."""
        files = [item.path, template.psf.file, template.method.mask]
        settings = json.dumps([template.to_dict(), sharing], sort_keys=True)
        return {
            "files": [_state(Path(str(path))) for path in files if path is not None],
            "settings": hashlib.sha256(settings.encode()).hexdigest(),
            "mark": self._pending.get(_name(item)),
        }

    def has(self, output: Path, record: dict[str, Any]) -> bool:
        """Whether a result is there that a run with this record would make.

        Raises
        ------
        ConfigError
            If there is a result of another image or of other settings, which is not to be overwritten.
        """
        if not output.exists():
            return False
        try:
            provenance = read_provenance(output) or {}
        except ConfigError:
            if record["mark"] is None:
                raise
            return False
        found = provenance.get(_RECORD) or {}
        if record["mark"] is not None and found.get("mark") != record["mark"]:
            return False
        for name, words in (("files", "of another image, PSF or mask"), ("settings", "of other settings")):
            if found.get(name) != record[name]:
                of = words if name in found else "of no batch"
                raise ConfigError(
                    f"{output} exists and is a result {of}", "name another folder, or add --overwrite"
                )
        # A training that was stopped is not one with these settings.
        return not provenance.get("stopped")

    def _store(self) -> None:
        if not self._pending:
            self._list.unlink(missing_ok=True)
            return
        with whole_or_not_at_all(self._list) as temporary:
            temporary.write_text(json.dumps(self._pending), "utf-8")


def recorded(outcome: Outcome, record: dict[str, Any]) -> dict[str, Any]:
    """Return the provenance of a result of a batch."""
    return {**outcome.provenance, _RECORD: record}


def _name(item: BatchItem) -> str:
    return json.dumps([str(item.path.resolve()), *item.changes])


def _state(path: Path) -> list[float] | None:
    """Return size and time of a file, which another or a changed file does not share; None if there is no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return [found.st_size, round(found.st_mtime, 3)]

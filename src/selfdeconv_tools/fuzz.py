"""Coverage-guided fuzzing of what reads files of others: `python -m selfdeconv_tools.fuzz metadata --minutes 10`.

Needs the extra ``fuzz`` (atheris). A case that reaches what no earlier one did is kept in the corpus folder. A
file that ends in anything but an image, a model or a `ConfigError` of one line stops the
run; it is written as crash-*.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

from selfdeconv_tools.numeric_arguments import above_zero

_LONGEST_MESSAGE = 1000
_BINARY = (b"II", b"MM", b"\x89PNG", b"\x93NUMPY", b"GIF8", b"\xff\xd8")
_LARGEST = {"metadata": 4096, "model": 32_768}


def read_any_image(data: bytes, folder: Path) -> None:
    """Read bytes as an image file, or as the OME-XML of one; ConfigError where they are refused."""
    from napari_selfdeconv.io.facts import Facts
    from napari_selfdeconv.io.images import read_image
    from napari_selfdeconv.io.ome_xml import add_ome_xml
    from napari_selfdeconv.io.plausible import check_facts

    if data.startswith(_BINARY):
        path = folder / "image"
        path.write_bytes(data)
        read_image(path)
        return
    facts = Facts()
    add_ome_xml(facts, data.decode("utf-8", "surrogateescape"), 0, 1, "a.tif")
    check_facts(facts, "CZYX", 2)


def read_any_model(data: bytes, folder: Path) -> None:
    """Read bytes as a model file; ConfigError where they are refused."""
    from napari_selfdeconv.network.model_file import load_model

    path = folder / "m.safetensors"
    path.write_bytes(data)
    load_model(path)


TARGETS: dict[str, Callable[[bytes, Path], None]] = {"metadata": read_any_image, "model": read_any_model}


def check(target: str, data: bytes, folder: Path) -> None:
    """Read bytes; raise unless they are read or refused in one line that a window can show."""
    from napari_selfdeconv.errors import ConfigError

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            TARGETS[target](data, folder)
        except ConfigError as error:
            message = str(error)
            if "\n" in message or len(message) > _LONGEST_MESSAGE:
                raise AssertionError(f"no line for a window: {message!r}") from error


def main(argv: list[str] | None = None) -> None:
    """Fuzz one target until the time is over."""
    parser = argparse.ArgumentParser(prog="python -m selfdeconv_tools.fuzz", description=__doc__.split(":")[0])
    parser.add_argument("target", choices=tuple(TARGETS))
    parser.add_argument("--minutes", type=above_zero(float), default=10.0)
    parser.add_argument("--corpus", type=Path, required=True, help="folder of files to begin with; it grows")
    args = parser.parse_args(argv)
    import atheris  # type: ignore[import-not-found]

    with atheris.instrument_imports(include=["napari_selfdeconv.io", "napari_selfdeconv.network", "tifffile"]):
        import tifffile  # noqa: F401

        import napari_selfdeconv.io.images
        import napari_selfdeconv.network.model_file  # noqa: F401
    folder = Path(tempfile.mkdtemp(prefix="selfdeconv-fuzz-"))
    options = [
        f"-max_total_time={round(60 * args.minutes)}",
        "-timeout=20",
        "-rss_limit_mb=3000",
        f"-max_len={_LARGEST[args.target]}",
        f"-artifact_prefix={args.corpus}/",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *options, str(args.corpus)], lambda data: check(args.target, data, folder))
    atheris.Fuzz()


if __name__ == "__main__":
    main()

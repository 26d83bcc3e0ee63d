"""Pages and their data: numbers come from the rows in docs/data, drawings from the code, links lead somewhere."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from selfdeconv_tools.pages import gallery
from selfdeconv_tools.pages.architecture import FLOORS
from selfdeconv_tools.pages.links import anchor_of, check_links
from selfdeconv_tools.pages.written import pages_of, written

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
WRITTEN = dict(written(DOCS))


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.name)
def test_what_a_program_writes_is_up_to_date(path: Path) -> None:
    assert path.read_text("utf-8") == WRITTEN[path], "run: python -m selfdeconv_tools.pages docs"


def test_links_inside_the_project_lead_somewhere() -> None:
    assert not check_links(pages_of(DOCS)).broken


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# One\n[a](#one) [b](#two) [c](other.md) [d](https://example.org)\n```\n[e](code.md)\n```\n")
    links = check_links([page])
    assert links.broken == ["page.md: #two", "page.md: other.md"]
    assert links.external == ["https://example.org"]


def test_a_row_that_changes_changes_the_page(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    (docs / "data").mkdir(parents=True)
    for path in pages_of(DOCS):
        (tmp_path / path.relative_to(ROOT)).write_text(path.read_text("utf-8"), encoding="utf-8")
    for table in (DOCS / "data").glob("*.csv"):
        (docs / "data" / table.name).write_text(table.read_text("utf-8"), encoding="utf-8")
    speed = docs / "data" / "speed.csv"
    speed.write_text(
        re.sub(r"(paper-step-2d,.*?),1\.28,", r"\1,9.99,", speed.read_text("utf-8")), encoding="utf-8"
    )
    page = dict(written(docs))[docs / "benchmarks.md"]
    assert "9.99 s" in page
    assert "9.99 s" not in (DOCS / "benchmarks.md").read_text("utf-8")


def test_decibels_in_the_prose_are_those_of_a_row() -> None:
    rows = "\n".join(table.read_text("utf-8") for table in (DOCS / "data").glob("*.csv"))
    prose = re.sub(
        r"<!-- (\w+) -->.*?<!-- end \1 -->", "", (DOCS / "benchmarks.md").read_text("utf-8"), flags=re.DOTALL
    )
    figures = re.findall(r"(\d+\.\d+) dB", prose)
    assert figures
    for figure in figures:
        assert figure in rows, f"{figure} dB is in no table of docs/data"


def test_rooms_of_the_drawing_are_those_of_the_package() -> None:
    source = (ROOT / "tests" / "test_architecture.py").read_text("utf-8")
    table = source.split("FLOORS = (")[1].split("\n)")[0]
    floors = [tuple(re.findall(r'"(\w+)"', line)) for line in table.splitlines() if '"' in line]
    assert floors[::-1] == list(FLOORS)
    page = (DOCS / "architecture.md").read_text("utf-8")
    for room in (room for floor in FLOORS for room in floor if not room.startswith("_version")):
        assert f"`{room}`" in page


def test_experiments_that_findings_name_are_in_the_table() -> None:
    with (DOCS / "data" / "experiments.csv").open(newline="", encoding="utf-8") as file:
        known = {row["experiment"] for row in csv.DictReader(file)}
    page = (DOCS / "what_we_learned.md").read_text("utf-8")
    rows = re.findall(r"^\| \d+ \|.*\| ([^|]+) \|$", page, re.MULTILINE)
    assert len(rows) == 13
    assert set(rows) <= known | {"[benchmarks](benchmarks.md)"}


def test_figures_of_findings_are_in_the_table() -> None:
    table = (DOCS / "data" / "experiments.csv").read_text("utf-8")
    benchmarks = (DOCS / "benchmarks.md").read_text("utf-8")
    for line in (DOCS / "what_we_learned.md").read_text("utf-8").splitlines():
        if line.startswith(("| 1", "| 2", "| 3", "| 4", "| 5", "| 6", "| 9")):
            figure = line.split("|")[3]
            for number in re.findall(r"\d\d\.\d\d|\.\d{3}", figure):
                where = benchmarks if "[benchmarks]" in line else table
                assert number in where, f"{number} of {figure}"


def test_every_entry_of_the_gallery_has_its_picture() -> None:
    assert len(gallery.ENTRIES) >= 5
    for entry in gallery.ENTRIES:
        assert (DOCS / "images" / f"{entry.picture}.png").is_file()


def test_anchors_are_those_of_the_page_builder() -> None:
    assert anchor_of("SSI's recipe: `ssi`, 2D") == "ssis-recipe-ssi-2d"

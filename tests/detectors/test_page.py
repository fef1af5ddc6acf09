"""The page of the detectors is generated, and up to date."""

import csv
import runpy
from pathlib import Path

from oodbench.base import registry
from oodbench.scoring.spec import open_detector

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_up_to_date():
    page = runpy.run_path(str(DOCS / "detectors.py"))["page"]
    written = (DOCS / "detectors.md").read_text("utf-8")
    assert page() == written, "run `python docs/detectors.py`"


def test_only_parameters_are_said_to_be_chosen():
    entries = map(open_detector, registry.names("detectors"))
    chosen = {entry.name: entry for entry in entries if entry.detector.chosen_on}
    assert chosen["odin"].detector.chosen_on["epsilon"] == "OOD validation images"
    for entry in chosen.values():
        assert entry.detector.chosen_on.keys() <= entry.parameters.keys()


def test_the_table_of_peers_is_whole():
    with (DOCS / "peers.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    names = [row["oodbench"] for row in rows]
    assert len(set(names)) == len(names)
    # As many post-hoc detectors as the README says.
    assert sum(bool(row["OpenOOD"]) for row in rows) == 36
    assert sum(bool(row["pytorch-ood"]) for row in rows) == 35
    there = registry.names("detectors")
    assert all(row["why absent"] for row in rows if row["oodbench"] not in there)

"""The page of the data sets is generated, and up to date."""

import runpy
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_up_to_date():
    page = runpy.run_path(str(DOCS / "datasets.py"))["page"]
    written = (DOCS / "datasets.md").read_text("utf-8")
    assert page() == written, "run `python docs/datasets.py`"

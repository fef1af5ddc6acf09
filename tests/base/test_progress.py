"""Progress is shown where it can be drawn, and never fills a page."""

import sys
from types import ModuleType

from oodbench.base import progress


def test_a_notebook_without_ipywidgets_gets_lines(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ipykernel", ModuleType("ipykernel"))
    monkeypatch.setitem(sys.modules, "ipywidgets", None)  # as if not installed
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", -1)
    with progress.Progress() as shown:
        shown("score digits", 363)(32, "fast")
    assert capsys.readouterr() == ("", "score digits: 32 of 363, fast, 0:00:00 left\n")

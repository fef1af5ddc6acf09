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


def test_lines_say_how_long_the_rest_takes(monkeypatch, capsys):
    seconds = iter([0, 30, 30, 60, 60])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(seconds))
    with progress.Progress() as shown:
        tell = shown("whole run", 1000)
        tell(100)
        tell(300)
    assert capsys.readouterr().err == (
        "whole run: 100 of 1000, 0:04:30 left\nwhole run: 400 of 1000, 0:01:30 left\n"
    )

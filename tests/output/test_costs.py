"""The picture of what detectors cost."""

from oodbench.output.plots.costs import cost_diagram, frontier
from oodbench.results.costs import CostRow


def row(name, microseconds, auroc, backward=0.0):
    return CostRow("net", "in", name, 0, backward, microseconds, None, None, auroc)


ROWS = [
    row("slow", 9, 0.9),
    row("cheap", 1, 0.7),
    row("worse", 5, 0.6),
    row("same", 5, 0.7),
    row("gradient", 0.5, 0.95, backward=1),
]


def test_named_are_those_that_no_cheaper_detector_reaches():
    assert [one.detector for one in frontier(ROWS)] == ["cheap", "slow"]


def test_the_picture_shows_all_and_marks_those_whose_time_is_not_whole():
    (ax,) = cost_diagram(ROWS).axes
    every, best, hollow = ax.lines
    assert list(every.get_xdata()) == [9, 1, 5, 5, 0.5]
    assert list(best.get_ydata()) == [70, 90]
    assert list(hollow.get_ydata()) == [95]
    assert hollow.get_markerfacecolor() == "white"
    assert {text.get_text() for text in ax.texts} == {"cheap", "slow", "gradient"}

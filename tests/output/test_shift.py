"""The picture of a shift of rising degree."""

from dataclasses import replace

import numpy as np
import pytest

from oodbench.output.plots.shift import shift_curves
from oodbench.results.rows import Row


def row(level, detector, auroc, accuracy=None, role="covariate"):
    known = Row("net", "in", f"{role} fog {level}", role, detector, False, 50, 40)
    values = {"auroc": auroc, "auroc_low": auroc - 0.1, "auroc_high": auroc + 0.05}
    values["fpr95"] = 1 - auroc
    return replace(
        known,
        values=values,
        series=f"fog:{role}",
        scale="severity",
        level=level,
        accuracy_out=accuracy,
    )


ROWS = [
    row(5, "a", 0.9, 0.5),
    row(1, "a", 0.6, 0.75),
    row(1, "b", 0.55, 0.75),
    row(5, "b", 0.8, 0.5),
]


def part(ax, gid):
    return [line for line in ax.lines if line.get_gid() == gid]


def test_points_stand_at_the_numbers_and_accuracy_at_the_levels():
    _, upper, lower = shift_curves(ROWS).axes
    (line,) = part(upper, "a")
    assert list(line.get_ydata()) == [60, 90]
    assert list(part(lower, "a")[0].get_ydata()) == pytest.approx([40, 10])
    (accuracy,) = part(lower, "accuracy")
    assert accuracy.get_xydata().tolist() == [[1, 75], [5, 50]]


def test_points_of_detectors_stand_beside_each_other_near_their_level():
    _, upper, _ = shift_curves(ROWS).axes
    a, b = (part(upper, name)[0].get_xdata() for name in "ab")
    assert (a < b).all()
    assert np.abs([a - [1, 5], b - [1, 5]]).max() < 2


def test_an_interval_goes_through_every_point():
    _, upper, lower = shift_curves(ROWS).axes
    for line, bars in zip(upper.lines, upper.collections, strict=False):
        for (x, y), ((left, low), (right, high)) in zip(
            line.get_xydata(), bars.get_segments(), strict=True
        ):
            assert left == right == x
            assert low < y < high
    low, high = lower.collections[-1].get_segments()[0][:, 1]  # of 30 in 40 images
    assert (low, high) == pytest.approx((58.8, 87.3), abs=0.1)  # a table's values


def test_each_series_has_a_panel_with_its_role():
    near = [row(1, "a", 0.35, role="near"), row(2, "a", 0.4, role="near")]
    panels = shift_curves([*ROWS, *near]).axes[1::2]
    assert [ax.get_title("left") for ax in panels] == [
        "fog:covariate (covariate)",
        "fog:near (near)",
    ]
    assert {ax.get_ylim() for ax in panels} == {(20, 100.5)}


def test_without_a_series_there_is_no_picture():
    assert shift_curves([replace(one, series="") for one in ROWS]) is None

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from oodbench.metrics.calibration import (
    adaptive_calibration_error,
    expected_calibration_error,
    reliability,
)
from oodbench.metrics.temperature import Graded
from oodbench.output.plots import draw, sheet
from oodbench.output.plots.reliability import reliability_diagram


def graded(count=500, sureness=1):
    rng = np.random.default_rng(0)
    confidence = rng.random(count) ** (1 / sureness)
    correct = rng.random(count) < np.square(confidence)
    errors = {
        "ece": expected_calibration_error(confidence, correct),
        "adaptive_ece": adaptive_calibration_error(confidence, correct),
    }
    return Graded(confidence, correct, errors)


def diagram(count=500, title="net, digits, 500 images"):
    return reliability_diagram(
        title, {"before": graded(count), "after": graded(count, sureness=9)}
    )


def test_dots_stand_where_confidence_and_accuracy_meet():
    figure = diagram()
    dots = figure.findobj(lambda one: one.get_gid() == "accuracy")
    for line, sureness in zip(dots, (1, 9), strict=True):
        one = graded(500, sureness)
        bins = np.ceil(one.confidence * 20)
        expected = [
            (one.confidence[bins == k].mean(), one.correct[bins == k].mean())
            for k in np.unique(bins)
        ]
        assert line.get_xydata() == pytest.approx(np.array(expected))


def test_an_interval_goes_through_every_dot():
    for ax in diagram().axes[::2]:
        (intervals,), (_, dots) = ax.collections, ax.lines
        segments = zip(intervals.get_segments(), dots.get_xydata(), strict=True)
        for ((x, low), (_, high)), (confidence, accuracy) in segments:
            assert x == confidence
            assert 0 <= low <= accuracy <= high <= 1


def test_bars_count_the_images_of_each_bin():
    for ax, sureness in zip(diagram().axes[1::2], (1, 9), strict=True):
        one = graded(500, sureness)
        expected = reliability(one.confidence, one.correct).images
        assert [bar.get_height() for bar in ax.patches] == expected.tolist()
        assert sum(expected) == 500


def test_headings_say_both_errors():
    one = graded()
    ece, adaptive = (100 * one.values[name] for name in ("ece", "adaptive_ece"))
    texts = [text.get_text() for text in diagram().findobj(Text)]
    assert f"before\nECE {ece:.2f} %, adaptive ECE {adaptive:.2f} %" in texts


@pytest.mark.parametrize("count", [1, 30, 1_000_000])
@pytest.mark.parametrize("title", ["net, digits", "$m_$<i>\x1b\n" + "W" * 200])
def test_all_text_is_on_the_sheet_and_of_at_least_seven_points(count, title):
    figure = diagram(count, title)
    with sheet.style():
        FigureCanvasAgg(figure).draw()
    for text in figure.findobj(Text):
        if text.get_text():
            assert text.get_fontsize() >= 7
            box = text.get_window_extent()
            assert box.x0 >= 0
            assert box.y0 >= 0
            assert box.x1 <= figure.bbox.width + 1
            assert box.y1 <= figure.bbox.height + 1


def test_a_diagram_of_the_same_numbers_has_the_same_bytes(tmp_path):
    before = dict(mpl.rcParams)
    first = draw.save(diagram(), tmp_path / "first")
    with mpl.rc_context({"font.size": 20, "axes.linewidth": 9, "lines.linewidth": 5}):
        second = draw.save(diagram(), tmp_path / "second")
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
    assert dict(mpl.rcParams) == before

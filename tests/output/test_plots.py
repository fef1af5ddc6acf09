import subprocess
import sys
from dataclasses import replace
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text

from oodbench.base.files import folder_name
from oodbench.metrics import ranking
from oodbench.output.plots import draw, heat_map, histograms, roc, sheet
from oodbench.output.plots.drawn import drawing_key
from oodbench.output.plots.plot import plot
from oodbench.results.opened import of_sets
from oodbench.results.rows import Row, Scores
from oodbench.results.store import Store

DETECTORS = {"energy": False, "msp": False, "pixel_knn": True}
SETS = {"noise:digits": "probe", "photos": "far", "letters": "near"}
HOSTILE = ["$x_$|<b>", "_hidden", "\\frac{$&amp;", "%s{}", "", "漢字 🎉", "M" * 60]
UNPRINTABLE = "a\tb\nc\x00\x1b[31m\ud800\ufffe"
real = st.floats(allow_nan=False, allow_infinity=False)
samples = st.lists(real, min_size=1, max_size=20)


def scores(detectors=DETECTORS, sets=SETS, failed=(), model="jem", inside="digits"):
    rng, found = np.random.default_rng(0), []
    for detector, control in detectors.items():
        known = rng.normal(1, 1, 60)
        for outside, role in sets.items():
            row = Row(model, inside, outside, role, detector, control, 60, 80)
            pair = Scores(row, known, rng.normal(-1, 2, 80))
            if (detector, outside) in failed:
                row = replace(row, failure="NaN in 3 of 80 scores")
                pair = Scores(row, np.empty(0), np.empty(0))
            found.append(measured(pair))
    return found


def measured(pair):
    if pair.row.failure:
        return pair
    values = {"auroc": ranking.auroc(pair.inside, pair.outside)}
    return replace(pair, row=replace(pair.row, values=values))


def figures(found):
    found = [measured(pair) for pair in found]
    return [
        histograms.histograms(found),
        roc.roc_curves(found),
        heat_map.heat_map([pair.row for pair in found]),
    ]


def texts(figure):
    return [one for one in figure.findobj(Text) if one.get_text()]


def written(figure):
    return [one.get_text() for one in texts(figure)]


def part(figure, gid):
    (found,) = figure.findobj(lambda one: one.get_gid() == gid)
    return found


def corners(figure, gid):
    return [path.vertices for path in part(figure, gid).get_paths()]


def svg_texts(path):
    return [
        "".join(one.itertext()) for one in ElementTree.parse(path).iter() if one.text
    ]


@given(samples, real, st.floats(1e-3, 1e3))
def test_a_histogram_holds_all_images(images, low, width):
    binned = histograms.bin_scores(images, (low, low + max(width, abs(low) / 1e9)))
    assert binned.shares.shape == (histograms.BINS,)
    assert binned.shares.sum() == pytest.approx(1)
    assert binned.below <= binned.shares[0] + 1e-12
    assert binned.above <= binned.shares[-1] + 1e-12


def test_images_beyond_the_axis_are_counted_at_its_ends():
    binned = histograms.bin_scores([-9, 0, 1, 2, 8, 9, 9, 9], (0, 2))
    assert (binned.below, binned.above) == (1 / 8, 1 / 2)
    assert binned.shares[[0, histograms.BINS // 2, -1]].tolist() == [
        2 / 8,
        1 / 8,
        5 / 8,
    ]


@given(samples, st.lists(samples, min_size=1, max_size=3))
def test_an_axis_has_a_width_and_holds_the_middle_of_the_in_set(inside, outsides):
    low, high = histograms.score_range(inside, outsides)
    assert low < high
    assert np.isfinite([low, high]).all()
    assert low <= np.median(np.clip(inside, -1e300, 1e300)) <= high


def test_an_axis_spans_all_sets_but_neither_outliers_nor_a_far_away_set():
    inside, near = np.linspace(0, 1, 1001), np.linspace(-1, 0.5, 1001)
    low, high = histograms.score_range([*inside, 1e9], [near, [*near, -1e9]])
    assert low == pytest.approx(-0.99, abs=0.01)
    assert high == pytest.approx(0.99, abs=0.01)
    low, high = histograms.score_range(inside, [near, near - 1e6])
    assert low == pytest.approx(-2, abs=0.05)


def test_points_of_a_roc_curve_are_shares_of_accepted_images():
    rng = np.random.default_rng(0)
    inside, outside = rng.normal(1, 1, 300), rng.normal(0, 1, 400)
    rates, shares = roc.roc_points(inside, outside)
    assert rates[0] == roc.LOWEST_RATE
    assert (rates[-1], shares[-1]) == (1, 1)
    for rate, share in zip(rates[1:], shares[1:], strict=True):
        accepted = int(rate * 400 + 1e-9)
        # Between one more accepted OOD image and one less.
        cuts = np.sort(outside)[::-1]
        bounds = [np.mean(inside > cuts[min(accepted + more, 399)]) for more in (0, 1)]
        assert bounds[0] - 1e-9 <= share <= max(bounds[1], rate == 1) + 1e-9


def test_the_roc_curve_of_equal_scores_is_chance():
    rates, shares = roc.roc_points([1, 1, 1], [1, 1])
    assert shares == pytest.approx(rates)


def test_the_threshold_line_accepts_95_percent_of_the_in_set():
    found = scores()
    figure = histograms.histograms(found)
    outlines, cuts = corners(figure, "ood"), corners(figure, "threshold")
    assert len(outlines) == len(cuts) == len(found)
    for pair, outline, cut in zip(found, outlines, cuts, strict=True):
        left, right = outline[:, 0].min(), outline[:, 0].max()
        own = [one for one in found if one.row.detector == pair.row.detector]
        low, high = histograms.score_range(pair.inside, [one.outside for one in own])
        place = low + (high - low) * (cut[:, 0] - left) / (right - left)
        assert place == pytest.approx(ranking.threshold_at_tpr(pair.inside, 0.95))


def test_histograms_of_both_sets_share_one_scale_of_density():
    found = scores(detectors={"energy": False}, sets={"photos": "far"})
    figure = histograms.histograms(found)
    span = histograms.score_range(found[0].inside, [found[0].outside])
    (inside,), (outside,) = corners(figure, "in-distribution"), corners(figure, "ood")
    bottom = outside[0, 1]
    drawn = [
        bottom - each[1 : 2 * histograms.BINS : 2, 1] for each in (inside, outside)
    ]
    expected = [
        histograms.bin_scores(each, span).shares
        for each in (found[0].inside, found[0].outside)
    ]
    scale = np.sum(drawn[0]) / np.sum(expected[0])
    assert scale > 0
    assert np.array(drawn) == pytest.approx(scale * np.array(expected))


def test_a_spike_is_cut_so_that_the_other_histogram_can_be_seen():
    row = Row("jem", "digits", "noise", "probe", "energy", False, 100, 100)
    pair = measured(Scores(row, np.linspace(0, 1, 100), np.zeros(100)))
    figure = histograms.histograms([pair])
    (inside,), (outside,) = corners(figure, "in-distribution"), corners(figure, "ood")
    heights = [np.ptp(each[:, 1]) for each in (inside, outside)]
    assert heights[1] == pytest.approx(histograms.TALLEST * heights[0])
    marks = {line.get_marker(): line.get_xdata() for line in figure.axes[0].lines[-3:]}
    assert [len(marks[sign]) for sign in "<>^"] == [0, 0, 1]


def test_cells_of_the_heat_map_hold_the_numbers():
    found = scores()
    rows = [pair.row for pair in found]
    figure = heat_map.heat_map(rows)
    values = [row.values["auroc"] for row in rows]
    assert part(figure, "auroc").get_array().tolist() == values
    for value, cell in zip(values, corners(figure, "auroc"), strict=True):
        x, y = cell[:4].mean(axis=0)
        (text,) = [
            one for one in texts(figure) if one.get_position() == pytest.approx((x, y))
        ]
        assert text.get_text() == f"{100 * value:.1f}"


def test_the_heat_map_marks_ties_and_numbers_below_chance():
    row = scores()[0].row
    rows = [
        replace(row, values={"auroc": 0.4996}),
        replace(row, detector="msp", values={"auroc": 0.5}, flags=("ties",)),
    ]
    assert {"▾50.0", "50.0¶"} <= set(written(heat_map.heat_map(rows)))


def luminance(colour):
    parts = np.array(to_rgb(colour))
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return linear @ (0.2126, 0.7152, 0.0722)


def test_numbers_in_the_heat_map_stand_out():
    sets = {f"set-{value:03}": "far" for value in range(0, 101, 5)}
    rows = [
        replace(pair.row, values={"auroc": int(pair.row.outside[-3:]) / 100})
        for pair in scores(detectors={"energy": False}, sets=sets)
    ]
    figure = heat_map.heat_map(rows)
    shown = {one.get_text().strip("▾"): one for one in texts(figure)}
    for row in rows:
        value = row.values["auroc"]
        text = luminance(shown[f"{100 * value:.1f}"].get_color())
        dark, light = sorted([text, luminance(heat_map.DIVERGING(value)[:3])])
        assert (light + 0.05) / (dark + 0.05) >= 4.5  # WCAG 2.2, level AA


def test_chance_is_white_and_either_side_gets_darker():
    assert heat_map.DIVERGING(0.5)[:3] == pytest.approx((1, 1, 1), abs=0.02)
    shades = [
        luminance(heat_map.DIVERGING(value)[:3]) for value in np.linspace(0, 1, 21)
    ]
    assert (np.diff(shades[:11]) > 0).all()
    assert (np.diff(shades[10:]) < 0).all()


def test_sets_stand_by_role_and_controls_below():
    for figure in (histograms.histograms(scores()), figures(scores())[2]):
        places = {one.get_text(): one.get_position() for one in texts(figure)}
        # The in-distribution set's name is left out of another's.
        across = [places[name][0] for name in ("letters", "photos", "noise")]
        assert across == sorted(across)
        below = [
            next(y for text, (_, y) in places.items() if text.startswith(name))
            for name in DETECTORS
        ]
        assert below == sorted(below)
        assert {"near", "far", "probe"} <= set(places)


def test_lines_of_twenty_detectors_all_look_different():
    detectors = {f"detector-{index}": index > 17 for index in range(20)}
    figure = roc.roc_curves(scores(detectors, {"photos": "far"}))
    (lines,) = figure.findobj(LineCollection)
    looks = zip(lines.get_colors(), lines.get_linestyles(), strict=True)
    assert len({repr(look) for look in looks}) == 20
    assert len(lines.get_paths()) == 40  # each with its line in the key


def test_failed_cells_are_hatched_and_named():
    failed = [("energy", "photos"), ("msp", "letters")]
    for figure in figures(scores(failed=failed)):
        assert written(figure).count("failed") == 2
    for figure in (
        figures(scores(failed=failed))[0],
        figures(scores(failed=failed))[2],
    ):
        hatched = figure.findobj(lambda one: bool(getattr(one, "get_hatch", str)()))
        assert len(hatched) == 2


SHAPES = {
    "one": scores({"energy": False}, {"photos": "far"}),
    "wide": scores({"energy": False}, {f"set-{i}": "far" for i in range(20)}),
    "high": scores({f"detector-{i}": i > 15 for i in range(20)}, {"photos": "far"}),
    "usual": scores(
        {f"detector_{i}": i > 5 for i in range(8)},
        {f"set-{i}": "far" for i in range(7)},
    ),
    "failed": scores(failed=[(one, other) for one in DETECTORS for other in SETS]),
    "hostile": scores(
        dict.fromkeys([*HOSTILE, UNPRINTABLE], False),
        dict.fromkeys([*HOSTILE, UNPRINTABLE], "far"),
        failed=[("_hidden", "_hidden")],
        model="$m_$<i>" + UNPRINTABLE,
        inside="_" + "x" * 200,
    ),
    "equal": [replace(one, inside=np.ones(3), outside=np.ones(2)) for one in scores()],
    "single": [
        replace(one, inside=one.inside[:1], outside=one.outside[:1]) for one in scores()
    ],
    "huge": [
        replace(
            one, inside=np.append(one.inside, [1e308, -1e308]), outside=-one.outside
        )
        for one in scores()
    ],
}


@pytest.mark.parametrize("shape", SHAPES)
def test_all_text_is_on_the_sheet_and_of_at_least_seven_points(shape):
    for figure in figures(SHAPES[shape]):
        with sheet.style():
            FigureCanvasAgg(figure).draw()
        for text in texts(figure):
            assert text.get_fontsize() >= 7
            box = text.get_window_extent()
            assert box.x0 >= 0
            assert box.y0 >= 0
            assert box.x1 <= figure.bbox.width + 1
            assert box.y1 <= figure.bbox.height + 1


def test_figures_of_seven_sets_fit_the_text_width_of_a_page():
    for figure in figures(SHAPES["usual"]):
        width, height = figure.get_size_inches()
        assert width <= 7.2
        assert height <= 9


def test_names_do_not_overlap_their_neighbours_in_a_grid():
    long = [letter * 60 for letter in "MNO"]
    found = scores(dict.fromkeys(long, True), dict.fromkeys(long, "near"))
    for figure in figures(found)[::2]:
        with sheet.style():
            FigureCanvasAgg(figure).draw()
        boxes = [text.get_window_extent().padded(-3) for text in texts(figure)]
        for index, box in enumerate(boxes):
            assert box.count_overlaps(boxes[:index]) == 0


def test_a_figure_of_the_same_numbers_has_the_same_bytes(tmp_path):
    first = figures(scores(failed=[("msp", "photos")]))
    again = {
        "font.size": 20,
        "text.usetex": True,
        "svg.fonttype": "path",
        "axes.linewidth": 9,
    }
    with mpl.rc_context(again):
        second = figures(scores(failed=[("msp", "photos")]))
        files = [
            draw.save(figure, tmp_path / f"{copy}-{index}")
            for copy, both in enumerate((first, second, first))
            for index, figure in enumerate(both)
        ]
    assert [path.name for path in files[0]] == ["0-0.png", "0-0.svg"]
    for one, other, third in zip(files[:3], files[3:6], files[6:], strict=True):
        for ending in (0, 1):
            content = one[ending].read_bytes()
            assert content == other[ending].read_bytes() == third[ending].read_bytes()


def test_drawing_leaves_matplotlib_as_it_was(tmp_path):
    before = dict(mpl.rcParams)
    draw.save(roc.roc_curves(scores()), tmp_path / "figure")
    assert dict(mpl.rcParams) == before


def test_an_svg_holds_hostile_names_as_they_are(tmp_path):
    short = [*HOSTILE[:-1], UNPRINTABLE]
    found = scores(dict.fromkeys(short, False), {"$1$<&>": "near"})
    for figure in figures(found):
        _, svg = draw.save(figure, tmp_path / "figure")
        assert {"$x_$|<b>", "_hidden", "%s{}", "漢字 🎉"} <= set(svg_texts(svg))
        # What cannot be seen is an escape, as in tables; XML could not hold it.
        whole = "".join("".join(svg_texts(svg)).split())  # it may be broken in lines
        assert r"abc\x00\x1b[31m\ud800\ufffe" in whole
        assert any(one.startswith("$1$<&>") for one in svg_texts(svg))
        assert b"<dc:date>" not in svg.read_bytes()
        ids = [one.get("id") for one in ElementTree.parse(svg).iter() if one.get("id")]
        assert len(ids) == len(set(ids))


def test_a_long_name_keeps_both_its_ends(tmp_path):
    name = "begin" + "x" * 90 + "end"
    _, svg = draw.save(figures(scores({name: False}))[1], tmp_path / "figure")
    (text,) = [one for one in svg_texts(svg) if one.startswith("begin")]
    assert text.endswith("end")
    assert len(text) == sheet.LONGEST


def test_notes_say_what_marks_mean_but_do_not_fill_pages():
    found = scores()
    found[0] = replace(found[0], row=replace(found[0].row, flags=("limit",)))
    text = " ".join(written(histograms.histograms(found)))
    assert "noise§" in text
    assert "§ cut by --limit" in text
    text = " ".join(written(histograms.histograms(SHAPES["failed"])))
    assert "energy of jem on letters failed: NaN in 3 of 80 scores" in text
    many = {f"set-{index}": "far" for index in range(40)}
    failed = [("energy", name) for name in many]
    notes = written(roc.roc_curves(scores({"energy": False}, many, failed)))
    assert "and 28 more; `oodbench table` shows all" in notes


def stored(root, *, limit=None):
    store = Store(root)
    rng = np.random.default_rng(0)
    model = {"name": "my model", "key": "m" * 64, "classes": 10, "density_head": False}
    run = {"finished": "2025-01-01"}
    inside = {"name": "digits", "key": f"digits-{limit}"}
    for name, role in {"digits": "in", "photos": "far"}.items():
        key = f"{name}-{limit}"
        record = {"name": name, "key": key, "role": role, "images": 30}
        record |= {"limit": limit, "shared_images": 0}
        common = {"model": model, "inside": inside, "set": record}
        places = (("m", "m" * 64), ("in", inside["key"]), (name, key))
        file = store.set(*(folder_name(*each) for each in places))
        file.write({"labels": np.zeros(30)}, common)
        for label, control in DETECTORS.items():
            detector = {"label": label, "key": label * 8, "control": control}
            cell = {**common, "detector": detector, "run": run}
            place = file.cell(label, detector["key"])
            place.write(rng.normal((role == "in") * (1 + 9 * control), 1, 30), cell)
    return store


def test_a_group_is_drawn_into_files_that_say_what_they_are(tmp_path):
    stored(tmp_path / "runs")
    both = of_sets(stored(tmp_path / "runs", limit=30).sets()).measured
    files = plot(tmp_path / "runs")
    assert len(both) == 2
    assert {*files} == {path for path in files[0].parent.iterdir() if path.suffix}
    assert len(set(files)) == 14
    names = [path.name for path in files[:6]]
    kinds = ("histograms", "roc", "heatmap")
    starts = [f"{kind}-my_model-digits_" for kind in kinds for _ in "12"]
    assert [
        name[: len(start)] for name, start in zip(names, starts, strict=True)
    ] == starts
    assert [path.suffix for path in files[:2]] == [".png", ".svg"]
    numbers = [f"{100 * row.values['auroc']:.1f}" for row in both[0].rows]
    assert len(both[0].scores) == 3
    for path in files[1:6:2]:
        text = "".join(svg_texts(path))
        assert all(number in text for number in numbers)
        assert "photos†" in text
        assert "† a control reaches" in text


@pytest.fixture
def drawings(monkeypatch):
    """The models that are drawn."""
    found = []

    def figures(measured, **options):
        found.append(measured.group.model)
        figure = Figure()
        figure.text(0, 0, str([row.values for row in measured.rows]))
        return {"roc": figure}

    monkeypatch.setattr(draw, "figures", figures)
    return found


def test_pictures_of_the_same_results_are_drawn_once(tmp_path, drawings):
    stored(tmp_path / "runs")
    files = plot(tmp_path / "runs")
    assert plot(tmp_path / "runs") == files
    assert len(drawings) == 1
    plot(tmp_path / "runs", linear=True)
    assert len(drawings) == 2


def test_pictures_of_other_scores_are_drawn_again(tmp_path, drawings):
    store = stored(tmp_path / "runs")
    files = plot(store.root)
    before = [path.read_bytes() for path in files]
    cell = next(cell for file in store.sets() for cell in file.cells())
    record, scores = cell.load()
    cell.write(-scores, record)
    assert plot(store.root) == files
    assert [path.read_bytes() for path in files] != before


def test_the_order_of_sets_changes_no_bit_of_the_pictures(tmp_path):
    store = stored(tmp_path / "runs")
    (one,) = of_sets(store.sets()).measured
    rows = [replace(one.row, outside="letters") for one in one.scores]
    more = [replace(each, row=row) for each, row in zip(one.scores, rows, strict=True)]
    first = replace(one, scores=[*one.scores, *more])
    second = replace(one, scores=[*more, *one.scores])
    assert drawing_key("model", [first]) == drawing_key("model", [second])
    before = [path.read_bytes() for path in draw.draw(first, tmp_path)]
    assert [path.read_bytes() for path in draw.draw(second, tmp_path)] == before


@pytest.mark.parametrize("content", [None, b"another picture"])
def test_a_picture_that_is_gone_or_changed_is_drawn_again(tmp_path, content, drawings):
    stored(tmp_path / "runs")
    first, second = plot(tmp_path / "runs")
    before = first.read_bytes()
    first.unlink() if content is None else first.write_bytes(content)
    assert plot(tmp_path / "runs") == [first, second]
    assert first.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"[]", b'{"a": 1}', b"\xff"])
def test_a_damaged_note_of_what_is_drawn_counts_as_none(tmp_path, content, drawings):
    stored(tmp_path / "runs")
    files = plot(tmp_path / "runs")
    (tmp_path / "plots" / ".drawn").write_bytes(content)
    assert plot(tmp_path / "runs") == files
    assert len(drawings) == 2


def test_a_group_without_scores_is_not_drawn(tmp_path):
    results = of_sets(stored(tmp_path / "runs").sets())
    results.groups[0].outside.clear()
    assert plot(results, tmp_path / "plots") == []
    assert not (tmp_path / "plots").exists()


def test_drawing_needs_neither_torch_nor_pandas_nor_pyplot():
    code = (
        "import sys, oodbench.output.plots.draw; "
        "print({'torch', 'pandas', 'matplotlib.pyplot'} & set(sys.modules))"
    )
    command = [sys.executable, "-Ic", code]
    assert subprocess.check_output(command, text=True).strip() == "set()"


def test_a_linear_axis_has_even_rates_and_says_so():
    even = roc.LINEAR.rates
    assert np.diff(even) == pytest.approx(np.full(even.size - 1, even[1]))
    rates, tpr = roc.roc_points([1, 2, 3, 4], [0, 2.5], even)
    assert tpr[rates <= 0.5].min() == 0.5
    assert tpr[-1] == 1
    texts = [
        text.get_text() for text in roc.roc_curves(scores(), linear=True).axes[0].texts
    ]
    assert any("linear axis" in text for text in texts)
    assert {"25", "50", "75"} <= set(texts)

"""What each format makes of the same table."""

import csv
import io
import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_rows import row
from rich.console import Console

from oodbench import InputError
from oodbench.base.text import short_name
from oodbench.output import formats
from oodbench.output.formats import csv as csv_
from oodbench.output.formats import html, latex, markdown, terminal
from oodbench.output.formats import json as json_
from oodbench.output.layout import layout, spans, transposed
from oodbench.output.notes import MARKS
from oodbench.output.numbers import interval, percent
from oodbench.output.tables import all_numbers
from oodbench.results.rows import Measured, Scores

ROWS = [
    row("a", "n1", "near", 0.9),
    row("a", "f1", "far", 0.7),
    row("a", "f2", "far", 0.5),
    row("b", "n1", "near", 0.8),
    row("b", "f1", "far", 0.75),
    row("b", "f2", "far", 0.65),
    row("pixels", "n1", "near", 0.99, flags=("control",)),
    row("pixels", "f1", "far", 0.4),
    row("pixels", "f2", "far", 0.4),
]
HEAD = ["model", "in", "accuracy %"]
FIT = [["net", "in:set", "93.66"]]


def numbers_of(rows):
    scores = [Scores(row, [], []) for row in rows]
    return csv_.listing(*all_numbers([Measured(None, scores, None)]))


def shown(renderable, width=200):
    console = Console(width=width, file=io.StringIO())
    console.print(renderable, crop=False)
    return console.file.getvalue()


def test_sets_stand_under_their_role_and_means_under_mean():
    assert spans(layout(ROWS).columns) == [
        ("near", ["n1†"]),
        ("far", ["f1", "f2"]),
        ("mean", ["near", "far"]),
    ]


def test_terminal_shows_controls_below_and_notes():
    lines = shown(terminal.table(layout(ROWS))).splitlines()
    places = [
        next(i for i, line in enumerate(lines) if line.strip().startswith(start))
        for start in ("net", "a", "b", "pixels (control)", "† a control")
    ]
    assert places == sorted(places)


WIDE_ROWS = [
    row(detector, f"folder-of-images-{number}", "far", 0.1234 + number / 100)
    for detector in ("msp", "react:percentile=90+knn:k=50")
    for number in range(12)
]


@pytest.mark.parametrize("width", [30, 60, 80, 120, 200])
@pytest.mark.parametrize("intervals", [False, True])
def test_a_terminal_of_any_width_shows_every_number_in_full(width, intervals):
    laid_out = layout(WIDE_ROWS, intervals=intervals)
    text = shown(terminal.table(laid_out), width)
    lines = text.splitlines()
    assert max(map(len, lines)) <= width
    for _, fields in laid_out.blocks[0].detectors:
        for (one,) in fields:
            assert any(one.text in line for line in lines)
    assert len(text.split("msp")) - 1 == text.count("detector\n") + text.count(
        "detector "
    )


def test_only_names_are_cut_and_stand_in_full_below():
    text = shown(terminal.table(layout(WIDE_ROWS)), 40)
    assert "[1]…entile=90+knn:k=50 " in text
    assert "\n  [1]… is react:percentile=90+knn:k=50\n" in text
    assert "…" not in shown(terminal.table(layout(WIDE_ROWS)), 80)


def test_two_names_with_one_end_stay_apart_where_they_are_cut():
    rows = [row(f"{one}{'x' * 50}", "f1", "far", 0.5) for one in "ab"]
    lines = shown(terminal.table(layout(rows)), 40).splitlines()
    assert [line[:4] for line in lines if line.startswith("[")] == ["[1]…", "[2]…"]


def test_a_wide_table_stays_whole():
    table = replace(layout(WIDE_ROWS), wide=True)
    assert shown(terminal.table(table), 60).count("detector") == 1


def test_every_format_shows_two_numbers_in_one_cell():
    rows = [
        row("a", "n1", "near", 0.9, values={"auroc": 0.9, "fpr95": 0.2}),
        row("b", "n1", "near", 0.5, values={"auroc": 0.5}),
    ]
    table = layout(rows, metric="auroc/fpr95")
    assert "**90.00** / **20.00**" in markdown.table(table)
    assert "<td><strong>90.00</strong> / <strong>20.00</strong></td>" in html.table(
        table
    )
    assert r"\textbf{90.00} / \textbf{20.00}" in latex.table(table)
    assert "90.00 / 20.00" in shown(terminal.table(table))
    assert "50.00 / –" in markdown.table(table)


@pytest.mark.parametrize(
    ("file", "name"),
    [("a.md", "markdown"), ("a.TEX", "latex"), ("a.html", "html"), ("a.csv", "csv")],
)
def test_the_ending_of_a_file_means_a_format(file, name):
    assert formats.of_file(Path(file)) == name


def test_an_ending_without_a_format_is_refused():
    with pytest.raises(InputError, match="means no format; add --format"):
        formats.of_file(Path("table.docx"))


def test_a_listing_too_wide_repeats_its_names():
    head = ["set", "detector", *(f"number {n}" for n in range(9))]
    lines = shown(
        terminal.listing(head, [["photos", "msp", *"123456789"]]), 40
    ).splitlines()
    found = [line for line in lines if line.startswith("photos")]
    assert len(found) > 1
    assert "".join(line.split("msp")[1] for line in found).split() == list("123456789")
    assert max(map(len, lines)) <= 40


def test_markdown_has_a_line_a_detector_with_the_best_in_bold():
    text = markdown.table(layout(ROWS))
    rows = [line for line in text.splitlines() if line.startswith("| net")]
    assert len(rows) == 3
    assert "**90.00**" in rows[0]
    assert "**75.00**" in rows[1]
    assert "**" not in rows[2]
    assert "\n- controls see only pixels, never the network\n" in text


def test_markdown_of_no_rows_is_the_head():
    head, below = markdown.listing(HEAD, [], notes=["why"]).split("\n", 1)
    assert [one.strip() for one in head.strip("|").split("|")] == list(HEAD)
    assert below.endswith("\n\n- why\n")


def test_markdown_leaves_numbers_and_names_of_numbers_as_they_are():
    assert "| 93.66 |" in re.sub(" +", " ", markdown.listing(HEAD, FIT))
    text = markdown.table(layout([row("1e5", "007", "far", 0.5, model="1e3")]))
    assert "| 1e3 " in text
    assert "| 1e5 " in text
    assert "far: 007" in text


def test_latex_is_a_booktabs_table():
    lines = latex.table(layout(ROWS)).splitlines()
    start = lines.index(r"\toprule")
    assert lines[start : lines.index(r"\bottomrule")] == [
        r"\toprule",
        r" & \multicolumn{1}{c}{near} & \multicolumn{2}{c}{far} & "
        r"\multicolumn{2}{c}{mean} \\",
        r"\cmidrule(lr){2-2}\cmidrule(lr){3-4}\cmidrule(lr){5-6}",
        r"detector & n1\dag{} & f1 & f2 & near & far \\",
        r"\midrule",
        r"\multicolumn{6}{l}{\textit{net}} \\",
        r"a & \textbf{90.00} & 70.00 & 50.00 & \textbf{90.00} & 60.00 \\",
        r"b & 80.00 & \textbf{75.00} & \textbf{65.00} & 80.00 & \textbf{70.00} \\",
        r"\addlinespace",
        r"pixels (control) & 99.00 & 40.00 & 40.00 & 99.00 & 40.00 \\",
    ]
    assert r"\caption{In-distribution: in:set, 50 test images. AUROC $\uparrow$ in" in (
        "\n".join(lines)
    )
    assert any(line.startswith(r"\dag{} a control reaches") for line in lines)


def test_latex_splits_columns_that_no_page_holds_and_labels_each_part():
    text = latex.table(layout(WIDE_ROWS))
    parts = text.count(r"\begin{table}")
    assert text.count(r"\toprule") == parts > 1
    assert f"Part 2 of {parts}." in text
    labels = re.findall(r"\\label\{(.*?)\}", text)
    assert len(set(labels)) == parts
    assert labels[0] == "tab:auroc-in-set"
    shown_ = re.findall(r"\d\d\.\d\d", text)
    assert len(shown_) == 2 * (12 + 1)
    whole = latex.table(replace(layout(WIDE_ROWS), wide=True))
    assert whole.count(r"\begin{table*}") == whole.count(r"\toprule") == 1


DOCUMENT = r"""\documentclass{article}
\usepackage{booktabs}
\begin{document}
%s
\end{document}
"""


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("pdflatex"), reason="there is no pdflatex")
def test_latex_compiles_and_fits_on_its_page(tmp_path):
    rows = [
        row(r"a_b\c{d}~^", f"n&{n}%", "near", 0.9, flags=("ties",)) for n in range(9)
    ]
    rows += [row("b", "f#$", "far", 0.5, model="other<|>", flags=("even", "few"))]
    tables = [
        latex.table(layout(rows, metric="auroc/fpr95", intervals=True)),
        latex.table(transposed(layout(WIDE_ROWS))),
        latex.table(replace(layout(ROWS), wide=True)),
        latex.listing(HEAD, FIT),
        latex.listing(["set", "detector", "p"], [["n_1", "a", "−0.1 ± 2"]], "T", ["…"]),
    ]
    (tmp_path / "page.tex").write_text(DOCUMENT % "\n".join(tables), "utf-8")
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "Overfull" not in done.stdout


def test_latex_without_controls_has_no_empty_space():
    assert "addlinespace" not in latex.table(layout(ROWS[:6]))


@pytest.mark.parametrize("mark", [*MARKS.values(), "–", "…", "±"])
def test_latex_writes_every_mark_for_every_engine(mark):
    assert latex.escape(mark).isascii()


def test_latex_joins_no_hyphens_and_ends_no_row_early():
    assert latex.escape("a--b") == "a-{}-b"
    assert latex.escape("*x [1]") == "{*}x {[}1{]}"


class Cells(HTMLParser):
    """Collects every row's cells as (tag, scope, text)."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.inside = [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag == "tr":
            self.rows.append([])
        elif tag in ("th", "td"):
            self.inside = (tag, dict(attrs).get("scope"))
            self.rows[-1].append((*self.inside, ""))

    def handle_data(self, data):
        if self.inside:
            tag, scope, text = self.rows[-1].pop()
            self.rows[-1].append((tag, scope, text + data))

    def handle_endtag(self, tag):
        if tag in ("th", "td"):
            self.inside = None


def test_html_says_what_every_head_belongs_to():
    text = html.table(layout(ROWS))
    over, heads, model, first, *_, control = Cells(text).rows
    assert over == [
        ("td", None, ""),
        ("th", "colgroup", "near"),
        ("th", "colgroup", "far"),
        ("th", "colgroup", "mean"),
    ]
    assert {(tag, scope) for tag, scope, _ in heads} == {("th", "col")}
    assert [text for *_, text in heads][:3] == ["detector", "n1†", "f1"]
    assert model == [("th", "rowgroup", "net")]
    assert first[:2] == [("th", "row", "a"), ("td", None, "90.00")]
    assert control[0] == ("th", "row", "pixels (control)")
    assert "<caption>In-distribution: in:set" in text
    assert "<td><strong>90.00</strong></td>" in text
    assert text.isascii()  # so that no page needs to know its encoding


def test_html_sets_intervals_smaller():
    text = html.table(layout(ROWS, intervals=True))
    assert "<strong>90.00</strong> <small>[89.00, 91.00]</small>" in text


def test_html_of_a_listing_names_its_rows():
    (_, first) = Cells(html.listing(HEAD, FIT)).rows
    assert first == [
        ("th", "row", "net"),
        ("td", None, "in:set"),
        ("td", None, "93.66"),
    ]


def test_csv_holds_every_number_exactly():
    found = list(csv.DictReader(io.StringIO(numbers_of(ROWS))))
    assert len(found) == len(ROWS)
    assert float(found[0]["auroc"]) == 0.9
    assert found[6]["flags"] == "control"


def test_csv_of_a_failed_cell_is_empty_and_says_why():
    rows = [ROWS[0], row("a", "f1", "far", 0, values={}, failure="NaN, all of it")]
    second = list(csv.DictReader(io.StringIO(numbers_of(rows))))[1]
    assert second["auroc"] == ""
    assert second["failure"] == "NaN, all of it"


def test_a_long_name_is_cut_in_its_middle():
    name = short_name("a" * 5000 + "b" * 5000)
    assert len(name) == 100
    assert name.startswith("aaa")
    assert "…" in name
    assert name.endswith("bbb")
    assert short_name("x" * 100) == "x" * 100


def test_every_format_in_the_folder_is_found_and_writes_listings():
    known = {"csv", "html", "json", "latex", "markdown", "terminal"}
    assert set(formats.names()) >= known
    for name in formats.names():
        writer = formats.load(name)
        text = formats.as_text(writer.listing(HEAD, FIT, "A title", ["a note"]))
        assert "93.66" in text
        has_place = formats.is_for_reading(writer)
        assert has_place or name not in known - {"csv", "json"}
        assert ("A title" in text) == ("a note" in text) == has_place
    with pytest.raises(InputError, match="did you mean 'latex'"):
        formats.load("latx")


def test_json_holds_numbers_as_numbers_and_null_for_what_is_none():
    rows = [["a\x1b", 0.1, None, float("nan"), True]]
    text = json_.listing(["name", "x", "y", "z", "b"], rows)
    assert json.loads(text) == [
        {"name": "a\x1b", "x": 0.1, "y": None, "z": None, "b": 1}
    ]
    assert text.replace("\n", "").isprintable()


@given(st.lists(st.floats(0, 1), min_size=3, max_size=3))
def test_no_interval_is_written_that_excludes_its_own_estimate(shares):
    low, value, high = sorted(shares)
    ends = re.findall(r"[0-9.]+", interval(low, high))
    assert float(ends[0]) <= float(percent(value)) <= float(ends[1])
    assert {len(text.partition(".")[2]) for text in (*ends, percent(value))} == {2}

"""Names and reasons that are made to break out of what shows them."""

import csv
import io
import re
import sys
from html.parser import HTMLParser

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.console import Console

from oodbench import cli
from oodbench.base.files import folder_name
from oodbench.base.text import printable, short_name, short_note
from oodbench.output.formats import csv as csv_
from oodbench.output.formats import html, latex, markdown, terminal
from oodbench.output.layout import layout
from oodbench.output.tables import all_numbers
from oodbench.results.rows import Measured, Row, Scores

HOSTILE = [
    "a|b", "a\\|b", "two\nlines", "`code`", "``", "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>', "[x](javascript:alert(1))", "<javascript:x>",
    "![x](http://x)", "$x_$", "_x", "__init__", r"\input{x}", r"\\", "50 %", "a_b",
    "#1", "&lt;", "~", "^", "{}", "*", "[1]", "--", "=HYPERLINK(A1)", "+1", "-1", "@x",
    "\t=1", "\r=1", " =1", "＝1", "\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "\x9b31m",
    "\u202egnp.exe", "\u2066", "nul\0nul", "\x7f", "\b\b\b", "[/]", "[bold]", "1e5",
    "007", "1. x", "- x", "# x", "---", "===", "x" * 10_000, "", " ", "\u2028", "é",
    "漢", "\udc80", "$(id)", "${x}", "$hash", "-->", "]]>", "</style>", "a\u0000|\n<b>",
]  # fmt: skip
names = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(max_size=20),
    st.text("|\\`*_[]<>$&#~\n\x1b=+-@%{}^\"' ", max_size=12),
)


def table_of(model, inside, outside, detector, reason):
    """A table whose every name is somebody else's choice, with a failed cell."""
    values = {"auroc": 0.9, "auroc_low": 0.8, "auroc_high": 0.95}
    common = (model, inside, outside, "far")
    rows = [
        Row(*common, detector, False, 5, 6, values),
        Row(*common, f"{detector}2", False, 5, 6, {}, reason),
        Row(*common, f"{detector}3", True, 5, 6, values, flags=("control",)),
    ]
    return rows, layout(rows, intervals=True, equal_to_energy=[model])


tables = st.builds(table_of, names, names, names, names, names)


def everywhere(test):
    """Gives a test every hostile name in every place, and then mixtures."""
    for name in HOSTILE:
        test = example(table_of(name, name, name, name, name))(test)
    return given(tables)(test)


def words(text):
    """What a format that shows a text as it is makes of it, spaces aside."""
    return "".join(printable(text).split())


@given(names)
def test_printable_text_is_one_line_that_a_terminal_shows_as_it_is(text):
    shown = printable(text)
    assert shown.isprintable()
    shown.encode()  # no halves of letters
    assert printable(shown) == shown
    assert len(short_name(text)) <= 100


@everywhere
def test_no_control_character_reaches_a_terminal(made):
    _, table = made
    console = Console(width=200, file=io.StringIO(), force_terminal=False)
    console.print(terminal.table(table))
    console.print(terminal.listing(["a", "b"], [[table.blocks[0].model, "1"]]))
    shown = console.file.getvalue()
    assert shown.replace("\n", "").isprintable()


@pytest.mark.parametrize("name", ["[/]", "[bold]", "<script>", "$x_$"])
def test_a_terminal_shows_names_as_they_are(name):
    console = Console(width=200, file=io.StringIO())
    console.print(terminal.table(table_of(name, "in", "out", name, "")[1]))
    assert console.file.getvalue().count(name) == 4


@everywhere
def test_markdown_rows_have_a_cell_a_column(made):
    _, table = made
    text = markdown.table(table)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    cells = [re.split(r"(?<!\\)(?:\\\\)*\|", row) for row in rows]
    assert {len(row) for row in cells} == {2 + 2 + len(table.columns)}
    assert len(rows) == 2 + 3


@given(names)
def test_markdown_shows_text_as_it_is(name):
    text = markdown.escape(name)
    plain = re.sub(r"\\[!-/:-@[-`{-~]", "x", text)
    assert not set(plain) & set("`*[]<>|#$~&\\")
    assert not re.match(r"[-+=]+(\s|$)|\d+[.)](\s|$)|-{3}|={3}", plain)
    assert re.sub(r"\\([!-/:-@[-`{-~])", r"\1", text) == printable(name)


@everywhere
def test_latex_rows_have_a_cell_a_column(made):
    _, table = made
    shown = 0
    for tabular in latex.table(table).split(r"\begin{tabular}")[1:]:
        columns = len(tabular.partition("\n")[0].strip("{}")) - 1
        rows = [line for line in tabular.splitlines() if line.endswith(r" \\")]
        counts = [
            len(re.findall(r"(?<!\\)&", row)) for row in rows if "multi" not in row
        ]
        assert counts == [columns] * (1 + 3)
        shown += columns
    assert shown == len(table.columns)


@given(names)
def test_latex_has_no_special_that_is_not_escaped(name):
    known = (
        r"\\[{}$&#%_]|\\(?:text[a-z]+|char34|dag|ddag|S|P|dots)\{\}|\{[*\[\]]\}|\{\}"
        r"|\$(?:-|\\pm|\\times|\\approx|\\diamond|\\uparrow|\\downarrow)\$"
    )
    rest = re.sub(known, "", latex.escape(name))
    assert not set(rest) & set('\\{}$&#%_~^`<>|"[]*')
    assert rest.isprintable()
    assert "--" not in latex.escape(name)


@everywhere
def test_csv_cells_are_no_formulas_and_come_back(made):
    rows, _ = made
    scores = [Scores(row, [], []) for row in rows]
    text = csv_.listing(*all_numbers([Measured(None, scores, None)]))
    head, *found = csv.reader(io.StringIO(text))
    assert len(found) == len(rows)
    assert {len(line) for line in found} == {len(head)}
    for line, row in zip(found, rows, strict=True):
        for name, cell in zip(head, line, strict=True):
            assert not re.match(r"\s*[=+\-@＝＋－＠]", cell)
            if name in ("model", "inside", "outside", "detector", "failure"):
                assert cell.removeprefix("'") in (
                    printable(getattr(row, name)),
                    printable(getattr(row, name)).removeprefix("'"),
                )
        assert dict(zip(head, line, strict=True))["images_in"] == "5"
    assert text.replace("\n", "").isprintable()


TABLE_TAGS = {
    "table", "caption", "colgroup", "thead", "tbody", "tr", "th", "td", "strong",
    "small", "ul", "li",
}  # fmt: skip


class Page(HTMLParser):
    """Collects the tags, the attributes and the text of some HTML."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.text = set(), set(), ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes.update(attrs)

    def handle_data(self, data):
        self.text += data

    def handle_comment(self, data):
        raise AssertionError(data)

    handle_decl = handle_pi = unknown_decl = handle_comment


@everywhere
def test_html_has_only_the_tags_of_a_table(made):
    rows, table = made
    page = Page(html.table(table) + html.listing(["a", "b"], [["c", rows[0].model]]))
    assert page.tags <= TABLE_TAGS
    for name, value in page.attributes:
        assert name in ("scope", "colspan", "span", "class")
        assert re.fullmatch("[a-z]+|[0-9]+", value)
    shown = "".join(page.text.split())
    assert words(short_name(rows[0].detector)) in shown
    assert all(words(short_note(note)) in shown for note in table.notes)


@given(names)
def test_html_attributes_hold_any_text(name):
    page = Page(f'<img alt="{html.escape(name)}">')
    assert page.attributes == {("alt", printable(name))}


@given(names)
def test_file_names_stay_in_their_folder(name):
    file = folder_name(name, "0123456789abcdef")
    assert re.fullmatch(
        r"[A-Za-z0-9_=+-][A-Za-z0-9._=+-]{0,59}-01234567|-01234567", file
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("table", "no\x1b[31mred\x07"),
        ("table", "\u202enosuch"),
        ("table", "a", "extra\x1b[2J"),
        ("run", "--in", "no\x1b[31m"),
        ("run", "--model", "no\x1b[31m.pt"),
        ("nosuch\x1b[31m",),
        ("table", "--nosuch\x1b[31m"),
    ],
)
def test_no_control_character_reaches_the_error_stream(
    arguments, monkeypatch, capsys, tmp_path
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["oodbench", *arguments])
    # As a terminal would get it: click leaves escapes out of a file only.
    monkeypatch.setattr("click.utils.should_strip_ansi", lambda *_: False)
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    errors = capsys.readouterr().err
    assert exit_.value.code in (2, 3)
    assert errors.replace("\n", "").isprintable()
    assert "\\x" in errors or "\\u" in errors

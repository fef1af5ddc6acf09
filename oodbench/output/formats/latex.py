"""Writes tables as LaTeX, with the rules of the package booktabs."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence

from oodbench.base.text import printable, short_name, short_note
from oodbench.output.blocks import blocks, broken, head_lines
from oodbench.output.layout import BETWEEN, Block, Cell, Column, Table, spans

NEEDS = "% \\usepackage{booktabs}\n"
PAGE = 345.0
"""Points that a page of the class `article` has for the columns of a table."""
LETTER, SPACE = 5.0, 3
"""Points of a letter of the size `\\small`, and at each side of a column."""
ESCAPES = {
    **{letter: f"\\{letter}" for letter in "{}$&#%_"},
    # Behind the end of a row a star or a bracket would be an argument.
    **{letter: f"{{{letter}}}" for letter in "*[]"},
    "\\": "\\textbackslash{}",
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
    "`": "\\textasciigrave{}",
    "<": "\\textless{}",
    ">": "\\textgreater{}",
    "|": "\\textbar{}",
    '"': "\\char34{}",
    "†": "\\dag{}",
    "‡": "\\ddag{}",
    "§": "\\S{}",
    "¶": "\\P{}",
    "≈": "$\\approx$",
    "◊": "$\\diamond$",
    "−": "$-$",
    "↑": "$\\uparrow$",
    "↓": "$\\downarrow$",
    "±": "$\\pm$",
    "×": "$\\times$",
    "–": "\\textendash{}",
    "…": "\\dots{}",
}


def table(table: Table) -> str:
    """Returns a floating table, the best in bold, rows apart last, its notes below.

    Columns that do not fit on a page go to further floating tables, unless the table is
    to stay whole; it then spans both columns of a page.
    """
    tabulars = [
        _tabular(
            "l" + "r" * len(columns),
            _head([table.columns[index] for index in columns], table.stub),
            "\\midrule\n".join(_block(block, columns) for block in table.blocks),
        )
        for columns in _pages(table)
    ]
    return _floating(tabulars, table.title, table.notes, table.name, table.wide)


def listing(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    title: str = "",
    notes: Sequence[str] = (),
) -> str:
    """Returns rows under a head; the first two columns are text.

    With a title or notes it is a floating table. Columns are split as in `table`.
    """
    heads = [broken(name, " ") for name in head]
    widths = [
        _width([*lines, *(short_name(row[index]) for row in rows)])
        for index, lines in enumerate(heads)
    ]
    tabulars = [
        _tabular(
            "ll" + "r" * (len(columns) - 2),
            _row(_stacked(heads[index]) for index in columns),
            "".join(_row(_escape_name(row[i]) for i in columns) for row in rows),
        )
        for columns in blocks(widths, 2, PAGE, 2 * SPACE)
    ]
    if title or notes:
        return _floating(tabulars, title, notes, title)
    return NEEDS + "\\par\\medskip\n".join(tabulars)


def escape(text: str) -> str:
    r"""Returns text that LaTeX shows as it is, on one line.

    >>> print(escape(r"\input{x} 5 % a_b"))
    \textbackslash{}input\{x\} 5 \% a\_b
    """
    line = "".join(ESCAPES.get(letter, letter) for letter in printable(text))
    # Two hyphens would join to a dash.
    return re.sub("-(?=-)", "-{}", line)


def _pages(table: Table) -> Iterator[list[int]]:
    """Yields the columns of each block, counted without that of the names."""
    names, lines = [table.stub], []
    for block in table.blocks:
        for label, line in (*block.detectors, *block.apart):
            names.append(short_name(block.title(label)))
            lines.append(line)
    widths = [_width(names)]
    for index, column in enumerate(table.columns):
        texts = [BETWEEN.join(one.text for one in line[index]) for line in lines]
        widths.append(_width([*head_lines(column), *texts]))
    room = math.inf if table.wide else PAGE
    for columns in blocks(widths, 1, room, 2 * SPACE):
        yield [index - 1 for index in columns[1:]]


def _width(texts: Iterable[str]) -> float:
    """Returns about how many points a column of texts is wide."""
    return LETTER * max(map(len, texts))


def _tabular(columns: str, head: str, body: str) -> str:
    return (
        f"\\begin{{tabular}}{{{columns}}}\n\\toprule\n"
        f"{head}\\midrule\n{body}\\bottomrule\n\\end{{tabular}}\n"
    )


def _floating(
    tabulars: Sequence[str],
    title: str,
    notes: Sequence[str],
    name: str,
    wide: bool = False,
) -> str:
    """Returns a floating table for each block of columns; the notes are in the last."""
    label = re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")
    kind = "table*" if wide else "table"
    floats = []
    for number, tabular in enumerate(tabulars, 1):
        place = f" Part {number} of {len(tabulars)}." if len(tabulars) > 1 else ""
        below = "".join(f"{_escape_note(note)}\\par\n" for note in notes)
        if number < len(tabulars):
            below = ""
        floats.append(
            f"\\begin{{{kind}}}\n\\centering\n\\small\n"
            f"\\setlength{{\\tabcolsep}}{{{SPACE}pt}}\n"
            f"\\caption{{{_escape_note(title)}{place}}}\n"
            f"\\label{{tab:{label}{f'-{number}' * (number > 1)}}}\n"
            f"\\smallskip\n{tabular}"
            "\\par\\medskip\n\\begin{minipage}{\\linewidth}\n\\footnotesize\n"
            f"{below}\\end{{minipage}}\n\\end{{{kind}}}\n"
        )
    return NEEDS + "\n".join(floats)


def _escape_name(text: str) -> str:
    return escape(short_name(text))


def _escape_note(text: str) -> str:
    return escape(short_note(text))


def _head(columns: Sequence[Column], stub: str) -> str:
    over, rules, first = [""], "", 2
    for name, labels in spans(columns):
        last = first + len(labels) - 1
        over.append(f"\\multicolumn{{{len(labels)}}}{{c}}{{{escape(name)}}}")
        rules += f"\\cmidrule(lr){{{first}-{last}}}"
        first = last + 1
    labels = [
        _stacked([one.role] if one.outside is None else head_lines(one))
        for one in columns
    ]
    return f"{_row(over)}{rules}\n{_row([escape(stub), *labels])}"


def _stacked(lines: Sequence[str]) -> str:
    text = "\\\\".join(map(escape, lines))
    return text if len(lines) == 1 else f"\\shortstack[r]{{{text}}}"


def _block(block: Block, columns: Sequence[int]) -> str:
    name = _escape_name(block.model)
    title = f"\\multicolumn{{{1 + len(columns)}}}{{l}}{{\\textit{{{name}}}}}"

    def lines(named: Iterable[tuple[str, list[Cell]]]) -> str:
        return "".join(
            _line(short_name(block.title(label)), [line[index] for index in columns])
            for label, line in named
        )

    apart = lines(block.apart)
    return "".join(
        [
            _row([title]),
            lines(block.detectors),
            "\\addlinespace\n" * bool(apart) + apart,
        ]
    )


def _line(label: str, cells: Sequence[Cell]) -> str:
    return _row([escape(label), *map(_numbers, cells)])


def _numbers(cell: Cell) -> str:
    texts = (
        f"\\textbf{{{escape(one.text)}}}" if one.best else escape(one.text)
        for one in cell
    )
    return BETWEEN.join(texts)


def _row(cells: Iterable[str]) -> str:
    return " & ".join(cells) + " \\\\\n"

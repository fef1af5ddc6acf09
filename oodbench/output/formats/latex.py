"""Writes tables as LaTeX, with the rules of the package booktabs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from oodbench.base.text import printable, short_name, short_note
from oodbench.output.layout import BETWEEN, Block, Cell, Span, Table, spans

NEEDS = "% \\usepackage{booktabs}\n"
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
    """Returns a floating table, the best in bold, controls last, its notes below."""
    groups = spans(table.columns)
    columns = 1 + len(table.columns)
    body = "\\midrule\n".join(_block(block, columns) for block in table.blocks)
    tabular = _tabular("l" + "r" * (columns - 1), _head(groups, table.stub), body)
    return _floating(tabular, table.title, table.notes)


def listing(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    title: str = "",
    notes: Sequence[str] = (),
) -> str:
    """Returns rows under a head; the first two columns are text.

    With a title or notes it is a floating table.
    """
    body = "".join(_row(map(_escape_name, row)) for row in rows)
    columns = "ll" + "r" * (len(head) - 2)
    tabular = _tabular(columns, _row(map(escape, head)), body)
    return _floating(tabular, title, notes) if title or notes else NEEDS + tabular


def escape(text: str) -> str:
    r"""Returns text that LaTeX shows as it is, on one line.

    >>> print(escape(r"\input{x} 5 % a_b"))
    \textbackslash{}input\{x\} 5 \% a\_b
    """
    line = "".join(ESCAPES.get(letter, letter) for letter in printable(text))
    # Two hyphens would join to a dash.
    return re.sub("-(?=-)", "-{}", line)


def _tabular(columns: str, head: str, body: str) -> str:
    return (
        f"\\begin{{tabular}}{{{columns}}}\n\\toprule\n"
        f"{head}\\midrule\n{body}\\bottomrule\n\\end{{tabular}}\n"
    )


def _floating(tabular: str, title: str, notes: Sequence[str]) -> str:
    below = "".join(f"{_escape_note(note)}\\par\n" for note in notes)
    return (
        f"{NEEDS}\\begin{{table}}\n\\centering\n\\caption{{{_escape_note(title)}}}\n"
        f"{tabular}\\par\\medskip\n\\begin{{minipage}}{{\\linewidth}}\n"
        f"\\footnotesize\n{below}\\end{{minipage}}\n\\end{{table}}\n"
    )


def _escape_name(text: str) -> str:
    return escape(short_name(text))


def _escape_note(text: str) -> str:
    return escape(short_note(text))


def _head(groups: Sequence[Span], stub: str) -> str:
    over, rules, first = [""], "", 2
    for name, labels in groups:
        last = first + len(labels) - 1
        over.append(f"\\multicolumn{{{len(labels)}}}{{c}}{{{escape(name)}}}")
        rules += f"\\cmidrule(lr){{{first}-{last}}}"
        first = last + 1
    labels = [escape(label) for group in groups for label in group.labels]
    return f"{_row(over)}{rules}\n{_row([escape(stub), *labels])}"


def _block(block: Block, columns: int) -> str:
    title = (
        f"\\multicolumn{{{columns}}}{{l}}{{\\textit{{{_escape_name(block.model)}}}}}"
    )
    controls = "".join(
        _line(f"{short_name(label)} (control)", line) for label, line in block.controls
    )
    return "".join(
        [
            _row([title]),
            *(_line(short_name(label), line) for label, line in block.detectors),
            "\\addlinespace\n" * bool(controls) + controls,
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

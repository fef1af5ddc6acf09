"""Writes tables as LaTeX, with the rules of the package booktabs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from oodbench.base.text import printable, short_name, short_note
from oodbench.output.formats.head import Span, spans
from oodbench.output.tables import Block, Field, Table

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
    "−": "$-$",
    "±": "$\\pm$",
    "×": "$\\times$",
    "–": "\\textendash{}",
    "…": "\\dots{}",
}


def table(table: Table) -> str:
    """Returns a floating table, best in bold, controls apart, its notes below."""
    groups = spans(table.columns)
    columns = 1 + len(table.columns)
    body = "\\midrule\n".join(_block(block, columns) for block in table.blocks)
    notes = "".join(f"{_escape_note(note)}\\par\n" for note in table.notes)
    return (
        f"{NEEDS}\\begin{{table}}\n\\centering\n\\caption{{{_escape_note(table.title)}}}\n"
        f"\\begin{{tabular}}{{l{'r' * (columns - 1)}}}\n\\toprule\n"
        f"{_head(groups)}\\midrule\n{body}\\bottomrule\n\\end{{tabular}}\n"
        f"\\par\\medskip\n\\begin{{minipage}}{{\\linewidth}}\n\\footnotesize\n{notes}"
        "\\end{minipage}\n\\end{table}\n"
    )


def listing(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns rows under a head; the first two columns are text."""
    body = "".join(_row(map(_escape_name, row)) for row in rows)
    return (
        f"{NEEDS}\\begin{{tabular}}{{ll{'r' * (len(head) - 2)}}}\n\\toprule\n"
        f"{_row(map(escape, head))}\\midrule\n{body}\\bottomrule\n\\end{{tabular}}\n"
    )


def escape(text: str) -> str:
    r"""Returns text that LaTeX shows as it is, on one line.

    >>> print(escape(r"\input{x} 5 % a_b"))
    \textbackslash{}input\{x\} 5 \% a\_b
    """
    line = "".join(ESCAPES.get(letter, letter) for letter in printable(text))
    # Two hyphens would join to a dash.
    return re.sub("-(?=-)", "-{}", line)


def _escape_name(text: str) -> str:
    return escape(short_name(text))


def _escape_note(text: str) -> str:
    return escape(short_note(text))


def _head(groups: Sequence[Span]) -> str:
    over, rules, first = [""], "", 2
    for name, labels in groups:
        last = first + len(labels) - 1
        over.append(f"\\multicolumn{{{len(labels)}}}{{c}}{{{escape(name)}}}")
        rules += f"\\cmidrule(lr){{{first}-{last}}}"
        first = last + 1
    labels = [escape(label) for group in groups for label in group.labels]
    return f"{_row(over)}{rules}\n{_row(['detector', *labels])}"


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


def _line(label: str, fields: Sequence[Field]) -> str:
    texts = [
        f"\\textbf{{{escape(one.text)}}}" if one.best else escape(one.text)
        for one in fields
    ]
    return _row([escape(label), *texts])


def _row(cells: Iterable[str]) -> str:
    return " & ".join(cells) + " \\\\\n"

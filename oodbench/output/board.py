"""Writes the results of many people to one static page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from oodbench.base import tuning
from oodbench.base.files import write_atomically
from oodbench.base.text import printable
from oodbench.metrics.table import METRICS
from oodbench.output.formats.html import escape, listing
from oodbench.output.layout import MEAN_ROLES, ROLE_ORDER
from oodbench.output.numbers import percent
from oodbench.output.report.scrolling import scrolling
from oodbench.output.report.template import Chapter, filled
from oodbench.results.exchange import board as boards
from oodbench.results.exchange.validate import Finding
from oodbench.results.rows import Row

SHOWN = {"auroc": "AUROC", "fpr95": "FPR95"}


def board(folder: str | Path, to: str | Path | None = None) -> Path:
    """Writes the results of many people to one static HTML page.

    Every entry is checked as by `oodbench check results`; one with a fault is named and
    not shown. Sets of one name with different images have columns of their own.

    Args:
        folder: One folder of results or archive per entry.
        to: The file; None for `board.html` in the folder.

    Returns:
        The file.

    Raises:
        InputError: There is no entry, or the file cannot be written.
    """
    place = Path(folder) / "board.html" if to is None else Path(to)
    write_atomically(place, write(boards.read_board(folder)).encode())
    return place


def write(found: boards.Board) -> str:
    """Returns the page."""
    sections = [
        Chapter(f"b{number}", f"In-distribution: {one.inside}", _tables(one))
        for number, one in enumerate(found.chapters)
    ]
    about = {"Not shown": found.refused, "Remarks": found.remarks}
    tables = {title: _findings(each) for title, each in about.items()}
    sections.append(Chapter("about", "Entries", tables))
    shown, refused = len(found.remarks), len(found.refused)
    summary = f"{shown} entries shown, {refused} not shown. A click on a column's head "
    return filled("oodbench board", f"{summary}sorts a table.", sections)


def _tables(chapter: boards.Chapter) -> dict[str, str]:
    tables = {
        name: scrolling(_table(chapter.scored, metric), name)
        for metric, name in SHOWN.items()
    }
    if chapter.notes:
        items = "".join(f"<li>{escape(note)}</li>\n" for note in chapter.notes)
        tables["Not comparable"] = f"<ul>\n{items}</ul>\n"
    return tables


def _table(scored: Iterable[boards.Scored], metric: str) -> str:
    """Returns the table of one metric, the best mean over near and far sets first."""
    lines: dict[tuple[str, str, str], dict[str, Row]] = {}
    for one in scored:
        row = one.row
        name = (
            row.title,
            one.entry,
            row.model + " (imported)" * ("imported" in row.flags),
        )
        lines.setdefault(name, {})[row.outside] = row
    sets = {row.outside: row.role for line in lines.values() for row in line.values()}
    order = sorted(sets, key=lambda name: (ROLE_ORDER.index(sets[name]), name))
    means = {
        role: [name for name in order if sets[name] == role]
        for role in MEAN_ROLES
        if role in sets.values()
    }
    graded = [name for names in means.values() for name in names]

    def rank(line: Mapping[str, Row]) -> tuple[bool, bool, float]:
        mean = _mean(line, graded, metric)
        sign = -1 if METRICS[metric].higher_is_better else 1
        is_apart = any(row.apart for row in line.values())
        return is_apart, mean is None, sign * (mean or 0)

    rows = [
        [
            *name,
            *(_text(_mean(line, names, metric)) for names in means.values()),
            *(_cell(line.get(outside), metric) for outside in order),
        ]
        for name, line in sorted(lines.items(), key=lambda item: rank(item[1]))
    ]
    heads = [f"mean {role}" for role in means]
    heads += [f"{sets[name]}: {name}" for name in order]
    head = ["detector", "entry", "model", *heads]
    notes = tuning.notes(detector for detector, *_ in lines)
    return listing(head, rows, METRICS[metric].title, notes)


def _mean(line: Mapping[str, Row], sets: Sequence[str], metric: str) -> float | None:
    """Returns the mean over some sets; None where one has no number or is cut."""
    rows = [line.get(name) for name in sets]
    values = [
        row.values[metric] if row and row.values and "limit" not in row.flags else None
        for row in rows
    ]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def _cell(row: Row | None, metric: str) -> str:
    if row is None or not row.values:
        return "failed" if row else "–"
    flags = [flag for flag in ("limit", "overlap") if flag in row.flags]
    return " ".join([percent(row.values[metric]), *flags])


def _text(value: float | None) -> str:
    return "–" if value is None else percent(value)


def _findings(entries: Mapping[str, Sequence[Finding]]) -> str:
    rows = [
        [name, printable(one.place), printable(one.text)]
        for name, found in entries.items()
        for one in found
    ]
    if not rows:
        return "<p>None.</p>\n"
    return scrolling(listing(["entry", "where", "what"], rows), "Findings", "texts")

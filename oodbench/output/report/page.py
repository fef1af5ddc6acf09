"""Writes all stored results to one self-contained HTML page."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from string import Template
from typing import NamedTuple

from oodbench.base.files import write_atomically
from oodbench.base.text import short_name
from oodbench.output.formats import html
from oodbench.output.formats.html import escape
from oodbench.output.layout import by_inside, layout_fitness, layouts
from oodbench.output.plots.draw import figures
from oodbench.output.plots.sheet import ACCEPTED
from oodbench.output.report import provenance
from oodbench.output.report.figures import inline_svg
from oodbench.output.report.gallery import SHOWN, Gallery
from oodbench.output.report.scrolling import scrolling
from oodbench.results.fitness import lack
from oodbench.results.groups import every_record
from oodbench.results.opened import Source, folder_of, open_results
from oodbench.results.rows import Measured

METRICS = {"auroc": "AUROC", "fpr95": "FPR95"}
FIGURES = {"heatmap": "Heat map", "histograms": "Histograms", "roc": "ROC curves"}
GALLERY = (
    f"For each detector: the {SHOWN} in-distribution images with the lowest scores and "
    f"the {SHOWN} images of every other set with the highest scores, the worst first. "
    "Below each image: its place in the set, from 0, and its score. An image is "
    "accepted if it scores no less than the threshold that accepts "
    f"{100 * ACCEPTED:.0f} % of the in-distribution images."
)


class Report(NamedTuple):
    """A page, and the sets whose images it could not show."""

    html: str
    left_out: dict[str, str]
    """Sets without a gallery, each with the reason."""


def report(
    results: Source,
    to: str | Path | None = None,
    *,
    gallery: bool = True,
    tell: Callable[[str], object] = lambda _: None,
) -> Path:
    """Writes all stored results to one self-contained HTML page.

    Args:
        results: The folder, or what `run` returned.
        to: The file; None for `report.html` next to the results.
        gallery: Whether to open the sets again and show images.
        tell: Called with a sentence for each set whose images are left out.

    Returns:
        The file.

    Raises:
        InputError: There are no finished results, or the file cannot be written.
    """
    place = folder_of(results).parent / "report.html" if to is None else Path(to)
    written = write(open_results(results).measured, gallery=gallery)
    write_atomically(place, written.html.encode())
    for name, reason in written.left_out.items():
        tell(f"No images of {name}: {reason}")
    return place


def write(measured: Sequence[Measured], *, gallery: bool = True) -> Report:
    """Returns a page about some models and sets.

    Args:
        measured: At least one, those of one in-set together.
        gallery: Whether to open the sets again and show images.
    """
    pictures = Gallery() if gallery else None
    chapters = [
        _chapter(f"s{number}", members, pictures)
        for number, members in enumerate(by_inside(measured))
    ]
    page = filled("oodbench report", _summary(measured), chapters)
    return Report(page, pictures.left_out if pictures else {})


class Chapter(NamedTuple):
    """A part of a page, such as everything about one in-set and its models."""

    anchor: str
    title: str
    sections: dict[str, str]
    """HTML by titles."""


def filled(title: str, summary: str, chapters: Sequence[Chapter]) -> str:
    """Returns a page whose tables sort, and which needs nothing else."""
    script = _resource("report.js")
    digest = hashlib.sha256(script.encode()).digest()
    return Template(_resource("report.html")).substitute(
        hash=base64.b64encode(digest).decode(),
        script=script,
        style=_resource("report.css"),
        title=escape(title),
        summary=escape(summary),
        contents="".join(map(_contents, chapters)),
        chapters="".join(map(_body, chapters)),
    )


def _chapter(
    anchor: str, measured: Sequence[Measured], gallery: Gallery | None
) -> Chapter:
    sections = {"Accuracy and calibration": _accuracy(measured)}
    tables = layouts(measured, list(METRICS), intervals=True)
    for name, table in zip(METRICS.values(), tables, strict=False):  # none: all failed
        sections[name] = scrolling(html.table(table), name)
    for number, one in enumerate(measured):
        model = short_name(one.group.model)
        sections[f"Figures of {model}"] = _figures(one, f"{anchor}-f{number}")
        if gallery is not None:
            about = f"<p>{escape(GALLERY)}</p>\n"
            sections[f"Images of {model}"] = about + gallery.write(one)
    sections["Provenance"] = provenance.write([one.group for one in measured])
    name = short_name(measured[0].group.inside.name)
    return Chapter(anchor, f"In-distribution: {name}", sections)


def _accuracy(measured: Sequence[Measured]) -> str:
    found = [one.fitness for one in measured if one.fitness is not None]
    if not found:
        why = {f"{one.group.model}: {lack(one.group)}." for one in measured}
        return f"<p>No accuracies. {escape(' '.join(sorted(why)))}</p>\n"
    return scrolling(html.listing(*layout_fitness(found)), "Accuracy and calibration")


def _figures(measured: Measured, anchor: str) -> str:
    drawn = figures(measured)
    written = []
    for kind, name in FIGURES.items():
        if kind in drawn:
            label = f"{name} of {short_name(measured.group.model)}"
            svg = inline_svg(drawn[kind], f"{anchor}-{kind}", label)
            written.append(f"<h4>{name}</h4>\n{scrolling(svg, label, 'figure')}")
    return "".join(written)


def _contents(chapter: Chapter) -> str:
    items = "".join(
        f'<li><a href="#{chapter.anchor}-{number}">{escape(title)}</a></li>\n'
        for number, title in enumerate(chapter.sections)
    )
    return f"<p>{escape(chapter.title)}</p>\n<ul>\n{items}</ul>\n"


def _body(chapter: Chapter) -> str:
    sections = "".join(
        f'<section id="{chapter.anchor}-{number}">\n<h3>{escape(title)}</h3>\n'
        f"{content}</section>\n"
        for number, (title, content) in enumerate(chapter.sections.items())
    )
    return f"<h2>{escape(chapter.title)}</h2>\n{sections}"


def _summary(measured: Sequence[Measured]) -> str:
    groups = [one.group for one in measured]
    models = {group.inside.record["model"]["key"] for group in groups}
    sets = {record["set"]["key"] for record in every_record(groups)}
    detectors = {label for group in groups for label in group.inside.cells}
    last = max(group.inside.record["run"]["finished"] for group in groups)[:10]
    counts = {"model": models, "set": sets, "detector": detectors}
    found = ", ".join(
        f"{len(what)} {noun}{'s' * (len(what) != 1)}" for noun, what in counts.items()
    )
    return f"{found}; scored by {last}. A click on a column's head sorts a table."


def _resource(name: str) -> str:
    return resources.files("oodbench.output.report").joinpath(name).read_text("utf-8")

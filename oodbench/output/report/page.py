"""Puts tables, figures, galleries and provenance together in one page."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib import resources
from itertools import groupby
from string import Template
from typing import NamedTuple

from oodbench.base.text import short_name
from oodbench.output.formats import html
from oodbench.output.formats.html import escape
from oodbench.output.plots.scores import figures
from oodbench.output.report import provenance
from oodbench.output.report.figures import inline_svg
from oodbench.output.report.gallery import ACCEPTED, SHOWN, Gallery
from oodbench.output.report.scrolling import scrolling
from oodbench.output.tables import Metric, layout_fitness, layouts
from oodbench.results.rows import Group, fitness

METRICS: dict[Metric, str] = {"auroc": "AUROC", "fpr95": "FPR95"}
FIGURES = {"heatmap": "Heat map", "histograms": "Histograms", "roc": "ROC curves"}
GALLERY = (
    f"For each detector the {SHOWN} in-distribution images with the lowest scores and "
    f"the {SHOWN} images of every other set with the highest, the worst first, each "
    "with its place in the set, from 0, and its score. Accepted images score no less "
    f"than the threshold that accepts {100 * ACCEPTED:.0f} % of the in-distribution "
    "images."
)


class Report(NamedTuple):
    """A page, and what it could not show."""

    html: str
    left_out: dict[str, str]
    """Sets without a gallery, each with the reason."""


def write(groups: Sequence[Group], *, gallery: bool = True) -> Report:
    """Writes a page about some models and sets.

    Args:
        groups: At least one, those of one in-set together.
        gallery: Whether to open the sets again and show images.
    """
    pictures = Gallery() if gallery else None
    chapters = [
        _chapter(f"s{number}", list(members), pictures)
        for number, (_, members) in enumerate(
            groupby(groups, key=lambda group: group.inside["set"]["key"])
        )
    ]
    script = _resource("report.js")
    digest = hashlib.sha256(script.encode()).digest()
    page = Template(_resource("report.html")).substitute(
        hash=base64.b64encode(digest).decode(),
        script=script,
        style=_resource("report.css"),
        title="oodbench report",
        summary=escape(_summary(groups)),
        contents="".join(map(_contents, chapters)),
        chapters="".join(map(_body, chapters)),
    )
    return Report(page, pictures.left_out if pictures else {})


class _Chapter(NamedTuple):
    """All about the models beside one in-set."""

    anchor: str
    title: str
    sections: dict[str, str]
    """HTML by titles."""


def _chapter(anchor: str, groups: Sequence[Group], gallery: Gallery | None) -> _Chapter:
    sections = {"Accuracy and calibration": _accuracy(groups)}
    tables = layouts(groups, list(METRICS), intervals=True)
    for name, table in zip(METRICS.values(), tables, strict=False):  # none: all failed
        sections[name] = scrolling(html.table(table), name)
    for number, group in enumerate(groups):
        model = short_name(group.model)
        sections[f"Figures of {model}"] = _figures(group, f"{anchor}-f{number}")
        if gallery is not None:
            about = f"<p>{escape(GALLERY)}</p>\n"
            sections[f"Images of {model}"] = about + gallery.write(group)
    sections["Provenance"] = provenance.write(groups)
    name = short_name(groups[0].inside["set"]["name"])
    return _Chapter(anchor, f"In-distribution: {name}", sections)


def _accuracy(groups: Sequence[Group]) -> str:
    found = [one for group in groups if (one := fitness(group))]
    if not found:
        return "<p>The in-distribution set has no labels.</p>\n"
    return scrolling(html.listing(*layout_fitness(found)), "Accuracy and calibration")


def _figures(group: Group, anchor: str) -> str:
    drawn = figures(group)
    written = []
    for kind, name in FIGURES.items():
        if kind in drawn:
            label = f"{name} of {short_name(group.model)}"
            svg = inline_svg(drawn[kind], f"{anchor}-{kind}", label)
            written.append(f"<h4>{name}</h4>\n{scrolling(svg, label, 'figure')}")
    return "".join(written)


def _contents(chapter: _Chapter) -> str:
    items = "".join(
        f'<li><a href="#{chapter.anchor}-{number}">{escape(title)}</a></li>\n'
        for number, title in enumerate(chapter.sections)
    )
    return f"<p>{escape(chapter.title)}</p>\n<ul>\n{items}</ul>\n"


def _body(chapter: _Chapter) -> str:
    sections = "".join(
        f'<section id="{chapter.anchor}-{number}">\n<h3>{escape(title)}</h3>\n'
        f"{content}</section>\n"
        for number, (title, content) in enumerate(chapter.sections.items())
    )
    return f"<h2>{escape(chapter.title)}</h2>\n{sections}"


def _summary(groups: Sequence[Group]) -> str:
    models = {group.inside["model"]["key"] for group in groups}
    sets = {
        record["set"]["key"]
        for group in groups
        for record in [group.inside, *(record for record, _ in group.outside)]
    }
    detectors = {label for group in groups for label in group.cells}
    last = max(group.inside["run"]["finished"] for group in groups)[:10]
    counts = {"model": models, "set": sets, "detector": detectors}
    found = ", ".join(
        f"{len(what)} {noun}{'s' * (len(what) != 1)}" for noun, what in counts.items()
    )
    return f"{found}; scored by {last}. A click on a column's head sorts a table."


def _resource(name: str) -> str:
    return resources.files("oodbench.output.report").joinpath(name).read_text("utf-8")

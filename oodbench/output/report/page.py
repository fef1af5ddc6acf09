"""Writes all stored results to HTML pages that need no network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from oodbench.base.defaults import RESULTS
from oodbench.base.errors import InputError
from oodbench.base.files import write_atomically
from oodbench.base.text import short_name
from oodbench.output.classification import layout_fitness
from oodbench.output.formats import html
from oodbench.output.formats.html import escape
from oodbench.output.layout import Column, by_inside, layouts
from oodbench.output.report import density, provenance
from oodbench.output.report.browse import Browser, views
from oodbench.output.report.figures import Figures, inline_svg
from oodbench.output.report.gallery import Gallery
from oodbench.output.report.near import Finders, FindersOf
from oodbench.output.report.scrolling import scrolling
from oodbench.output.report.template import Chapter, filled
from oodbench.output.tables import SHIFTED
from oodbench.results import densities
from oodbench.results.densities import Densities
from oodbench.results.fitness import lack
from oodbench.results.groups import every_record
from oodbench.results.opened import Source, folder_of, open_results
from oodbench.results.rows import Measured

Shown = Literal["none", "worst", "all"]
"""Which images a report shows."""
LARGEST = 50_000_000
"""Bytes of one file with all images."""
METRICS = {"auroc": "AUROC", "fpr95": "FPR95"}
FIGURES = {
    "heatmap": "Heat map",
    "histograms": "Histograms",
    "roc": "ROC curves",
    "reliability": "Reliability",
    "costs": "Costs",
    "shift": "Graded shift",
}


class Report(NamedTuple):
    """A page, and what it could not show."""

    html: str
    left_out: dict[str, str]
    """Sets without a gallery, each with the reason."""
    notes: list[str]
    """Sentences about what else is not shown."""


def report(
    results: Source = RESULTS,
    to: str | Path | None = None,
    *,
    images: Shown = "worst",
    neighbours: FindersOf | None = None,
    tell: Callable[[str], object] = lambda _: None,
) -> Path:
    """Writes all stored results to HTML pages that need no network.

    Args:
        results: The folder, its archive, or what `run` or `select` returned.
        to: The file; None for `report.html` next to the results. With all images, a
            folder, None for `report` next to the results; or a file that ends in .html,
            which may have at most 50 MB.
        images: Which images to show: none, those that detectors get most wrong, or all,
            behind every number.
        neighbours: An `oodbench.Neighbours`, for the training images that are nearest
            to each of these images; None for none.
        tell: Called with a sentence for each set whose images are left out, and for
            what else is.

    Returns:
        The file; of a folder its `index.html`.

    Raises:
        InputError: There are no finished results, or the file cannot be written, or
            neighbours are for no images.
    """
    if images == "none" and neighbours is not None:
        raise InputError("Neighbours need images; let the report show worst or all.")
    name = "report" if images == "all" else "report.html"
    place = folder_of(results).parent / name if to is None else Path(to)
    folder = place if images == "all" and place.suffix != ".html" else None
    file = place / "index.html" if folder else place
    measured = open_results(results).measured
    beside = folder_of(results).parent
    written = write(
        measured,
        images=images,
        folder=folder,
        neighbours=neighbours,
        known=densities.read(beside),
        plots=beside / "plots",
    )
    content = written.html.encode()
    if images == "all" and len(content) > LARGEST:
        raise InputError(
            f"The report would have {len(content) / 1e6:.0f} MB, too many for a "
            "browser; name a folder with --to instead of a file."
        )
    write_atomically(file, content)
    for name, reason in written.left_out.items():
        tell(f"No images of {name}: {reason}")
    for sentence in written.notes:
        tell(sentence)
    return file


def write(
    measured: Sequence[Measured],
    *,
    images: Shown = "worst",
    folder: Path | None = None,
    neighbours: FindersOf | None = None,
    known: Densities = densities.NOTHING,
    plots: Path | None = None,
) -> Report:
    """Returns a page about some models and sets.

    Args:
        measured: At least one, those of one in-distribution set together.
        images: Which images to show.
        folder: With all images, the folder of the page, where a page for each set is
            written; None for everything in one page.
        neighbours: Opens what finds the neighbours of a model's images.
        known: What is stored of the p(x) of models.
        plots: The folder of pictures; those that are up to date are not drawn again.
    """
    shows: dict[Shown, Gallery | Browser | None] = {
        "none": None,
        "worst": Gallery(),
        "all": Browser(folder),
    }
    pictures, finders, drawn = shows[images], Finders(neighbours), Figures(plots)
    chapters = [
        _chapter(f"s{number}", members, pictures, finders, known, drawn)
        for number, members in enumerate(by_inside(measured))
    ]
    scripts = ["browse.js"] if images == "all" and folder is None else []
    page = filled("oodbench report", _summary(measured), chapters, scripts)
    left_out = pictures.left_out if pictures else {}
    return Report(page, left_out, [*finders.failed, *known.notes])


def _chapter(
    anchor: str,
    measured: Sequence[Measured],
    pictures: Gallery | Browser | None,
    finders: Finders,
    known: Densities,
    drawn: Figures,
) -> Chapter:
    sections = {"Accuracy and calibration": _accuracy(measured)}
    found = {
        one.group.model: views(f"{anchor}-{number}", one.group)
        for number, one in enumerate(measured)
    }

    def link(model: str, detector: str, column: Column) -> str:
        if isinstance(pictures, Browser):
            for view in found[model]:
                if view.one.name == column.outside and detector in view.one.cells:
                    return pictures.link(view, detector)
        return ""

    tables = layouts(measured, list(METRICS), intervals=True)
    for name, table in zip(METRICS.values(), tables, strict=False):  # none: all failed
        sections[name] = scrolling(html.table(table, link), name)
    if (ranks := drawn.of_ranks(measured)) is not None:
        svg = inline_svg(ranks, f"{anchor}-ranks", "Ranks of detectors")
        sections["Ranks"] = scrolling(svg, "Ranks of detectors", "figure")
    for number, one in enumerate(measured):
        model = short_name(one.group.model)
        sections[f"Figures of {model}"] = _figures(
            drawn.of_model(one), model, f"{anchor}-f{number}"
        )
        if written := density.write(known, one.group, f"{anchor}-d{number}"):
            sections[f"Chains and log Z of {model}"] = written
        if pictures is not None:
            find, reason = finders.open(one.group)
            sections[f"Images of {model}"] = reason + (
                pictures.write(one, find)
                if isinstance(pictures, Gallery)
                else pictures.write(found[one.group.model], find)
            )
    sections["Provenance"] = provenance.write([one.group for one in measured])
    name = short_name(measured[0].group.inside.name)
    return Chapter(anchor, f"In-distribution: {name}", sections)


def _accuracy(measured: Sequence[Measured]) -> str:
    found = [one.fitness for one in measured if one.fitness is not None]
    if not found:
        why = {f"{one.group.model}: {lack(one.group)}." for one in measured}
        return f"<p>No accuracies. {escape(' '.join(sorted(why)))}</p>\n"
    written = scrolling(
        html.listing(*layout_fitness(found)), "Accuracy and calibration"
    )
    if shifted := [each for one in measured for each in one.shifted.values()]:
        listing = html.listing(*layout_fitness(shifted, kind="set"), SHIFTED)
        written += scrolling(listing, SHIFTED)
    return written


def _figures(drawn: Mapping[str, bytes], model: str, anchor: str) -> str:
    written = []
    for kind, name in FIGURES.items():
        if kind in drawn:
            label = f"{name} of {model}"
            svg = inline_svg(drawn[kind], f"{anchor}-{kind}", label)
            written.append(f"<h4>{name}</h4>\n{scrolling(svg, label, 'figure')}")
    return "".join(written)


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

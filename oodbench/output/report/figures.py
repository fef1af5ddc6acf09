"""Puts figures into a page as SVG, without a clash of their ids.

Figures that a run has drawn already are read from their files, without matplotlib.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from oodbench.output.formats.html import escape
from oodbench.output.plots.drawn import Drawn, drawing_key
from oodbench.results.rows import Measured

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SCALE = 1.5
"""Pixels of the page per point of the figure."""
REFERENCE = re.compile(r"(?:^|url\()#([^)]+)")
"""Finds the ids that an attribute names."""
UNSEEN = ("metadata", "style", "script", "foreignObject")
"""Elements that are left out: their content would affect all figures of the page."""


class Figures:
    """The figures of stored results as SVG files.

    Args:
        folder: Of the pictures; those in it that are up to date are not drawn again.
            None draws all.
    """

    def __init__(self, folder: Path | None) -> None:
        self._drawn = None if folder is None else Drawn(folder)

    def of_model(self, measured: Measured) -> dict[str, bytes]:
        """Returns the figures of a model and in-distribution set, by their kind."""
        kept = self._kept("model", [measured])
        if kept is not None:
            return {path.name.partition("-")[0]: path.read_bytes() for path in kept}
        from oodbench.output.plots.draw import figures

        return {kind: svg_of(figure) for kind, figure in figures(measured).items()}

    def of_ranks(self, measured: Sequence[Measured]) -> bytes | None:
        """Returns the ranks of all detectors; None for one detector or pair of sets."""
        if kept := self._kept("ranks", measured):
            return kept[0].read_bytes()
        from oodbench.output.plots.draw import figure_of_ranks

        figure = figure_of_ranks(measured)
        return None if figure is None else svg_of(figure)

    def _kept(self, kind: str, measured: Sequence[Measured]) -> list[Path] | None:
        """Returns the SVG files that are up to date; None to draw them."""
        if self._drawn is None:
            return None
        kept = self._drawn.kept(drawing_key(kind, measured))
        return kept and [path for path in kept if path.suffix == ".svg"]


def svg_of(figure: Figure) -> bytes:
    """Returns a figure as an SVG file, that of a run."""
    from oodbench.output.plots.save import encoded

    return encoded(figure, "svg")


def inline_svg(svg: bytes, prefix: str, label: str) -> str:
    """Returns an SVG file as an `<svg>` element.

    Args:
        svg: The file.
        prefix: Begins every id; no other figure of the page may have it.
        label: Its description for screen readers.
    """
    root = ElementTree.fromstring(svg)
    width, height = (float(side) for side in root.get("viewBox", "").split()[2:])
    used = {
        name
        for element in root.iter()
        for value in element.attrib.values()
        for name in REFERENCE.findall(value)
    }
    for element in root.iter():
        _clean(element, prefix, used)
    root.attrib = {
        "viewBox": root.get("viewBox", ""),
        "width": f"{SCALE * width:.0f}",
        "height": f"{SCALE * height:.0f}",
        "role": "img",
    }
    text = ElementTree.tostring(root, encoding="us-ascii").decode("ascii")
    return text.replace("<svg", f'<svg aria-label="{escape(label)}"', 1)


def _clean(element: ElementTree.Element, prefix: str, used: set[str]) -> None:
    """Removes an element's name spaces, and gives its ids the prefix."""
    element.tag = _local(element.tag)
    if element.tag != "text":
        element.text = None
    element.tail = None
    attributes = {_local(name): value for name, value in element.attrib.items()}
    if attributes.get("id") not in used:
        attributes.pop("id", None)
    element.attrib = {
        name: _renamed(name, value, prefix)
        for name, value in attributes.items()
        if _is_still(name, value)
    }
    for child in list(element):
        if _local(child.tag) in UNSEEN:
            element.remove(child)


def _renamed(name: str, value: str, prefix: str) -> str:
    if name == "id":
        return f"{prefix}-{value}"
    if name == "href":
        return re.sub(r"^#", f"#{prefix}-", value)
    return value.replace("url(#", f"url(#{prefix}-")


def _is_still(name: str, value: str) -> bool:
    """Returns whether an attribute runs no code and leads nowhere else."""
    return not name.startswith("on") and (name != "href" or value.startswith("#"))


def _local(name: str) -> str:
    return name.rpartition("}")[2]

"""Puts figures into a page as SVG, without a clash of their ids."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from xml.etree import ElementTree

from matplotlib.figure import Figure

from oodbench.output.formats.html import escape
from oodbench.output.plots.sheet import style

SCALE = 1.5
"""Pixels of the page per point of the figure."""
UNSEEN = ("metadata", "style")
"""Elements that are left out: their content would affect all figures of the page."""


def inline_svg(figure: Figure, prefix: str, label: str) -> str:
    """Returns a figure as an `<svg>` element.

    Args:
        figure: What to draw.
        prefix: Begins every id; no other figure of the page may have it.
        label: Its description for screen readers.
    """
    buffer = io.BytesIO()
    with style():
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    root = ElementTree.fromstring(buffer.getvalue())
    width, height = (float(side) for side in root.get("viewBox", "").split()[2:])
    used = set(_references(root))
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
        name: _renamed(name, value, prefix) for name, value in attributes.items()
    }
    for child in list(element):
        if _local(child.tag) in UNSEEN:
            element.remove(child)


def _references(root: ElementTree.Element) -> Iterator[str]:
    for element in root.iter():
        for value in element.attrib.values():
            yield from re.findall(r"url\(#([^)]+)\)", value)
            yield from re.findall(r"^#(.+)", value)


def _renamed(name: str, value: str, prefix: str) -> str:
    if name == "id":
        return f"{prefix}-{value}"
    if name == "href":
        return re.sub(r"^#", f"#{prefix}-", value)
    return value.replace("url(#", f"url(#{prefix}-")


def _local(name: str) -> str:
    return name.rpartition("}")[2]

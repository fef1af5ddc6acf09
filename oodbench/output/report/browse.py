"""Shows every image of a set with its scores, sorted and filtered in the browser."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from oodbench.base.errors import InputError
from oodbench.base.files import Record, write_atomically
from oodbench.base.text import short_name
from oodbench.metrics.ranking import quantiles, threshold_at_tpr
from oodbench.output.formats.html import escape
from oodbench.output.plots.sheet import ACCEPTED
from oodbench.output.report.images import LARGEST, data_uri, png, reopen, small
from oodbench.output.report.near import legend, name_of
from oodbench.output.report.template import page
from oodbench.results.groups import Group, StoredSet

if TYPE_CHECKING:
    from oodbench.data.dataset import Images, Split
    from oodbench.data.near import FindNear

COLUMNS, ROWS = 20, 20
"""Images on one sheet."""
IMAGES = "images"
"""Folder of the pages and sheets beside the report."""


class View(NamedTuple):
    """One set as one model sees it."""

    anchor: str
    group: Group
    one: StoredSet

    @property
    def title(self) -> str:
        """Set, role and model."""
        role = self.one.record["set"]["role"]
        what = "in-distribution" if role == "in" else role
        return f"{short_name(self.one.name)} ({what}) by {short_name(self.group.model)}"


def views(anchor: str, group: Group) -> list[View]:
    """Returns the sets of a group, the in-distribution set first."""
    sets = [group.inside, *group.outside]
    return [View(f"{anchor}-i{number}", group, one) for number, one in enumerate(sets)]


@dataclass
class Browser:
    """Writes the images of sets; opens a set that several models scored once."""

    folder: Path | None
    """Folder of the report, for a page per set; None for all within one page."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Sets whose images cannot be shown, each with the reason."""
    _sheets: dict[str, Record] = field(default_factory=dict)
    """Sheets of small pictures by a set's key."""

    def link(self, view: View, detector: str) -> str:
        """Returns where in the report the images that a detector scored are."""
        place = f"{IMAGES}/{view.anchor}.html" if self.folder else ""
        return f"{place}#{view.anchor}={quote(detector, safe='')}"

    def write(self, found: Sequence[View], find: FindNear | None) -> str:
        """Returns the HTML of a group's sets for the report; writes their pages.

        Args:
            found: The sets.
            find: Finds the neighbours to show; None for none.
        """
        if self.folder is None:
            return "".join(self._within(view, find) for view in found)
        for view in found:
            inside = f"{found[0].anchor}.html"
            links = f'<p><a href="../index.html">Report</a> <a href="{inside}">'
            text = page(
                view.title,
                "Every image with its scores.",
                f"{links}In-distribution images</a></p>\n",
                self._viewer(view, find),
                ["browse.js"],
                "'self' file:",
            )
            place = self.folder / IMAGES / f"{view.anchor}.html"
            write_atomically(place, text.encode())
        items = "".join(
            f'<li><a href="{IMAGES}/{view.anchor}.html">{escape(view.title)}</a></li>\n'
            for view in found
        )
        return f"<ul>\n{items}</ul>\n"

    def _within(self, view: View, find: FindNear | None) -> str:
        title, viewer = escape(view.title), self._viewer(view, find)
        return f"<details>\n<summary>{title}</summary>\n{viewer}</details>\n"

    def _viewer(self, view: View, find: FindNear | None) -> str:
        """Returns the part of a page that shows one set."""
        sheet, near = self._pictures(view, find)
        data = {
            "name": short_name(view.one.name),
            "inside": view.one is view.group.inside,
            "images": view.one.record["set"]["images"],
            "sheet": sheet,
            "near": near,
            "classes": {
                name: _packed(view.one.arrays[name], "<i4")
                for name in ("labels", "predictions")
                if name in view.one.arrays
            },
            "detectors": list(_detectors(view)),
        }
        # No text of a JSON block may end it.
        text = json.dumps(data).replace("<", "\\u003c")
        return (
            f'<div class="viewer" id="{view.anchor}">\n'
            f'<script type="application/json">{text}</script>\n'
            "<noscript><p>These images need JavaScript.</p></noscript>\n</div>\n"
        )

    def _pictures(
        self, view: View, find: FindNear | None
    ) -> tuple[Record | None, Record | None]:
        """Returns a set's images and their neighbours; None where there are none."""
        key = view.one.record["set"]["key"]
        if find is None and key in self._sheets:
            return self._sheets[key], None
        try:
            split = reopen(view.one)
            if key not in self._sheets:
                self._sheets[key] = self._sheet(split.images, view.anchor)
            near = None if find is None else self._near(split, find, view.anchor)
        except InputError as error:
            self.left_out[view.one.name] = str(error)
            return None, None
        return self._sheets[key], near

    def _near(self, split: Split, find: FindNear, anchor: str) -> Record:
        """Returns the neighbours of a set's images, each picture stored once."""
        near = find(split)
        shown, tiles = np.unique(near.places, return_inverse=True)
        training = find.training.split.pick(shown)
        labels = training.labels
        return {
            "name": name_of(find.training),
            "legend": legend(find),
            "count": near.places.shape[1],
            "tiles": _packed(tiles, "<i4"),
            "distances": _packed(near.distances, "<f4"),
            "places": _packed(shown, "<i4"),
            "labels": None if labels is None else _packed(labels, "<i4"),
            "sheet": self._sheet(training.images, f"{anchor}-near"),
        }

    def _sheet(self, images: Images, name: str) -> Record:
        """Returns where the sheets of images are."""
        each = (images[place : place + 1][0] for place in range(len(images)))
        urls = [
            self._stored(f"{name}-{number}.png", png(sheet))
            for number, sheet in enumerate(sheets(each))
        ]
        return {"columns": COLUMNS, "rows": ROWS, "urls": urls}

    def _stored(self, name: str, content: bytes) -> str:
        if self.folder is None:
            return data_uri(content)
        write_atomically(self.folder / IMAGES / name, content)
        return name


def sheets(images: Iterable[NDArray[np.generic]]) -> Iterator[Image.Image]:
    """Yields pictures of 400 small images each, row by row, all of one size."""
    side, count, sheet = 0, 0, Image.new("RGB", (1, 1))
    for image in images:
        side = side or min(LARGEST, max(image.shape[:2]))
        if count == 0:
            sheet = Image.new("RGBA", (COLUMNS * side, ROWS * side))
        tile = small(image)
        tile.thumbnail((side, side))
        row, column = divmod(count, COLUMNS)
        left, top = (side - tile.width) // 2, (side - tile.height) // 2
        sheet.paste(tile, (column * side + left, row * side + top))
        count = (count + 1) % (COLUMNS * ROWS)
        if count == 0:
            yield sheet
    if count:
        yield sheet


def _detectors(view: View) -> Iterator[Record]:
    """Yields the scores of each detector, those of failed cells left out."""
    for label, cell in view.one.cells.items():
        inside = view.group.inside.cells[label].scores
        if len(cell.scores) and len(inside):
            threshold = threshold_at_tpr(inside, ACCEPTED)
            yield {
                "label": label,
                "control": cell.record["detector"]["control"],
                "scores": _packed(cell.scores, "<f4"),
                "quantiles": _packed(quantiles(inside, cell.scores), "<f4"),
                "threshold": float(quantiles(inside, [threshold])[0]),
            }


def _packed(values: NDArray[Any], kind: str) -> str:
    return base64.b64encode(values.astype(kind).tobytes()).decode()

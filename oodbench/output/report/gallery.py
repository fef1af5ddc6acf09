"""Shows the images that each detector gets most wrong."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from oodbench.base.errors import InputError
from oodbench.base.files import Record
from oodbench.base.text import printable, short_name
from oodbench.metrics import ranking
from oodbench.output.formats.html import escape
from oodbench.output.report.images import data_uri, reopen
from oodbench.output.tables import ROLE_ORDER
from oodbench.results.rows import Group, Scores, pairs
from oodbench.results.store import SetFile

SHOWN = 6
"""Images of a set that are shown for each detector."""
ACCEPTED = 0.95
"""Share of the in-distribution images that is accepted."""


class Picture(NamedTuple):
    """One image as one detector sees it."""

    place: int
    """From 0, among the images of its set."""
    score: float
    accepted: bool
    """Whether it scores no less than 95 % of the in-distribution images do."""


class Strip(NamedTuple):
    """The images of one set that one detector gets most wrong, the worst first."""

    detector: str
    control: bool
    pictures: list[Picture]


@dataclass
class Gallery:
    """Writes galleries; a set that several models saw is opened once."""

    left_out: dict[str, str] = field(default_factory=dict)
    """Sets that cannot be shown, each with the reason."""
    _opened: dict[str, dict[int, str]] = field(default_factory=dict)
    """Pictures as data URIs, by a set's key and their places."""

    def write(self, group: Group) -> str:
        """Returns the gallery of one model beside one in-set as HTML."""
        inside: dict[str, Strip] = {}
        walls = []
        for record, file in sorted(group.outside, key=_role):
            found = pairs(replace(group, outside=[(record, file)]))
            scored = [pair for pair in found if not pair.row.failure]
            for pair in scored:
                inside[pair.row.detector] = lowest_inside(pair)
            strips = [highest_outside(pair) for pair in scored]
            walls.append(self._wall(record, file, strips))
        own = self._wall(group.inside, group.images, inside.values())
        return "".join([own, *walls])

    def _wall(self, record: Record, file: SetFile, strips: Iterable[Strip]) -> str:
        ordered = sorted(strips, key=lambda strip: (strip.control, strip.detector))
        if not ordered:
            return ""
        name = record["set"]["name"]
        try:
            uris = self._open(record, file, ordered)
        except InputError as error:
            self.left_out[name] = str(error)
            reason = f"{short_name(name)} is left out: {printable(str(error))}"
            return f"<p>{escape(reason)}</p>\n"
        role = record["set"]["role"]
        if role == "in":
            what, right = "in-distribution, lowest", "accepted"
        else:
            what, right = f"{role}, highest", "rejected"
        body = "".join(_strip(strip, uris, name, right) for strip in ordered)
        return (
            f"<details>\n<summary>{escape(short_name(name))}: {what} scores</summary>\n"
            f"<dl>\n{body}</dl>\n</details>\n"
        )

    def _open(
        self, record: Record, file: SetFile, strips: Sequence[Strip]
    ) -> dict[int, str]:
        opened = self._opened.setdefault(record["set"]["key"], {})
        wanted = {one.place for strip in strips for one in strip.pictures}
        if missing := sorted(wanted - opened.keys()):
            images = reopen(record, file.arrays()["digests"], missing)
            opened |= {place: data_uri(image) for place, image in images.items()}
        return opened


def _role(stored: tuple[Record, SetFile]) -> int:
    return ROLE_ORDER.index(stored[0]["set"]["role"])


def lowest_inside(pair: Scores) -> Strip:
    """Returns the in-distribution images with the lowest scores."""
    return _chosen(pair, pair.inside, np.argsort(pair.inside, kind="stable"))


def highest_outside(pair: Scores) -> Strip:
    """Returns the OOD images with the highest scores."""
    return _chosen(pair, pair.outside, np.argsort(-pair.outside, kind="stable"))


def _chosen(
    pair: Scores, scores: NDArray[np.float64], order: NDArray[np.intp]
) -> Strip:
    threshold = ranking.threshold_at_tpr(pair.inside, ACCEPTED)
    pictures = [
        Picture(int(place), float(scores[place]), bool(scores[place] >= threshold))
        for place in order[:SHOWN]
    ]
    return Strip(pair.row.detector, pair.row.control, pictures)


def _strip(strip: Strip, uris: dict[int, str], name: str, right: str) -> str:
    title = short_name(strip.detector) + " (control)" * strip.control
    items = "".join(_item(one, uris[one.place], name, right) for one in strip.pictures)
    return f"<div><dt>{escape(title)}</dt>\n<dd><ul>\n{items}</ul></dd></div>\n"


def _item(one: Picture, uri: str, name: str, right: str) -> str:
    alt = escape(f"image {one.place} of {short_name(name)}")
    score = escape(f"{one.score:.3g}".replace("-", "−"))
    verdict = "accepted" if one.accepted else "rejected"
    wrong = ' class="wrong"' if verdict != right else ""
    return (
        f'<li><img src="{uri}" alt="{alt}"> <span>#{one.place}</span> '
        f"<span>{score}</span> <span{wrong}>{verdict}</span></li>\n"
    )

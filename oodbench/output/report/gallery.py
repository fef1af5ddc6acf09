"""Shows the images that each detector gets most wrong."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from oodbench.base.errors import InputError
from oodbench.base.text import printable, short_name
from oodbench.metrics import ranking
from oodbench.output.formats.html import escape
from oodbench.output.layout import ROLE_ORDER
from oodbench.output.numbers import minus
from oodbench.output.plots.sheet import ACCEPTED
from oodbench.output.report.images import data_uri, png, reopen, small
from oodbench.results.groups import StoredSet
from oodbench.results.rows import Measured, Scores, by_set

SHOWN = 6
"""Images of a set that are shown for each detector."""


class Picture(NamedTuple):
    """One image as one detector sees it."""

    place: int
    """From 0, among the images of its set."""
    score: float
    accepted: bool
    """Whether the threshold that accepts 95 % of the in-distribution set accepts it."""


class Strip(NamedTuple):
    """The images of one set that one detector gets most wrong, the worst first."""

    detector: str
    apart: bool
    pictures: list[Picture]


@dataclass
class Gallery:
    """Writes galleries; opens a set that several models scored once."""

    left_out: dict[str, str] = field(default_factory=dict)
    """Sets that cannot be shown, each with the reason."""
    _opened: dict[str, dict[int, str]] = field(default_factory=dict)
    """Pictures as data URIs, by a set's key and their places."""

    def write(self, measured: Measured) -> str:
        """Returns the gallery of one model and in-distribution set as HTML."""
        inside: dict[str, Strip] = {}
        walls = []
        scores = by_set(measured.scores)
        for one in sorted(measured.group.outside, key=_role):
            scored = [pair for pair in scores.get(one.name, []) if not pair.row.failure]
            for pair in scored:
                inside[pair.row.detector] = lowest_inside(pair)
            walls.append(self._wall(one, [highest_outside(pair) for pair in scored]))
        own = self._wall(measured.group.inside, inside.values())
        return "".join([own, *walls])

    def _wall(self, one: StoredSet, strips: Iterable[Strip]) -> str:
        ordered = sorted(strips, key=lambda strip: (strip.apart, strip.detector))
        if not ordered:
            return ""
        name = one.name
        try:
            uris = self._open(one, ordered)
        except InputError as error:
            self.left_out[name] = str(error)
            reason = f"{short_name(name)} is left out: {printable(str(error))}"
            return f"<p>{escape(reason)}</p>\n"
        role = one.record["set"]["role"]
        if role == "in":
            what, right = "in-distribution, lowest", "accepted"
        else:
            what, right = f"{role}, highest", "rejected"
        body = "".join(_strip(strip, uris, name, right) for strip in ordered)
        return (
            f"<details>\n<summary>{escape(short_name(name))}: {what} scores</summary>\n"
            f"<dl>\n{body}</dl>\n</details>\n"
        )

    def _open(self, one: StoredSet, strips: Sequence[Strip]) -> dict[int, str]:
        opened = self._opened.setdefault(one.record["set"]["key"], {})
        wanted = {picture.place for strip in strips for picture in strip.pictures}
        if "digests" not in one.arrays:
            raise InputError("what its images were is not stored")
        if missing := sorted(wanted - opened.keys()):
            images = reopen(one.record, one.arrays["digests"], missing)
            opened |= {place: data_uri(png(small(image))) for place, image in images}
        return opened


def _role(one: StoredSet) -> int:
    return ROLE_ORDER.index(one.record["set"]["role"])


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
    return Strip(pair.row.title, pair.row.apart, pictures)


def _strip(strip: Strip, uris: dict[int, str], name: str, right: str) -> str:
    title = short_name(strip.detector)
    items = "".join(_item(one, uris[one.place], name, right) for one in strip.pictures)
    return f"<div><dt>{escape(title)}</dt>\n<dd><ul>\n{items}</ul></dd></div>\n"


def _item(one: Picture, uri: str, name: str, right: str) -> str:
    alt = escape(f"image {one.place} of {short_name(name)}")
    score = escape(minus(f"{one.score:.3g}"))
    verdict = "accepted" if one.accepted else "rejected"
    wrong = ' class="wrong"' if verdict != right else ""
    return (
        f'<li><img src="{uri}" alt="{alt}"> <span>#{one.place}</span> '
        f"<span>{score}</span> <span{wrong}>{verdict}</span></li>\n"
    )

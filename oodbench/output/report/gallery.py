"""Shows the images that each detector gets most wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from oodbench.base.errors import InputError
from oodbench.base.text import printable, short_name
from oodbench.metrics import ranking
from oodbench.output.formats.html import escape
from oodbench.output.layout import ROLE_ORDER
from oodbench.output.numbers import minus
from oodbench.output.plots.sheet import ACCEPTED
from oodbench.output.report.images import data_uri, picture_of, png, reopen
from oodbench.output.report.near import legend, listing
from oodbench.results.groups import StoredSet
from oodbench.results.rows import Measured, Scores, by_set

if TYPE_CHECKING:
    from oodbench.data.dataset import Split
    from oodbench.data.near import FindNear

SHOWN = 6
"""Images of a set that are shown for each detector."""
ABOUT = (
    f"For each detector: the {SHOWN} in-distribution images with the lowest scores and "
    f"the {SHOWN} images of every other set with the highest scores, the worst first. "
    "Below each image: its place in the set, from 0, and its score. An image is "
    "accepted if it scores no less than the threshold that accepts "
    f"{100 * ACCEPTED:.0f} % of the in-distribution images."
)


class Picture(NamedTuple):
    """One image as one detector sees it."""

    place: int
    """From 0, among the images of its set."""
    score: float
    accepted: bool
    """Whether the threshold that accepts 95 % of the in-distribution set accepts it."""


class Shown(NamedTuple):
    """What is shown of one image."""

    uri: str
    """The address of its picture."""
    near: str
    """Its neighbours as HTML."""


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

    def write(self, measured: Measured, find: FindNear | None) -> str:
        """Returns the gallery of one model and in-distribution set as HTML.

        Args:
            measured: Their scores.
            find: Finds the neighbours to show; None for none.
        """
        inside: dict[str, Strip] = {}
        walls = []
        scores = by_set(measured.scores)
        for one in sorted(measured.group.outside, key=_role):
            scored = [pair for pair in scores.get(one.name, []) if not pair.row.failure]
            for pair in scored:
                inside[pair.row.detector] = lowest_inside(pair)
            strips = [highest_outside(pair) for pair in scored]
            walls.append(self._wall(one, strips, find))
        own = self._wall(measured.group.inside, inside.values(), find)
        about = ABOUT if find is None else f"{ABOUT} {legend(find)}"
        return "".join([f"<p>{escape(about)}</p>\n", own, *walls])

    def _wall(
        self, one: StoredSet, strips: Iterable[Strip], find: FindNear | None
    ) -> str:
        ordered = sorted(strips, key=lambda strip: (strip.apart, strip.detector))
        if not ordered:
            return ""
        name = one.name
        try:
            shown = self._open(one, ordered, find)
        except InputError as error:
            self.left_out[name] = str(error)
            reason = f"{short_name(name)} is left out: {printable(str(error))}"
            return f"<p>{escape(reason)}</p>\n"
        role = one.record["set"]["role"]
        if role == "in":
            what, right = "in-distribution, lowest", "accepted"
        else:
            what, right = f"{role}, highest", "rejected"
        body = "".join(_strip(strip, shown, name, right) for strip in ordered)
        return (
            f"<details>\n<summary>{escape(short_name(name))}: {what} scores</summary>\n"
            f"<dl>\n{body}</dl>\n</details>\n"
        )

    def _open(
        self, one: StoredSet, strips: Sequence[Strip], find: FindNear | None
    ) -> dict[int, Shown]:
        split = cache(partial(reopen, one))
        wanted = sorted({each.place for strip in strips for each in strip.pictures})
        uri_of = self._pictures(split, one.record["set"]["key"])
        if find is None:
            return {place: Shown(uri_of(place), "") for place in wanted}
        near = find(split().pick(np.array(wanted)))
        training = find.training
        uri_of_near = self._pictures(lambda: training.split, training.key)
        return {
            place: Shown(uri_of(place), listing(near, row, training, uri_of_near))
            for row, place in enumerate(wanted)
        }

    def _pictures(self, split: Callable[[], Split], key: str) -> Callable[[int], str]:
        """Returns what gives the picture of an image; each is drawn once."""
        opened = self._opened.setdefault(key, {})

        def uri_of(place: int) -> str:
            if place not in opened:
                opened[place] = data_uri(png(picture_of(split(), place)))
            return opened[place]

        return uri_of


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


def _strip(strip: Strip, shown: dict[int, Shown], name: str, right: str) -> str:
    title = short_name(strip.detector)
    items = "".join(_item(one, shown[one.place], name, right) for one in strip.pictures)
    return f"<div><dt>{escape(title)}</dt>\n<dd><ul>\n{items}</ul></dd></div>\n"


def _item(one: Picture, shown: Shown, name: str, right: str) -> str:
    alt = escape(f"image {one.place} of {short_name(name)}")
    score = escape(minus(f"{one.score:.3g}"))
    verdict = "accepted" if one.accepted else "rejected"
    wrong = ' class="wrong"' if verdict != right else ""
    return (
        f'<li><img src="{shown.uri}" alt="{alt}"> <span>#{one.place}</span> '
        f"<span>{score}</span> <span{wrong}>{verdict}</span>{shown.near}</li>\n"
    )

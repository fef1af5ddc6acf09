"""Shows the training images that are nearest to the images of a report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from oodbench.base.errors import InputError
from oodbench.base.text import printable, short_name
from oodbench.output.formats.html import escape
from oodbench.results.groups import Group

if TYPE_CHECKING:
    from oodbench.data.image_set import ImageSet
    from oodbench.data.near import FindNear, Near

FindersOf = Callable[[Group], "FindNear"]
"""Opens what finds the neighbours of a model's images; `oodbench.Neighbours` does."""


@dataclass
class Finders:
    """Opens what finds neighbours, and says where that is impossible."""

    of: FindersOf | None
    """None for no neighbours."""
    failed: dict[str, None] = field(default_factory=dict)
    """Sentences about models without neighbours, each once."""

    def open(self, group: Group) -> tuple[FindNear | None, str]:
        """Returns what finds the neighbours of a model's images, or why nothing does.

        The reason is HTML, and empty if no neighbours are wanted.
        """
        try:
            return (None if self.of is None else self.of(group)), ""
        except InputError as error:
            sentence = printable(f"No neighbours by {group.model}: {error}")
        self.failed[sentence] = None
        return None, f"<p>{escape(sentence)}</p>\n"


def name_of(training: ImageSet) -> str:
    """Returns the name of training images and of their split."""
    return f"{short_name(training.dataset.name)} ({training.stage})"


def legend(find: FindNear) -> str:
    """Returns what is shown below an image, as text."""
    return (
        f"Below that: the nearest of the {find.training.count:,} images of "
        f"{name_of(find.training)} that detectors were fitted on, with class and "
        "distance. Distances are Euclidean, of the network's features scaled to "
        "length 1."
    )


def listing(
    near: Near, row: int, training: ImageSet, uri_of: Callable[[int], str]
) -> str:
    """Returns the neighbours of one image as HTML.

    Args:
        near: The neighbours of several images.
        row: Which image.
        training: The images that the neighbours are among.
        uri_of: Gives the address of the picture of one of these.
    """
    name, labels = escape(name_of(training)), training.split.labels
    items = []
    for place, distance in zip(near.places[row], near.distances[row], strict=True):
        label = "" if labels is None else f"<span>class {labels[place]}</span> "
        items.append(
            f'<li><img src="{uri_of(int(place))}" alt="image {place} of {name}"> '
            f"{label}<span>{distance:.3f}</span></li>\n"
        )
    return f'<ul class="near">\n{"".join(items)}</ul>'

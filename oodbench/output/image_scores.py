"""One row per image and detector: what stands behind every number."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from oodbench.base.defaults import RESULTS
from oodbench.base.errors import InputError
from oodbench.metrics.ranking import FloatArray, quantiles
from oodbench.results.groups import Group, StoredSet
from oodbench.results.opened import Source, open_results

if TYPE_CHECKING:
    import pandas as pd

NAMES = ("model", "in", "set", "role", "detector", "path")
"""Columns of texts."""


def image_scores(results: Source = RESULTS) -> pd.DataFrame:
    """Returns the scores of all images, one row per image and detector.

    Args:
        results: The folder, its archive, or what `run` or `select` returned.

    Returns:
        Columns: `model`; `in`, the in-distribution set; `set` and its `role`; `image`,
        its place in the set, from 0; `path`, of an image file that is still where it
        was; `label` and `prediction`, where known; `detector`; `score`, higher is more
        in-distribution; `quantile`, the share of in-distribution images that score
        lower, those with the same score counted half, in [0, 1]. The in-distribution
        images are among the rows, with the role `in`. Failed cells have none.

    Raises:
        InputError: There is no such folder, or no finished results are in it.
    """
    import pandas as pd

    parts = [
        part
        for group in open_results(results).groups
        for one in (group.inside, *group.outside)
        for part in _of_set(group, one)
    ]
    if not parts:
        raise InputError("All cells of these results failed; there are no scores.")
    found = pd.concat(parts, ignore_index=True)
    return found.astype(dict.fromkeys(NAMES, "category"))


def _of_set(group: Group, one: StoredSet) -> Iterator[pd.DataFrame]:
    """Yields the rows of each detector on one set."""
    import pandas as pd

    paths = paths_of(one)
    known: dict[str, object] = {
        "model": group.model,
        "in": group.inside.name,
        "set": one.name,
        "role": one.record["set"]["role"],
        "image": np.arange(one.record["set"]["images"]),
        "path": paths or "",
        "label": _whole(one, "labels"),
        "prediction": _whole(one, "predictions"),
    }
    for label, cell in one.cells.items():
        inside: FloatArray = group.inside.cells[label].scores
        if len(cell.scores) and len(inside):
            own = {
                "detector": label,
                "score": cell.scores,
                "quantile": quantiles(inside, cell.scores),
            }
            yield pd.DataFrame({**known, **own})


def _whole(one: StoredSet, name: str) -> pd.Series[int]:
    """Returns class numbers of all images; missing where they are not stored."""
    import pandas as pd

    if name not in one.arrays:
        return pd.Series([pd.NA] * one.record["set"]["images"], dtype="Int64")
    return pd.Series(one.arrays[name].astype(np.int64), dtype="Int64")


def paths_of(one: StoredSet) -> list[str]:
    """Returns the paths of a set's image files; none where it has changed, or has none.

    No image is read.
    """
    stored = one.record["set"]
    if stored.get("key_of") != "files":
        return []
    # These bring torch with them.
    from oodbench.data.checked_split import Checked
    from oodbench.data.dataset import Picked, Shape
    from oodbench.data.image_files import ImageFiles
    from oodbench.data.image_set import open_images
    from oodbench.data.recorded import dataset_of

    try:
        shape = Shape(*one.record["model"]["shape"])
        found = open_images(dataset_of(stored), stored["split"], shape, stored["limit"])
    except InputError:
        return []
    # A run may have numbered the classes as the network does.
    split = replace(found.split, labels=one.arrays.get("labels"))
    images, places = split.images, np.arange(found.count)
    while isinstance(images, Picked | Checked):
        if isinstance(images, Picked):
            places = images.places[places]
        images = images.images
    is_same = replace(found, split=split).key == stored["key"]
    if not is_same or not isinstance(images, ImageFiles):
        return []
    return [str(images.paths[place]) for place in places.tolist()]

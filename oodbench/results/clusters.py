"""Images that share an origin: where they count together, and where too few do."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from oodbench.metrics.spreads import Clusters

FEWEST_CLUSTERS = 10
"""With fewer their variance is too uncertain; images then count as independent."""


def count(labels: ArrayLike | None) -> int:
    """Returns how many origins some images have; 0 where every image has its own."""
    return 0 if labels is None else len(np.unique(labels))


def enough(clusters: Clusters) -> Clusters:
    """Returns the clusters of the classes that have enough of them."""
    return Clusters(
        *(labels if count(labels) >= FEWEST_CLUSTERS else None for labels in clusters)
    )


def notes(counts: Mapping[str, int]) -> list[str]:
    """Returns a note for each set whose images share origins.

    Args:
        counts: Origins of the images, by the set's name; 0 for independent images.
    """
    return [
        f"{name}: intervals and tests are over the {number} origins of its images"
        if number >= FEWEST_CLUSTERS
        else f"{name}: its images have only {number} origins; intervals and tests "
        "treat images as independent, so they are too narrow"
        for name, number in counts.items()
        if number
    ]

"""The class means that CARef and CADRef compare features with."""

from torch import Tensor

from oodbench import Known
from oodbench.scoring.fitting import statistics


def reference_means(known: Known) -> Tensor:
    """Returns the mean feature of the images predicted as each class, `[K, D]`.

    A class that is never predicted has the mean of its true images, and one without any
    has the mean of all images.
    """
    true = known.shared(statistics.class_means)
    others = true.filled(known.shared(statistics.feature_mean))
    return known.shared(statistics.predicted_means).filled(others)

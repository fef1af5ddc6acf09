"""The class means that CARef and CADRef compare features with."""

import torch
from torch import Tensor

from oodbench import Known
from oodbench.detectors._head import feature_mean
from oodbench.scoring import statistics


def reference_means(known: Known) -> Tensor:
    """Returns the mean feature of the images predicted as each class, `[K, D]`.

    A class that is never predicted has the mean of its true images, and one without any
    has the mean of all images.
    """
    predicted = known.shared(statistics.predicted_means)
    true = statistics.group_means(
        known.features, statistics.class_numbers(known), statistics.classes(known)
    )
    others = torch.where(
        true.counts[:, None] > 0, true.means, known.shared(feature_mean)
    )
    return torch.where(predicted.counts[:, None] > 0, predicted.means, others)

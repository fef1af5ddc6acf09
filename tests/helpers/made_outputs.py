"""Outputs made by hand, and what a detector makes of them."""

import numpy as np
import torch
from torch import nn

from oodbench import Detector, Known, Outputs
from oodbench.scoring.batch import Batch
from oodbench.scoring.spec import open_detector


def batch_of(features=None, logits=None, labels=None, *, weight=None, bias=None):
    """Returns outputs; logits that are not given are those of the head, or zeros."""
    features = None if features is None else _float32(features)
    head = None if weight is None else _head(weight, bias)
    if logits is None:
        given = features is not None and head is not None
        logits = head(features) if given else torch.zeros(len(features), 2)
    logits = _float32(logits)
    return Batch(
        torch.zeros(len(logits), 0),
        logits,
        logits.logsumexp(1),
        features,
        labels=None if labels is None else torch.as_tensor(labels).long(),
        head=head,
        numbers=torch.arange(len(logits)),
    )


def fitted(detector, known):
    """Returns a detector, given by name or itself, after its fit on outputs."""
    if not isinstance(detector, Detector):
        detector = open_detector(detector).detector
    if detector.fitted_on:
        view = Known(known, detector)
        detector.fit(view)
        view.check_untouched()
    return detector


def scores_of(detector, images):
    """Returns a fitted detector's scores of outputs, float64."""
    view = Outputs(images, detector)
    found = detector.score(view)
    view.check_untouched()
    assert found.dtype == torch.float64
    return found.numpy()


def _float32(values):
    return torch.as_tensor(np.asarray(values), dtype=torch.float32)


def _head(weight, bias):
    weight = _float32(weight)
    head = nn.Linear(weight.shape[1], len(weight)).eval().requires_grad_(False)
    head.weight.copy_(weight)
    head.bias.copy_(_float32(np.zeros(len(weight)) if bias is None else bias))
    return head

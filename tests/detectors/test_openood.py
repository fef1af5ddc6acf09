"""Scores are those of OpenOOD's own code; benchmarks/openood_numbers.py wrote them."""

import numpy as np
import pytest
from others_problem import (
    CLASSES,
    NUMBERS,
    assert_same,
    our_scores,
    probability,
    same,
)

CASES = {
    "nnguide": ("nnguide", same),
    "relation": ("relation", same),
    "fdbd": ("fdbd", lambda s: s * (CLASSES - 1)),  # a sum there, a mean here
    "nci": ("nci", same),
    "she": ("she", same),
    "gen": ("gen", same),
    "ash": ("ash:variant=B", same),
    "scale": ("scale", same),
    "kl_matching": ("kl_matching", same),
    "grad_norm": ("grad_norm", lambda s: s * CLASSES),  # target 1 there, 1/K here
    "relative_mahalanobis": ("relative_mahalanobis", same),
    "residual": ("residual:dim=8", same),
    "vim": ("vim:dim=8", same),
    "cf_ood": ("cf_ood", same),
    "odin": ("odin", probability),
    "i_odin": ("i_odin", probability),
}
"""By name: the detector with parameters, and the way to OpenOOD's scale."""


@pytest.fixture(scope="module")
def ours():
    return our_scores([spec for spec, _ in CASES.values()])


@pytest.mark.parametrize("name", CASES)
def test_scores_are_those_of_openood(ours, name):
    spec, scaled = CASES[name]
    expected = NUMBERS[f"scores of {name}"]
    # There, SHE is NaN for a class without correct images; here it takes the mean.
    assert np.isfinite(expected).all() == (name != "she")
    assert_same(scaled(ours[spec]), expected)

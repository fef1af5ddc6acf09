from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oodbench import InputError
from oodbench.metrics.ranking import auroc
from oodbench.metrics.selective import augrc, aurc

levels = st.integers(0, 5)
inside = st.lists(st.tuples(levels, st.booleans()), min_size=1, max_size=25)
outside = st.lists(levels, min_size=1, max_size=25)


def split(pairs):
    return [score for score, _ in pairs], [right for _, right in pairs]


def naive(scores, wrong):
    """AURC and AUGRC of untied scores, counting anew at every threshold."""
    n = len(scores)
    risks, generalised = [], [0.0]
    for threshold in sorted(scores, reverse=True):
        accepted = [w for s, w in zip(scores, wrong, strict=True) if s >= threshold]
        risks.append(sum(accepted) / len(accepted))
        generalised.append(sum(accepted) / n)
    return np.mean(risks), sum((a + b) / 2 / n for a, b in pairwise(generalised))


@given(st.integers(0, 1000), st.integers(1, 30), st.integers(1, 30))
def test_the_areas_are_those_of_counting_at_every_threshold(seed, n, m):
    rng = np.random.default_rng(seed)
    scores, right = rng.normal(size=n + m), rng.random(n) < 0.7
    wrong = [*~right, *[True] * m]
    assert naive(scores, wrong) == pytest.approx(
        (aurc(scores[:n], scores[n:], right), augrc(scores[:n], scores[n:], right))
    )


def test_ties_are_the_mean_over_all_orders():
    scores, wrong = [2, 2, 1, 1, 1], [0, 1, 0, 1, 1]
    found = []
    for order in permutations(range(5)):
        apart = [score - place / 10 for score, place in zip(scores, order, strict=True)]
        found.append(naive(apart, wrong))
    tied = ([2, 2, 1], [1, 1], [True, False, True])
    assert np.mean(found, axis=0) == pytest.approx((aurc(*tied), augrc(*tied)))


@given(inside, outside)
def test_augrc_is_a_matter_of_auroc_and_accuracy(pairs, out):
    scores, right = split(pairs)
    good = [score for score, one in pairs if one]
    bad = [score for score, one in pairs if not one] + out
    share = len(good) / (len(good) + len(bad))
    order = (1 - auroc(good, bad)) * share * (1 - share) if good else 0
    expected = order + (1 - share) ** 2 / 2
    assert augrc(scores, out, right) == pytest.approx(expected)


@given(inside, outside)
def test_no_increasing_map_changes_them_and_order_among_equals_is_nothing(pairs, out):
    scores, right = split(pairs)
    for area in (aurc, augrc):
        found = area(scores, out, right)
        assert area(np.exp(scores), np.exp(out), right) == found
        again = area(scores[::-1], out[::-1], right[::-1])
        assert again == pytest.approx(found)


def test_a_perfect_score_accepts_errors_last():
    # Accepted: two right ones, then a wrong one and an OOD image; risks 0, 0, 1/3, 1/2.
    case = ([4, 3, 2], [1], [True, True, False])
    assert aurc(*case) == pytest.approx((1 / 3 + 1 / 2) / 4)
    assert augrc(*case) == pytest.approx((1 / 4 + 2 / 4 - 1 / 4) / 4)


def test_a_useless_score_has_the_share_of_errors_as_its_risk():
    case = ([1] * 6, [1] * 4, [True] * 5 + [False])
    assert aurc(*case) == pytest.approx(0.5)
    assert augrc(*case) == pytest.approx(0.25)


def test_unusable_input_is_refused():
    with pytest.raises(InputError, match="2 scores of ID images"):
        aurc([1, 2], [0], [True])
    with pytest.raises(InputError, match="ood_scores is empty"):
        augrc([1, 2], [], [True, True])

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oodbench import InputError
from oodbench.metrics.order import added_at, at, order_of

levels = st.lists(st.integers(0, 5), min_size=1, max_size=12)


def arrays(*rows):
    return [np.array(row, float) for row in rows]


@given(levels, levels)
def test_a_place_is_the_number_of_higher_scores(inside, outside):
    both = [*inside, *outside]
    order = order_of(*arrays(inside, outside))
    places = [sum(other > score for other in both) for score in both]
    assert [*order.inside, *order.outside] == places
    assert order.places.tolist() == sorted(places)
    assert order.shared.tolist() == [places.count(place) for place in range(len(both))]


@given(levels, levels)
def test_counts_are_of_the_scores_that_are_no_lower(inside, outside):
    counts = order_of(*arrays(inside, outside)).counts
    for scores, found in ((inside, counts.positives), (outside, counts.negatives)):
        thresholds = sorted([*inside, *outside], reverse=True)
        expected = [sum(score >= cut for score in scores) for cut in thresholds]
        assert found.tolist() == [0, *expected]


@given(levels, levels)
def test_the_mirrored_order_is_that_of_negated_scores(inside, outside):
    inside, outside = arrays(inside, outside)
    mirrored, negated = (
        order_of(inside, outside).mirrored(),
        order_of(-outside, -inside),
    )
    for found, expected in zip(mirrored[:3], negated[:3], strict=True):
        assert found.tolist() == expected.tolist()
    for found, expected in zip(mirrored.counts, negated.counts, strict=True):
        assert found.tolist() == expected.tolist()


def test_rows_have_orders_of_their_own():
    rng = np.random.default_rng(0)
    inside, outside = rng.integers(0, 9, (2, 3, 20)), rng.integers(0, 9, (2, 3, 7))
    order = order_of(inside, outside)
    for row in np.ndindex(2, 3):
        alone = order_of(inside[row], outside[row])
        for found, expected in zip(order[:3], alone[:3], strict=True):
            assert found[row].tolist() == expected.tolist()
        for found, expected in zip(order.counts, alone.counts, strict=True):
            assert found[row].tolist() == expected.tolist()


def test_values_are_read_and_added_row_by_row():
    places = np.array([[0, 2, 2], [1, 0, 1]])
    assert at(np.array([[5, 6, 7], [8, 9, 10]]), places).tolist() == [
        [5, 7, 7],
        [9, 8, 9],
    ]
    assert added_at(places, 3).tolist() == [[1, 0, 2], [1, 2, 0]]
    assert added_at(places, 3, [1, 10, 100]).tolist() == [[1, 0, 110], [10, 101, 0]]


def test_a_class_without_images_is_refused():
    with pytest.raises(InputError, match="at least one image of each"):
        order_of(np.empty((2, 0)), np.ones((2, 3)))

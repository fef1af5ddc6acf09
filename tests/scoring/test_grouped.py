"""The smallest numbers of rows against sorting them."""

import math

import pytest
import torch

from oodbench.scoring.fitting.grouped import Grouped


def filled(values, taken):
    """Returns the rows as groups."""
    grouped = Grouped.empty(values, values.shape[1], taken)
    grouped.rows[:, : values.shape[1]] = values
    return grouped


@pytest.mark.parametrize("size", [1, 7, 100, 641])
@pytest.mark.parametrize("taken", [1, 3])
def test_a_number_below_its_limit_is_found_once(size, taken):
    values = torch.randn(5, size, generator=torch.Generator().manual_seed(size))
    limits = values.median(1).values
    grouped = filled(values, taken)
    first = grouped.take(taken)
    assert first[0].bincount().tolist() == [min(taken, size)] * 5
    *later, _ = grouped.below(limits, 1)
    assert torch.equal(later[0], later[0].sort().values)
    expected = values < limits[:, None]
    expected[first] = False
    found = torch.zeros_like(values, dtype=torch.int64)
    found.index_put_(tuple(later), torch.tensor(1), accumulate=True)
    assert torch.equal(found, expected.long())


def test_the_smallest_number_is_the_first_that_is_taken():
    values = torch.randn(4, 1000, generator=torch.Generator().manual_seed(0))
    rows, columns = filled(values, 2).take(2)
    assert torch.equal(columns[::2], values.argmin(1))
    assert rows.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_numbers_that_fill_the_last_group_are_never_found():
    grouped = filled(torch.zeros(2, 1001), 1)
    assert grouped.values.numel() > 2002
    _, columns, _ = grouped.below(torch.full((2,), math.inf), 1)
    assert columns.tolist() == 2 * list(range(1001))


def test_a_row_with_numbers_in_too_many_groups_is_crowded_and_left_out():
    values = torch.ones(2, 1000)
    values[0, ::2] = values[1, ::200] = 0
    rows, columns, crowded = filled(values, 1).below(torch.full((2,), 0.5), 0.8)
    assert crowded.tolist() == [True, False]
    assert rows.tolist() == [1] * 5
    assert columns.tolist() == list(range(0, 1000, 200))

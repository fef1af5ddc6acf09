"""The smallest numbers of rows against sorting them."""

import math

import pytest
import torch

from oodbench.scoring.fitting import grouped as module
from oodbench.scoring.fitting.grouped import Grouped


def filled(values, taken):
    """Returns the rows as groups."""
    grouped = Grouped.empty(values, values.shape[1], taken)
    grouped.rows[:, : values.shape[1]] = values
    return grouped


def found_below(grouped, limits):
    """Returns rows and columns of all numbers below limits."""
    parts = list(grouped.below(limits, grouped.near(limits)))
    rows = torch.cat([some.start + rows for some, rows, _ in parts])
    return rows, torch.cat([columns for *_, columns in parts])


@pytest.mark.parametrize("size", [1, 7, 100, 641])
@pytest.mark.parametrize("taken", [1, 3])
@pytest.mark.parametrize("at_once", [1, 10, 2**15])
def test_a_number_below_its_limit_is_found_once(size, taken, at_once, monkeypatch):
    monkeypatch.setattr(module, "AT_ONCE", at_once)
    values = torch.randn(5, size, generator=torch.Generator().manual_seed(size))
    limits = values.median(1).values
    grouped = filled(values, taken)
    first = grouped.take(taken)
    assert first[0].bincount().tolist() == [min(taken, size)] * 5
    later = found_below(grouped, limits)
    assert torch.equal(later[0], later[0].sort().values)
    expected = values < limits[:, None]
    expected[first] = False
    found = torch.zeros_like(values, dtype=torch.int64)
    found.index_put_(later, torch.tensor(1), accumulate=True)
    assert torch.equal(found, expected.long())


def test_the_smallest_number_is_the_first_that_is_taken():
    values = torch.randn(4, 1000, generator=torch.Generator().manual_seed(0))
    rows, columns = filled(values, 2).take(2)
    assert torch.equal(columns[::2], values.argmin(1))
    assert rows.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_numbers_that_fill_the_last_group_are_never_found():
    grouped = filled(torch.zeros(2, 1001), 1)
    assert grouped.values.numel() > 2002
    _, columns = found_below(grouped, torch.full((2,), math.inf))
    assert columns.tolist() == 2 * list(range(1001))


def test_rows_with_many_groups_are_looked_into_apart(monkeypatch):
    monkeypatch.setattr(module, "AT_ONCE", 40)
    grouped = filled(torch.zeros(5, 1001), 1)
    near = grouped.near(torch.ones(5))
    near[1:3] = False
    slices = [some for some, *_ in grouped.below(torch.ones(5), near)]
    assert near.shape[1] == 16
    assert slices == [slice(0, 4), slice(4, 5)]

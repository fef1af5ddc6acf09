"""Rows of many images, in memory and in a file."""

import pytest
import torch

from oodbench.scoring.fitting import rows as module
from oodbench.scoring.fitting.rows import Rows, own_copy


@pytest.fixture(params=["memory", "file"])
def rows(request, monkeypatch):
    if request.param == "file":
        monkeypatch.setattr(module, "LIMIT", 8)
    found = Rows(5, torch.empty(0, 2))
    found.add(torch.arange(4.0).view(2, 2))
    found.add(torch.arange(4.0, 10.0).view(3, 2))
    return found


def test_rows_stand_below_each_other(rows):
    assert torch.equal(rows.whole, torch.arange(10.0).view(5, 2))
    assert rows.whole.dtype == torch.float32


class Elsewhere(torch.Tensor):
    """A tensor that does not say that it is on the CPU."""

    is_cpu = False


@pytest.mark.parametrize("held", [1, 20, 1000])
def test_rows_from_a_gpu_are_fetched_together_in_their_order(monkeypatch, held):
    monkeypatch.setattr(module, "HELD", held)  # bytes; a row has eight
    found, values = Rows(5, torch.empty(0, 2)), torch.arange(10.0).view(5, 2)
    for some in values.split(2):
        found.add(some.as_subclass(Elsewhere))
    assert torch.equal(found.whole, values)
    assert found.whole is found.whole


def test_writing_into_a_copy_leaves_the_rows_and_other_copies_as_they_are(rows):
    one, other = own_copy(rows.whole), own_copy(rows.whole)
    one.zero_()
    assert one._version == 1
    assert other._version == 0
    assert torch.equal(rows.whole, torch.arange(10.0).view(5, 2))
    assert torch.equal(other, rows.whole)

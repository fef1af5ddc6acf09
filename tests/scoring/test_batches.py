"""Work in batches: everything once, in order, whatever memory does."""

import logging

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from oodbench import InputError
from oodbench.scoring.batches import Batches, cut


def limited(most):
    """Returns work that needs memory for more images than there is."""

    def work(start, stop):
        if stop - start > most:
            raise MemoryError("no room")
        return list(range(start, stop))

    return work


@given(st.integers(0, 60), st.integers(1, 70), st.integers(1, 70))
def test_every_image_is_done_once_in_order(count, size, most):
    batches = Batches(size)
    found = batches.run(limited(most), count)
    assert [one for part in found for one in part] == list(range(count))
    assert all(1 <= len(part) <= min(size, most) for part in found)


def test_what_fits_stays_known_and_what_is_done_stays_done():
    done = []

    def work(start, stop):
        if start >= 8 and stop - start > 2:
            raise torch.OutOfMemoryError("no room")
        done.append((start, stop))

    batches = Batches(8)
    batches.run(work, 12)
    assert done == [(0, 8), (8, 10), (10, 12)]
    assert batches.size == 2
    batches.run(work, 3)
    assert done[3:] == [(0, 2), (2, 3)]


def test_other_memory_is_freed_first(caplog):
    held = [1]

    def work(start, stop):
        if held:
            raise MemoryError
        return stop - start

    batches = Batches(8, lambda: bool(held and held.pop()))
    assert batches.run(work, 20) == [8, 8, 4]
    assert caplog.messages == []


def test_one_image_that_does_not_fit_is_one_sentence(caplog):
    with (
        caplog.at_level(logging.WARNING),
        pytest.raises(InputError, match=r"^Out of memory in it with .*\(Memo"),
    ):
        Batches(5, where=" in it").run(limited(0), 9)
    sizes = [message.rsplit(" ", 1)[1] for message in caplog.messages]
    assert sizes == ["2.", "1."]


def test_other_errors_pass():
    def work(start, stop):
        raise ZeroDivisionError

    batches = Batches(4)
    with pytest.raises(ZeroDivisionError):
        batches.run(work, 9)
    assert batches.size == 4


def test_cut_leaves_out_nothing():
    assert list(cut(3, 11, 4)) == [(3, 7), (7, 11)]
    assert list(cut(3, 3, 4)) == []

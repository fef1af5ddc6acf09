"""Arrays in files: the same bytes on every numpy, and no pickles."""

import io

import numpy as np
import pytest

from oodbench.base.files import npz_bytes

ARRAYS = {"images": np.zeros((2, 3), np.uint8), "file": np.arange(3), "é": np.ones(1)}


@pytest.mark.parametrize("compressed", [False, True])
def test_an_archive_holds_the_given_arrays_and_no_other(compressed):
    with np.load(io.BytesIO(npz_bytes(ARRAYS, compressed=compressed))) as stored:
        assert stored.files == list(ARRAYS)
        for name, array in ARRAYS.items():
            assert stored[name].dtype == array.dtype
            assert np.array_equal(stored[name], array)


def test_equal_arrays_give_equal_bytes():
    assert npz_bytes(ARRAYS) == npz_bytes(dict(ARRAYS))


def test_objects_are_not_written():
    with pytest.raises(ValueError, match="allow_pickle=False"):
        npz_bytes({"labels": np.array([{}], object)})

"""Rows of many images, received batch by batch; in a file where they are large."""

from __future__ import annotations

import tempfile
import weakref
from typing import IO

import numpy as np
import torch
from torch import Tensor

LIMIT = 2 * 2**30
"""Bytes up to which rows are kept in memory; more are mapped from a temporary file."""

HELD = 2**26
"""Bytes of rows that wait on a GPU to be fetched together."""

_FILES: dict[int, IO[bytes]] = {}
"""The files of tensors that are mapped from one, by the tensor's `id`."""


class Rows:
    """Receives rows of a known number of images; there is no second copy of them.

    Args:
        count: The number of images, N.
        like: A tensor `[0, …]` of the type and shape of rows.
    """

    def __init__(self, count: int, like: Tensor) -> None:
        self._whole = _empty((count, *like.shape[1:]), like.dtype)
        self._done = 0
        self._waiting: list[Tensor] = []

    def add(self, rows: Tensor) -> None:
        """Adds the rows `[B, …]` of the next images, from any device."""
        self._waiting.append(rows)
        if rows.is_cpu or sum(one.nbytes for one in self._waiting) >= HELD:
            self._fetch()

    @property
    def whole(self) -> Tensor:
        """All rows, `[N, …]`, on the CPU."""
        self._fetch()
        return self._whole

    def _fetch(self) -> None:
        if not self._waiting:
            return
        rows = self._waiting[0] if len(self._waiting) == 1 else torch.cat(self._waiting)
        self._whole[self._done : self._done + len(rows)] = rows
        self._done += len(rows)
        self._waiting.clear()


def own_copy(tensor: Tensor) -> Tensor:
    """Returns a copy of a tensor; writing into it leaves the original as it is.

    The copy of a tensor in a file is a private mapping, which takes memory only for
    what is written.
    """
    file = _FILES.get(id(tensor))
    if file is None:
        return tensor.clone()
    dtype = torch.empty(0, dtype=tensor.dtype).numpy().dtype
    return torch.from_numpy(np.memmap(file, dtype, "c", shape=tuple(tensor.shape)))


def _empty(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    like = torch.empty(0, dtype=dtype)
    if np.prod(shape, dtype=np.int64) * like.element_size() <= LIMIT:
        return torch.empty(shape, dtype=dtype)
    file = tempfile.TemporaryFile(prefix="oodbench-")  # noqa: SIM115 - kept by _FILES
    whole = torch.from_numpy(np.memmap(file, like.numpy().dtype, "w+", shape=shape))
    _FILES[id(whole)] = file
    weakref.finalize(whole, _close, id(whole))
    return whole


def _close(key: int) -> None:
    _FILES.pop(key).close()

"""Exact quantiles of features that are too many to sort at once.

Both functions return what `numpy.quantile` returns of the values in float64, by linear
interpolation.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

VALUES = 2**20
"""Whose digits are in memory at once."""
SORTED = 2**24
"""Values of columns that are sorted at once; one column is sorted whole."""
DIGITS = 2**16
"""A value is a number of two (float32) or four (float64) digits below this."""


def quantiles(rows: Tensor, shares: Sequence[float]) -> list[float]:
    """Returns the quantiles of all values of rows `[N, D]` together.

    The value at a place of the sorted order is found digit by digit: each pass through
    the rows counts the next digit of the values that begin with the digits known.

    Args:
        rows: `[N, D]`, float32 or float64, on the CPU; at least one value.
        shares: From 0 to 1.

    Raises:
        ValueError: There are no values, or one is NaN.
    """
    last = rows.numel() - 1
    if last < 0:
        raise ValueError("there are no features to take quantiles of")
    if any(block.isnan().any() for block in _blocks(rows)):
        raise ValueError("a feature is NaN, so that there are no quantiles")
    places = [share * last for share in shares]
    below = [int(place) for place in places]
    ranks = sorted({min(low + step, last) for low in below for step in (0, 1)})
    at = dict(zip(ranks, _at_ranks(rows, ranks), strict=True))
    return [
        float(np.quantile([at[low], at[min(low + 1, last)]], place - low))
        for place, low in zip(places, below, strict=True)
    ]


def column_quantiles(rows: Tensor, shares: Sequence[float]) -> Tensor:
    """Returns the quantiles of each column of rows `[N, D]`, `[Q, D]`, float64.

    Args:
        rows: `[N, D]`, on the CPU; N is at least 1.
        shares: From 0 to 1, Q of them.
    """
    columns = rows.split(max(1, SORTED // len(rows)), dim=1)
    found = [np.quantile(some.T.double().numpy(), shares, axis=1) for some in columns]
    return torch.from_numpy(np.concatenate(found, axis=1))


def _blocks(rows: Tensor) -> tuple[Tensor, ...]:
    return rows.split(max(1, VALUES // rows.shape[1]))


def _at_ranks(rows: Tensor, ranks: Sequence[int]) -> NDArray[np.float64]:
    """Returns the values that have these places in the sorted order of all values."""
    found: list[tuple[int, ...]] = [()] * len(ranks)
    rest = list(ranks)  # the place among the values that begin alike
    for _ in range(rows.element_size() // 2):
        counts = _next_digits(rows, set(found))
        for number, (start, rank) in enumerate(zip(found, rest, strict=True)):
            up_to = counts[start].cumsum()
            digit = int(np.searchsorted(up_to, rank, side="right"))
            found[number] = (*start, digit)
            rest[number] = rank - int(up_to[digit] - counts[start][digit])
    return _values(np.array(found, "<u2"))


def _next_digits(
    rows: Tensor, starts: set[tuple[int, ...]]
) -> dict[tuple[int, ...], NDArray[np.int64]]:
    """Returns how often each digit follows, for each way to begin."""
    counts = {start: np.zeros(DIGITS, np.int64) for start in starts}
    for block in _blocks(rows):
        digits = _digits(block)
        for start in starts:
            own = digits
            for place, digit in enumerate(start):
                own = own[own[:, place] == digit]
            counts[start] += np.bincount(own[:, len(start)], minlength=DIGITS)
    return counts


def _digits(block: Tensor) -> NDArray[np.uint16]:
    """Returns the digits of values, the first one first; they are ordered alike."""
    bits = block.numpy().reshape(-1).view(_whole_numbers(block.element_size()))
    sign = _sign(bits)
    ordered = np.where(bits & sign, ~bits, bits | sign)
    return ordered.view("<u2").reshape(len(bits), -1)[:, ::-1]


def _values(digits: NDArray[np.uint16]) -> NDArray[np.float64]:
    """Returns the values with these digits."""
    size = 2 * digits.shape[1]
    ordered = np.ascontiguousarray(digits[:, ::-1]).view(_whole_numbers(size))[:, 0]
    sign = _sign(ordered)
    bits = np.where(ordered & sign, ordered ^ sign, ~ordered)
    return bits.view(f"<f{size}").astype(np.float64)


def _whole_numbers(size: int) -> np.dtype[np.unsignedinteger]:
    return np.dtype(f"<u{size}")


def _sign(bits: NDArray[np.unsignedinteger]) -> np.unsignedinteger:
    """Returns the number in which the sign's bit alone is set."""
    return bits.dtype.type(1 << 8 * bits.itemsize - 1)

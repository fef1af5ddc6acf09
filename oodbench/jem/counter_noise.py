"""Random numbers of images, computed on the device where they are needed.

The generator is Philox 4x64-10 of Salmon, Moraes, Dror and Shaw, Parallel Random
Numbers: As Easy as 1, 2, 3, SC 2011, which scrambles a counter by a key. NumPy has it
for the CPU; for a GPU it is written with tensors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

ROUNDS = 10
FACTORS = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
STEPS = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)
"""Added to the key after each round."""
LOW = 2**32 - 1
"""Selects the lower half of a word of 64 bits."""
BITS = 24
"""Of a random number; float32 holds them exactly."""


class CounterNoise:
    """Random numbers of images, which depend only on the seed and the image's number.

    Batches and other images have no influence, and the device has one only on how the
    last digits of normal numbers are rounded.

    Args:
        seed: At least 0.
        numbers: `[N]`, int64, the numbers of the images, at least 0, on the host.
    """

    def __init__(self, seed: int, numbers: Tensor) -> None:
        self._seed = seed % 2**64
        self._numbers = numbers
        self._streams: list[np.random.Philox] = []
        self._blocks = 0
        """How many blocks of four words have been drawn for each image."""

    def __call__(self, like: Tensor) -> Tensor:
        """Returns N(0, 1) numbers for each image, `[N, …]`, by Box and Muller."""
        radii, angles = self._pairs(like)
        radii = radii.add_(0.5).mul_(2**-BITS).log_().mul_(-2).sqrt_()
        angles = angles.mul_(2 * math.pi * 2**-BITS)
        return _shaped([radii * angles.cos(), radii * angles.sin()], like)

    def uniform(self, like: Tensor) -> Tensor:
        """Returns U(-1, 1) numbers for each image, `[N, …]`."""
        pairs = self._pairs(like)
        return _shaped(
            [one.add_(0.5).mul_(2.0 ** (1 - BITS)) - 1 for one in pairs], like
        )

    def _pairs(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Returns two whole numbers below 2^24 for every two values, float32."""
        count = -(-like[0].numel() // 2)
        blocks = -(-count // 4)
        if like.is_cpu:
            both = self._from_streams(4 * blocks)
        else:
            numbers = self._numbers.to(like.device, non_blocking=True)
            drawn = words(self._seed, numbers, self._blocks, blocks)
            both = torch.stack([drawn & LOW, (drawn >> 32) & LOW], 2) >> (32 - BITS)
        self._blocks += blocks
        one, other = both[:, :count].float().unbind(2)
        return one, other

    def _from_streams(self, count: int) -> Tensor:
        """Returns the halves of the next words `[N, count, 2]`, cut to 24 bits."""
        if not self._streams:
            keys = np.empty((len(self._numbers), 2), np.uint64)
            keys[:, 0], keys[:, 1] = self._seed, self._numbers.numpy()
            self._streams = [np.random.Philox(key=key) for key in keys]
        drawn = np.stack([stream.random_raw(count) for stream in self._streams])
        halves = drawn.astype("<u8", copy=False).view("<u4") >> np.uint32(32 - BITS)
        return torch.from_numpy(halves.view(np.int32)).unflatten(1, (count, 2))


def words(seed: int, numbers: Tensor, first: int, blocks: int) -> Tensor:
    """Returns random words `[N, 4 · blocks]`, the bits of uint64 numbers in int64.

    They are those that `numpy.random.Philox(key=[seed, number])` gives.

    Args:
        seed: From 0 to 2^64 − 1.
        numbers: `[N]`, on the device of the words.
        first: How many blocks of four words come before.
        blocks: How many blocks.
    """
    # NumPy counts up before each block.
    counter = torch.arange(first + 1, first + 1 + blocks, device=numbers.device)
    counter = counter.expand(len(numbers), blocks)
    even = torch.stack([counter, torch.zeros_like(counter)])
    odd = torch.zeros_like(even)
    key = torch.stack([torch.full_like(numbers, _signed(seed)), numbers])[:, :, None]
    factors, steps = _column(FACTORS, numbers), _column(STEPS, numbers)
    for _ in range(ROUNDS):
        high, low = _product(even, factors)
        even, odd = high.flip(0) ^ odd ^ key, low.flip(0)
        key = key + steps
    return torch.stack([even[0], odd[0], even[1], odd[1]], 2).flatten(1)


def _product(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the upper and the lower 64 bits of products of unsigned numbers."""
    low, high = one & LOW, (one >> 32) & LOW
    other_low, other_high = other & LOW, (other >> 32) & LOW
    across, back = high * other_low, low * other_high
    carried = ((low * other_low) >> 32) & LOW
    carried = (carried + (across & LOW) + (back & LOW)) >> 32
    upper = high * other_high + ((across >> 32) & LOW) + ((back >> 32) & LOW) + carried
    return upper, one * other


def _column(values: tuple[int, int], like: Tensor) -> Tensor:
    """Returns two values `[2, 1, 1]`, filled in on the device, which copies nothing."""
    return torch.stack([like.new_full((1, 1), _signed(value)) for value in values])


def _signed(value: int) -> int:
    """Returns the int64 number with the bits of a uint64 number."""
    return value - 2**64 if value >= 2**63 else value


def _shaped(halves: Sequence[Tensor], like: Tensor) -> Tensor:
    count = like[0].numel()
    return torch.cat([*halves], 1)[:, :count].reshape(like.shape).to(like)

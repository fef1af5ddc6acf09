"""Noise by a counter: published words, those of NumPy, and the laws of its numbers."""

import math

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from oodbench.jem.counter_noise import CounterNoise, words


def unsigned(found):
    return found.numpy().view(np.uint64)


def test_the_words_of_a_zero_key_and_counter_are_the_published_ones():
    # Philox 4x64-10 of the Random123 library's known answers.
    found = unsigned(words(0, torch.tensor([0]), -1, 1))
    assert [f"{word:016x}" for word in found[0]] == [
        "16554d9eca36314c", "db20fe9d672d0fdc", "d7e772cee186176b", "7e68b68aec7ba23b",
    ]  # fmt: skip


@pytest.mark.parametrize("seed", [0, 1, 2**63, 2**64 - 1])
def test_the_words_are_those_of_numpy(seed):
    numbers = [0, 1, 2**31, 2**63 - 1]
    found = unsigned(words(seed, torch.tensor(numbers), 2, 3))
    for number, row in zip(numbers, found, strict=True):
        stream = np.random.Philox(key=np.array([seed, number], np.uint64))
        assert np.array_equal(row, stream.random_raw(20)[8:])


class Elsewhere(torch.Tensor):
    """A tensor that does not say that it is on the CPU."""

    is_cpu = False


@pytest.mark.parametrize("size", [1, 7, 48])
def test_both_ways_to_the_words_give_the_same_numbers(size):
    like = torch.empty(3, size)
    numbers = torch.tensor([4, 0, 2**40])
    here, there = CounterNoise(5, numbers), CounterNoise(5, numbers)
    for _ in range(3):
        torch.testing.assert_close(here(like), there(like.as_subclass(Elsewhere)))
        elsewhere = there.uniform(like.as_subclass(Elsewhere))
        assert torch.equal(here.uniform(like), elsewhere)


def test_an_images_noise_depends_on_the_seed_and_its_number_alone(device):
    like = torch.empty(3, 2, 3, device=device)
    together = CounterNoise(5, torch.tensor([7, 8, 9]))
    alone = CounterNoise(5, torch.tensor([8]))
    for draw in ("__call__", "uniform", "__call__"):
        both = getattr(together, draw)(like), getattr(alone, draw)(like[:1])
        assert torch.equal(both[0][1:2], both[1])
    first, again, other = (
        CounterNoise(seed, torch.tensor([8]))(like[:1]) for seed in (5, 5, 6)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_noise_is_the_same_on_every_device(device):
    numbers = torch.arange(50)
    here = CounterNoise(1, numbers)(torch.empty(50, 101))
    there = CounterNoise(1, numbers)(torch.empty(50, 101, device=device))
    torch.testing.assert_close(there.cpu(), here, rtol=1e-5, atol=1e-5)


def test_noise_is_normal_and_independent(device):
    like = torch.empty(400, 500, dtype=torch.float64, device=device)
    noise = CounterNoise(0, torch.arange(400))
    drawn, later = noise(like).cpu(), noise(like).cpu()
    assert drawn.dtype == torch.float64
    assert drawn.mean().item() == pytest.approx(0, abs=0.01)
    assert drawn.var().item() == pytest.approx(1, abs=0.02)
    below = [(drawn < x).double().mean().item() for x in (-2, -1, 0, 1, 2)]
    expected = [(1 + math.erf(x / math.sqrt(2))) / 2 for x in (-2, -1, 0, 1, 2)]
    assert below == pytest.approx(expected, abs=0.005)
    # Neighbours among images, values and steps, and the two numbers of a pair.
    pairs = [
        (drawn[1:], drawn[:-1]),
        (drawn[:, 1:], drawn[:, :-1]),
        (drawn, later),
        (drawn[:, :250], drawn[:, 250:]),
    ]
    for one, other in pairs:
        assert (one * other).mean().item() == pytest.approx(0, abs=0.01)


def test_uniform_noise_fills_its_range_evenly(device):
    like = torch.empty(400, 500, device=device)
    drawn = CounterNoise(0, torch.arange(400)).uniform(like).cpu().double()
    assert drawn.abs().max() <= 1
    counts = torch.histc(drawn.float(), 10, -1, 1) / drawn.numel()
    assert counts.tolist() == pytest.approx([0.1] * 10, abs=0.003)


def test_noise_on_a_gpu_waits_for_nothing():
    gpu = torch.device("cuda:0")
    with FakeTensorMode(allow_non_fake_inputs=True):
        noise = CounterNoise(0, torch.arange(4))
        like = torch.empty(4, 1, 3, 3, device=gpu)
        for drawn in (noise(like), noise.uniform(like)):
            assert drawn.shape == like.shape
            assert drawn.device == gpu

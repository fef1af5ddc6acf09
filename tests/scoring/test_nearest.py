"""The k-th nearest neighbour against all distances in float64."""

import numpy as np
import pytest
import torch

from oodbench.scoring.fitting import nearest as module
from oodbench.scoring.fitting.nearest import Bank, Screen, nearest


def naive(images, others, k):
    away = np.linalg.norm(
        images.double().numpy()[:, None] - others.double().numpy()[None], axis=2
    )
    order = np.argsort(away, axis=1, kind="stable")[:, k - 1]
    return np.take_along_axis(away, order[:, None], 1)[:, 0], order


@pytest.mark.parametrize("k", [1, 3, 60])
@pytest.mark.parametrize("block", [7, 1000])
def test_distances_and_places_are_exact(k, block, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", block)
    generator = torch.Generator().manual_seed(k)
    images = torch.randn(20, 5, generator=generator)
    others = torch.randn(60, 5, generator=generator)
    found = nearest(images, others, k)
    distances, places = naive(images, others, k)
    np.testing.assert_allclose(found.distances, distances, rtol=1e-6)
    np.testing.assert_array_equal(found.places, places)


def test_rounding_of_the_products_decides_nothing():
    # Far from the origin ‖x‖² + ‖o‖² − 2 x·o keeps no digit of these distances.
    generator = torch.Generator().manual_seed(0)
    others = 100 + torch.randn(500, 8, generator=generator) / 100
    images = others[:30] + torch.randn(30, 8, generator=generator) / 1000
    found = nearest(images, others, 2)
    distances, places = naive(images, others, 2)
    np.testing.assert_allclose(found.distances, distances, rtol=1e-4)
    np.testing.assert_array_equal(found.places, places)


def test_of_many_equal_ones_the_first_is_named_and_an_image_finds_itself():
    others = torch.cat([torch.ones(1, 4), torch.zeros(300, 4)])
    found = nearest(torch.zeros(2, 4), others, 5)
    assert found.distances.tolist() == [0, 0]
    assert found.places.tolist() == [5, 5]
    assert nearest(others[:1], others).places.tolist() == [0]


def test_double_stays_double():
    others = torch.tensor([[0.0], [1.0 + 1e-12]], dtype=torch.float64)
    found = nearest(torch.tensor([[1.0]], dtype=torch.float64), others)
    np.testing.assert_allclose(found.distances, 1e-12, rtol=1e-3)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, 1e30])
@pytest.mark.parametrize("width", [5, 600])
def test_others_that_are_not_finite_are_refused(value, width):
    others = torch.rand(3000, width)
    others[7, 1] = value
    with pytest.raises(ValueError, match="not finite"):
        Bank.of(others)


def test_no_images_have_no_neighbours():
    assert nearest(torch.rand(0, 3), torch.rand(5, 3), 2).places.shape == (0,)


@pytest.fixture
def narrow(monkeypatch):
    """Makes short rows of small ones: 4 directions, from 8 rows."""
    for name, value in {"WIDTH": 4, "SAMPLE": 8, "CROWD": 0.3, "SPARE": 2}.items():
        monkeypatch.setattr(module, name, value)


def rows(count, seed, dtype=torch.float32):
    """Returns rows of 12 numbers that differ most in three directions."""
    generator = torch.Generator().manual_seed(seed)
    directions = torch.randn(3, 12, generator=torch.Generator().manual_seed(0))
    along = torch.randn(count, 3, generator=generator) @ directions
    return (along + torch.randn(count, 12, generator=generator) / 10).to(dtype)


@pytest.mark.parametrize("k", [1, 3, 40])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1, 100])
def test_short_rows_change_no_neighbour(k, dtype, scale, narrow):
    others = rows(200, 1, dtype)
    # Of scale 100: far from all others, where short rows tell little.
    images = torch.cat([rows(20, 2, dtype) * scale, others[:5]])
    bank = Bank.of(others)
    assert bank.short.rows.shape == (200, 5)
    found = bank.nearest(images, k)
    distances, places = naive(images, others, k)
    np.testing.assert_allclose(found.distances, distances, rtol=1e-6)
    np.testing.assert_array_equal(found.places, places)


def test_the_first_neighbours_are_the_nearest_the_second_and_so_on(narrow):
    others = torch.cat([rows(100, 1), rows(1, 3).expand(20, -1)])
    bank, images = Bank.of(others), torch.cat([rows(20, 2), others[110:112]])
    found = bank.first(images, 15)
    for k in range(1, 16):
        one = bank.nearest(images, k)
        assert torch.equal(found.distances[:, k - 1], one.distances)
        assert torch.equal(found.places[:, k - 1], one.places)


def test_short_rows_keep_the_first_of_equal_ones(narrow):
    others = torch.cat([rows(40, 1), rows(1, 3).expand(60, -1)])
    found = Bank.of(others).nearest(others[40:42], 7)
    assert found.distances.tolist() == [0, 0]
    assert found.places.tolist() == [46, 46]


def test_short_rows_are_never_farther_than_the_rows(narrow):
    others = rows(100, 1, torch.float64)
    short = Bank.of(others).short.rows.double()
    assert (torch.cdist(short, short) <= torch.cdist(others, others) + 1e-5).all()


def test_a_bank_of_narrow_or_few_rows_is_searched_whole():
    for others in (torch.randn(10, 3000), torch.randn(5000, 64)):
        bank = Bank.of(others)
        assert torch.equal(bank.short.rows, others)
        # As it is read from a file.
        copy = Bank(*(Screen(*map(torch.clone, one)) for one in bank[:2]), *bank[2:])
        assert copy.nearest(others[7:8]).places.tolist() == [7]


def test_pixels_are_kept_as_bytes_and_have_the_same_neighbours(monkeypatch):
    monkeypatch.setattr(module, "CONVERTED", 12 * 30)  # several blocks
    generator = torch.Generator().manual_seed(0)
    levels = torch.randint(0, 256, (220, 12), generator=generator, dtype=torch.uint8)
    pixels = levels.float() / 255
    images, others = pixels[:20], pixels[20:]
    bank = Bank.of(others)
    assert bank.whole.rows.dtype == torch.uint8
    # One value between two levels, and none is a byte.
    changed = others.clone()
    changed[-1, -1] += 1e-3
    assert Bank.of(changed).whole.rows.dtype == torch.float32
    distances, places = naive(images, others, 3)
    found = bank.nearest(images, 3)
    np.testing.assert_allclose(found.distances, distances, rtol=1e-6)
    np.testing.assert_array_equal(found.places, places)

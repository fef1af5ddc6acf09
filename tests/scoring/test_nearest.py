"""The k-th nearest neighbour against all distances in float64."""

import numpy as np
import pytest
import torch

from oodbench.scoring.fitting import nearest as module
from oodbench.scoring.fitting.nearest import nearest


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

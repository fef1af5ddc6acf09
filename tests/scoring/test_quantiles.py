"""Quantiles in bounded memory against NumPy."""

import numpy as np
import pytest
import torch

from oodbench.scoring.fitting import quantiles as module
from oodbench.scoring.fitting.quantiles import column_quantiles, quantiles

SHARES = [0, 0.001, 0.1, 1 / 3, 0.5, 0.65, 0.9, 0.999, 1]


def normal(rng):
    return rng.normal(0, 3, (201, 7))


SAMPLES = {
    "both signs": normal,
    "half are 0": lambda rng: normal(rng).clip(min=0),
    "all equal": lambda rng: np.full((9, 2), -1.5),
    "many magnitudes": lambda rng: normal(rng) ** 25,
    "near each other": lambda rng: 10 + normal(rng) * 1e-6,
    "one value": lambda rng: np.array([[0.1]]),
}


@pytest.fixture(params=[np.float32, np.float64])
def kind(request):
    return request.param


@pytest.fixture(params=["in one piece", "in pieces"])
def memory(request, monkeypatch):
    if request.param == "in pieces":
        monkeypatch.setattr(module, "VALUES", 50)
        monkeypatch.setattr(module, "SORTED", 500)


@pytest.mark.usefixtures("memory")
@pytest.mark.parametrize("name", SAMPLES)
def test_quantiles_are_numpys_to_the_last_bit(name, kind):
    rows = SAMPLES[name](np.random.default_rng(0)).astype(kind)
    together = np.quantile(rows.astype(float), SHARES)
    assert quantiles(torch.from_numpy(rows), SHARES) == together.tolist()
    apart = np.quantile(rows.astype(float), SHARES, axis=0)
    assert np.array_equal(column_quantiles(torch.from_numpy(rows), SHARES), apart)


@pytest.mark.parametrize(
    ("rows", "words"),
    [(torch.empty(0, 3), "no features"), (torch.tensor([[1, torch.nan]]), "NaN")],
)
def test_quantiles_of_nothing_and_of_nan_are_refused(rows, words):
    with pytest.raises(ValueError, match=words):
        quantiles(rows, [0.5])

"""Batches that are read ahead for a device, shown with one that has no memory."""

import numpy as np
import pytest
import torch

from oodbench import Shape
from oodbench.data.feed import feed

SHAPE = Shape(3, 4, 4)
SPANS = [(0, 3), (3, 5)]
META = torch.device("meta")


def images(*sides):
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (side, side, 3), dtype=np.uint8) for side in sides]


@pytest.mark.parametrize(
    "given",
    [np.stack(images(4, 4, 4, 4, 4)), images(4, 4, 4, 4, 4), images(4, 6, 4, 4, 8)],
    ids=["array", "fitting", "of several sizes"],
)
def test_pixels_arrive_as_floats_with_their_channels_last(given):
    for device in (META, torch.device("cpu")):
        fed = list(feed(given, SPANS, SHAPE, device=device))
        assert [tuple(batch.pixels.shape) for batch in fed] == [
            (3, *SHAPE),
            (2, *SHAPE),
        ]
        for batch in fed:
            assert batch.pixels.device == device
            assert batch.pixels.dtype == torch.float32
            assert batch.pixels.is_contiguous(memory_format=torch.channels_last)


def test_only_bytes_that_fit_are_sent_as_bytes(monkeypatch):
    sent = []
    to = torch.Tensor.to
    monkeypatch.setattr(
        torch.Tensor,
        "to",
        lambda self, device: sent.append(self.dtype) or to(self, device),
    )
    given = images(4, 4, 4, 6, 4)
    list(feed(given, SPANS, SHAPE, device=META))
    list(feed(given, SPANS, SHAPE, device=torch.device("cpu")))
    assert sent == [torch.uint8, torch.float32, torch.float32, torch.float32]

"""Chooses how many threads of the CPU serve a network."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from oodbench.network import Network

SMALL = 10**7
"""Multiplications an image, at most, of networks that run fastest on one thread."""


@contextmanager
def fitting_threads(network: Network) -> Iterator[None]:
    """Runs small networks on one thread: on a busy machine they are twice as fast."""
    weights = sum(weight.numel() for weight in network.module.parameters())
    work = weights * network.shape.height * network.shape.width
    before = torch.get_num_threads()
    if work < SMALL:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)

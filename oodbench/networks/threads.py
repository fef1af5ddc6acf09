"""Chooses how many threads of the CPU serve a network."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import nn

from oodbench.data.dataset import Shape
from oodbench.networks.network import Network

SMALL = 10**7
"""Multiplications an image, at most, of networks that run fastest on one thread."""


def fitting_threads(network: Network) -> AbstractContextManager[None]:
    """Runs small networks on one thread: on a busy machine they are twice as fast."""
    return threads_for(network.module, network.shape)


@contextmanager
def threads_for(module: nn.Module, shape: Shape) -> Iterator[None]:
    """Does so for a module on images of a shape."""
    weights = sum(weight.numel() for weight in module.parameters())
    work = weights * shape.height * shape.width
    before = torch.get_num_threads()
    if work < SMALL:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)

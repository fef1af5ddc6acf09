"""The machine: which device to use, how many images fit, how many threads to run."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import nn

from oodbench.base.errors import InputError
from oodbench.data.dataset import Shape
from oodbench.networks.network import Network

_VALUES = {"cpu": 2**20, "cuda": 2**24, "mps": 2**22}
"""In the images of a batch, so that the network's activations mostly fit."""

_SIGNS = (
    "can't allocate memory",  # torch's allocator on the CPU
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)

SMALL = 10**7
"""Multiplications an image, at most, of networks that run fastest on one thread."""


def pick_device(name: str) -> torch.device:
    """Returns the device auto, cpu, cuda or mps; auto takes the fastest there is.

    Raises:
        InputError: This machine, or this build of torch, has no such device.
    """
    present = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return torch.device(next(kind for kind, here in present.items() if here))
    if not present.get(name, False):
        here = ", ".join(kind for kind, there in present.items() if there)
        raise InputError(
            f"There is no device {name!r} here; use auto or one of: {here}."
        )
    return torch.device(name)


def first_batch_size(shape: Shape, device: torch.device) -> int:
    """Returns a power of two from 16 to 1024, the same on every machine of a kind."""
    images = _VALUES[device.type] / math.prod(shape)
    return 2 ** min(10, max(4, int(math.log2(max(images, 1)))))


def is_out_of_memory(error: BaseException) -> bool:
    """Returns whether a smaller batch could help."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(s in str(error) for s in _SIGNS)


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

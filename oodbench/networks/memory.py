"""How many images fit in memory: a first guess, and the error that says fewer."""

import math

import torch

from oodbench.data.dataset import Shape

_VALUES = {"cpu": 2**20, "cuda": 2**24, "mps": 2**22}
"""In the images of a batch, so that the network's activations mostly fit."""

_SIGNS = (
    "can't allocate memory",  # torch's allocator on the CPU
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)


def first_batch_size(shape: Shape, device: torch.device) -> int:
    """Returns a power of two from 16 to 1024, the same on every machine of a kind."""
    images = _VALUES[device.type] / math.prod(shape)
    return 2 ** min(10, max(4, int(math.log2(max(images, 1)))))


def is_out_of_memory(error: BaseException) -> bool:
    """Returns whether a smaller batch could help."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(s in str(error) for s in _SIGNS)

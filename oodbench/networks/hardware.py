"""The machine: the device to use, the images that fit, the threads to run."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress

import torch
from torch import nn
from torch.func import functional_call

from oodbench.base.errors import InputError
from oodbench.data.dataset import Shape
from oodbench.networks.network import Network

_VALUES = {"cpu": 2**20, "cuda": 2**24}
"""Values in the images of a batch, such that the network's activations mostly fit."""

_SIGNS = (
    "can't allocate memory",  # torch's allocator on the CPU
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)

SMALL = 10**7
"""Multiplications per image, at most, of networks that run fastest on one thread."""

_LARGEST_MAP = 2**27
"""Values that a layer may return for two images: half a gigabyte."""

_PADDED = 4
"""By how much padding may enlarge a map; no architecture here enlarges it otherwise."""


def pick_device(name: str) -> torch.device:
    """Returns the device auto, cpu or cuda; auto takes the fastest there is.

    Apple's GPUs are left out: they have no float64, which scores are computed in.

    Raises:
        InputError: This machine, or this build of torch, has no such device.
    """
    present = {"cuda": torch.cuda.is_available(), "cpu": True}
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
    """Runs a small module on images of a shape on one thread."""
    weights = sum(weight.numel() for weight in module.parameters())
    work = weights * shape.height * shape.width
    before = torch.get_num_threads()
    if work < SMALL:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def check_activations(module: nn.Module, shape: Shape) -> None:
    """Refuses a network whose maps of two images would take much memory.

    A few bytes of a file may describe such a network. It is run without memory, unless
    it is too narrow for such maps: that run imports PyTorch's compiler, which takes
    longer than PyTorch itself.

    Raises:
        InputError: A layer returns more than `_LARGEST_MAP` values.
    """
    tensors = [*module.named_parameters(), *module.named_buffers()]
    width = max((max(each.shape, default=1) for _, each in tensors), default=1)
    if 2 * math.prod(shape) * width * _PADDED <= _LARGEST_MAP:
        return
    sizes: list[int] = []
    hooks = [
        layer.register_forward_hook(lambda *call: sizes.append(_values_of(call[-1])))
        for layer in module.modules()
    ]
    empty = {name: torch.empty_like(each, device="meta") for name, each in tensors}
    try:
        with torch.no_grad(), suppress(RuntimeError):  # the network says why it fails
            functional_call(
                module.eval(), empty, torch.empty((2, *shape), device="meta")
            )
    finally:
        for hook in hooks:
            hook.remove()
    if max(sizes, default=0) > _LARGEST_MAP:
        raise InputError(
            f"a layer of its network would return {max(sizes)} values for two images "
            f"{shape}; {_LARGEST_MAP} are allowed."
        )


def _values_of(output: object) -> int:
    return output.numel() if isinstance(output, torch.Tensor) else 0

"""The sizes of Wide ResNets: which there are, and which a state dict shows."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from oodbench.base.errors import InputError
from oodbench.networks.architectures import Settings
from oodbench.networks.architectures._names import count, shape


def blocks_of(depth: int, width: int) -> int:
    """Returns the number of blocks in each of the three stages.

    Raises:
        InputError: There is no such depth or width.
    """
    if depth % 6 != 4 or not 10 <= depth < 1000 or width < 1:
        raise InputError(
            f"There is no WRN-{depth}-{width}; the depth is 10, 16, 22, 28, … and "
            "the width at least 1."
        )
    return (depth - 4) // 6


def sizes(
    tensors: Mapping[str, Tensor], *, block: str, stem: str, head: str
) -> Settings | None:
    """Returns classes, channels, depth and width; None if it is none of this family.

    Args:
        tensors: The state dict.
        block: Name of a weight in each block of a stage, with {} for its number.
        stem: Name of the first convolution's weight.
        head: Name of the last layer's weight.
    """
    blocks = count(tensors, block)
    match shape(tensors, stem), shape(tensors, head):
        case (16, channels, 3, 3), (classes, columns) if blocks and columns % 64 == 0:
            return {
                "classes": classes,
                "channels": channels,
                "depth": 6 * blocks + 4,
                "width": columns // 64,
            }
    return None

"""What a network gives for some images."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor


class Joint(NamedTuple):
    """Logits and log p(x): the output of an unconditional JEM, or of an ensemble."""

    logits: Tensor
    """`[N, K]`."""
    log_px: Tensor
    """`[N]`, unnormalised."""
    members: Tensor | None = None
    """`[N, M, K]`, the logits of an ensemble's members."""

    @classmethod
    def of(cls, output: Tensor | Joint) -> Joint:
        """Returns a module's output in float32 or float64.

        For logits alone, log p(x) is their LogSumExp.
        """
        if isinstance(output, Joint):
            members = output.members
            return cls(
                _at_least_float32(output.logits),
                _at_least_float32(output.log_px),
                None if members is None else _at_least_float32(members),
            )
        logits = _at_least_float32(output)
        return cls(logits, logits.logsumexp(1))


class Result(NamedTuple):
    """The output of one forward pass."""

    logits: Tensor
    """`[N, K]`, float32."""
    log_px: Tensor
    """`[N]`, float32, unnormalised log p(x)."""
    features: Tensor | None
    """`[N, D]`, the input of the head; None where there is no linear head."""
    maps: Mapping[str, Tensor] = MappingProxyType({})
    """`[N, C, H, W]`, the feature maps of the blocks that were asked for, by name."""
    members: Tensor | None = None
    """`[N, M, K]`, float32, the logits of an ensemble's members."""

    def copy(self) -> Result:
        """Returns the same in tensors that others may write into."""
        features = None if self.features is None else self.features.clone()
        maps = {name: one.clone() for name, one in self.maps.items()}
        members = None if self.members is None else self.members.clone()
        return Result(self.logits.clone(), self.log_px.clone(), features, maps, members)


def _at_least_float32(values: Tensor) -> Tensor:
    return values.to(torch.promote_types(values.dtype, torch.float32))

"""The part of the loss that raises log p of data and lowers that of samples."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Contrast(NamedTuple):
    """log p, up to log Z, of data beside that of samples."""

    data: Tensor
    """`[N]`, or a single 0 where the term is left out."""
    samples: Tensor
    """`[M]`, or a single 0."""

    @property
    def gap(self) -> Tensor:
        """Mean over data minus mean over samples; it grows with the likelihood."""
        return self.data.mean() - self.samples.mean()

    @property
    def size(self) -> Tensor:
        """Mean square over data plus that over samples."""
        return self.data.square().mean() + self.samples.square().mean()

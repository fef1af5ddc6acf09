"""What one training iteration shows."""

from __future__ import annotations

from typing import NamedTuple


class Step(NamedTuple):
    """Means over the images and samples of one iteration, of all processes."""

    iteration: int
    """Counted from 0."""
    loss: float
    cross_entropy: float
    accuracy: float
    """Of the training batch, in [0, 1]."""
    log_px: float
    """Of data; 0 without samples."""
    log_px_samples: float
    joint_gap: float
    """log p(x, y) of data minus that of samples; 0 without that term."""
    moved: float
    """Distance that a chain went in this iteration, pixels in [-1, 1]."""
    outside: float
    """Share of the samples' pixels outside [-1, 1]."""
    rate: float
    """Learning rate."""

    @property
    def gap(self) -> float:
        """Log p(x) of data minus that of samples; near 0 in a stable run."""
        return self.log_px - self.log_px_samples

"""Images of uniform noise, which stand for unknown images."""

from dataclasses import dataclass

from torch import Tensor

from oodbench import Outputs
from oodbench.jem.sampler import ChainNoise


@dataclass(frozen=True)
class OnNoise:
    """The features of uniform noise in the place of the first images of a set."""

    seed: int
    images: int

    def __call__(self, batch: Outputs) -> Tensor:
        """Returns the features, `[N, D]`; for later images, those of no noise."""
        if batch.numbers.min() >= self.images:
            return batch.features
        noise = ChainNoise(self.seed, batch.numbers.tolist()).uniform(batch.inputs)
        return batch.run((noise + 1) / 2).features

"""The probability of a zero-shot classifier's classes among negative texts."""

from dataclasses import dataclass

import torch
from torch import Tensor

from oodbench import Detector, Need, Outputs
from oodbench.detectors._checks import check_at_least, check_temperature
from oodbench.scoring.fitting.statistics import unit


@dataclass
class NegLabel(Detector):
    """log s − log(1 − s), with s = mean_g Σ_k exp(c_k / T) / (Σ_k … + Σ_{j ∈ g} …).

    c_k are the cosines of an image with the classes' texts, c_j with negative texts. g
    are groups of negatives, equal in size and drawn at random; what is left over is
    dropped. It orders images exactly as s, the published score, which rounds to 1.

    The network brings the negatives. Those of the authors are the 15 % of WordNet's
    nouns and of its adjectives that are least like the classes; oodbench ships no list
    of words, and mines those of your files in this way. The groups of the authors' code
    depend on the GPU's random numbers, and differ from these. With one group, it leaves
    out the softmax.

    Jiang, Liu, Fang, Chen, Liu, Zheng and Han, Negative Label Guided OOD Detection with
    Pretrained Vision-Language Models, ICLR 2024, arXiv 2403.20078.
    """

    needs = Need.FEATURES | Need.TEXTS | Need.NEGATIVES

    groups: int = 100
    """The number of groups; 1 takes all negatives at once."""
    temperature: float = 0.01
    """T."""
    seed: int = 0
    """Of the draw of groups."""

    def __post_init__(self) -> None:
        check_temperature(self.temperature)
        check_at_least(self, groups=1, seed=0)

    def score(self, batch: Outputs) -> Tensor:
        """Returns the log odds, `[N]`.

        Raises:
            ValueError: There are fewer negatives than groups.
        """
        features = unit(batch.features.double())
        classes = features @ unit(batch.texts.double()).T / self.temperature
        groups = self._grouped(batch.negatives)
        negatives = features @ unit(groups.double()).T / self.temperature
        inside = classes.logsumexp(1, keepdim=True)
        # Negatives of a group lie side by side; [N, groups] from here on.
        outside = negatives.unflatten(1, (self.groups, -1)).logsumexp(2)
        total = torch.logaddexp(inside, outside)
        return (inside - total).logsumexp(1) - (outside - total).logsumexp(1)

    def _grouped(self, negatives: Tensor) -> Tensor:
        """Returns the negatives, one group after the other."""
        count = len(negatives)
        if count < self.groups:
            raise ValueError(
                f"{count} negative texts make no {self.groups} groups; set groups"
            )
        generator = torch.Generator().manual_seed(self.seed)
        each = count // self.groups
        # As the authors' code does, which drops the last ones before the draw.
        order = torch.randperm(each * self.groups, generator=generator)
        return negatives[order.to(negatives.device)]

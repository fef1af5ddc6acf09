"""Confidence over random subsets of the features."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from oodbench import Detector, Need, Outputs
from oodbench.detectors._checks import check_at_least
from oodbench.detectors._head import logits_of
from oodbench.jem.counter_noise import CounterNoise
from oodbench.scoring.probabilities import log_odds, neg_log_entropy

SCORES = ("confidence", "entropy", "agreement", "votes")


@dataclass
class MCDropout(Detector):
    """log p − log(1 − p) with p = max_y of the mean softmax over passes with dropout.

    Monte Carlo dropout of the features alone: in each pass a feature is 0 with the
    probability `rate`, and else divided by 1 − rate. Other layers stay as they are, so
    that the network does not run again, and it needs no dropout layer. Other scores:
    `entropy` is −log H of the mean p̄; `agreement` is −mean KL(p ‖ p̄), minus the mutual
    information; `votes` is the share of passes that predict the commonest class.

    A rate of 0.5 on the features is OpenOOD's choice, with 5 passes whose logits it
    averages; 30 passes are pytorch-ood's. The noise depends on the seed and on the
    image's place in its set alone.

    Gal and Ghahramani, Dropout as a Bayesian Approximation: Representing Model
    Uncertainty in Deep Learning, ICML 2016.
    """

    needs = Need.FEATURES | Need.HEAD | Need.NETWORK

    rate: float = 0.5
    """The probability that a feature is dropped, at least 0 and below 1."""
    passes: int = 30
    """At least 1."""
    score_of: str = "confidence"
    """confidence, entropy, agreement or votes."""
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.rate < 1:
            raise ValueError(f"rate must be at least 0 and below 1, got {self.rate}")
        if self.score_of not in SCORES:
            known = ", ".join(SCORES)
            raise ValueError(f"score_of must be one of {known}, got {self.score_of!r}")
        check_at_least(self, passes=1, seed=0)

    def score(self, batch: Outputs) -> Tensor:
        """Returns the score, `[N]`."""
        logits = self._logits(batch)
        if self.score_of == "votes":
            votes = one_hot(logits.argmax(2), logits.shape[2]).sum(0)
            return votes.amax(1).double() / self.passes
        passes = logits.log_softmax(2)
        mean = passes.logsumexp(0) - math.log(self.passes)
        if self.score_of == "agreement":
            information = (passes.exp() * (passes - mean)).sum(2).mean(0)
            return -information.clamp(min=0)  # below 0 by rounding alone
        return (
            log_odds(mean) if self.score_of == "confidence" else neg_log_entropy(mean)
        )

    def _logits(self, batch: Outputs) -> Tensor:
        """Returns the logits of all passes, `[passes, N, K]`."""
        noise = CounterNoise(self.seed, batch.numbers)
        features = batch.features.double() / (1 - self.rate)
        kept = (
            noise.uniform(features) >= 2 * self.rate - 1 for _ in range(self.passes)
        )
        return torch.stack([logits_of(batch.head, features * each) for each in kept])

"""Regret of the predictive normalised maximum likelihood learner."""

import math
from dataclasses import dataclass, field

from torch import Tensor
from torch.nn.functional import linear

from oodbench import Detector, Known, Need, Outputs
from oodbench.detectors._head import check_classes, weights
from oodbench.detectors._softmax import log_p
from oodbench.scoring.fitting.statistics import in_blocks, scatter, unit, whitening


@dataclass
class PNML(Detector):
    """−ln(Σ_y q_y) / ln K, with q = p / (p + (1 − p) p^κ) for each class.

    p = softmax(W ẑ + b) for the features ẑ, scaled to length 1. κ = r / (1 + r) with
    r = ẑᵀ (ẐᵀẐ)⁺ ẑ over the training features Ẑ tells how little they say about ẑ. q is
    the probability of each class, had the image been trained on with that class as its
    label; the score is the negative regret, 0 at best.

    There are no parameters. Eigenvalues of ẐᵀẐ up to D · 2.2e-16 of the largest count
    as 0; in directions that no training image has, r is 0. The authors cut off singular
    values at 1e-15 of the largest.

    Bibas, Feder and Hassner, Single Layer Predictive Normalized Maximum Likelihood for
    Out-of-Distribution Detection, NeurIPS 2021, arXiv 2110.09246.
    """

    needs = Need.FEATURES | Need.HEAD
    fitted_on = "train"

    _root: Tensor = field(init=False, repr=False)

    def fit(self, known: Known) -> None:
        """Computes a root of (ẐᵀẐ)⁺."""
        check_classes(known)
        features = known.features
        units = (block for _, block in in_blocks(features, unit))
        products = scatter(units, features.shape[1])
        if not products.trace() > 0:
            raise ValueError("the features of all training images are 0")
        self._root = whitening(products)

    def score(self, batch: Outputs) -> Tensor:
        """Returns the negative regret, `[N]`, −1 … 0."""
        units, head = unit(batch.features.double()), batch.head
        bias = None if head.bias is None else head.bias.detach().double()
        ln_p = log_p(linear(units, weights(head), bias))
        far = (units @ self._root.T).square().sum(1, keepdim=True)
        missing = -ln_p.expm1()  # 1 − p
        q = (ln_p / (1 + far) - missing.log()).sigmoid()
        # Σ q − 1 as the sum of q − p, none of which is negative.
        more = q * missing * -(far / (1 + far) * ln_p).expm1()
        return -more.sum(1).log1p() / math.log(ln_p.shape[1])

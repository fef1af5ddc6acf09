"""Relative distance to the predicted class's mean, decoupled by the head's signs."""

from dataclasses import dataclass, field

from torch import Tensor

from oodbench import Detector, Known, Need, Outputs
from oodbench.detectors._caref import reference_means
from oodbench.detectors._head import LEAST, weights
from oodbench.detectors._softmax import log_gen_terms
from oodbench.scoring.fitting.statistics import over_blocks


def _gen(logits: Tensor) -> Tensor:
    terms = log_gen_terms(logits, gamma=0.1, top=max(10, logits.shape[1] // 10))
    return (-terms.logsumexp(1)).clamp(max=500).exp()


_SCORES = {
    "energy": lambda logits: logits.double().logsumexp(1),
    "max_logit": lambda logits: logits.double().amax(1),
    "msp": lambda logits: logits.double().softmax(1).amax(1),
    "gen": _gen,
}


@dataclass
class CADRef(Detector):
    """−(e₊ / g(f) + e₋ / ḡ).

    e₊ and e₋ are the parts of the relative distance ‖z − μ_ĉ‖₁ / ‖z‖₁ in features whose
    deviation raises (e₊) or lowers (e₋) the logit of the predicted class ĉ. μ_ĉ is the
    mean feature of the training images predicted as ĉ (see CARef). g is a score of the
    logits, and ḡ its mean over the training images.

    The default g is that of the authors' script. Energy and the largest logit can be
    negative; here a mean ḡ ≤ 0 is refused, and g counts as at least 1e-6 ḡ.

    Ling, Chang, Zhao, Zhao, Chow and Deng, CADRef: Robust Out-of-Distribution Detection
    via Class-Aware Decoupled Relative Feature Leveraging, CVPR 2025, arXiv 2503.00325.
    """

    needs = Need.FEATURES | Need.HEAD | Need.LABELS
    fitted_on = "train"

    logit_score: str = "energy"
    """g: energy, max_logit, msp, or gen (1 / Σ p^.1 (1 − p)^.1 over the largest p)."""
    _means: Tensor = field(init=False, repr=False)
    _usual: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.logit_score not in _SCORES:
            names = ", ".join(_SCORES)
            raise ValueError(
                f"logit_score must be one of {names}, got {self.logit_score!r}"
            )

    def fit(self, known: Known) -> None:
        """Keeps the class means and the mean score of the logits."""
        known.head  # noqa: B018 - without a linear head it fails here already
        self._usual = over_blocks(known.logits, _SCORES[self.logit_score]).mean().item()
        if not self._usual > 0:
            raise ValueError(
                f"the mean {self.logit_score} of the training images is "
                f"{self._usual:.4g}, which must be positive; take msp or gen"
            )
        self._means = known.shared(reference_means)

    def score(self, batch: Outputs) -> Tensor:
        """Returns the negative weighted distance, `[N]`, at most 0."""
        features, top = batch.features.double(), batch.logits.argmax(1)
        away = features - self._means[top]
        signed = away * weights(batch.head)[top].sign()
        logit_score = _SCORES[self.logit_score](batch.logits)
        raising = signed.clamp(min=0).sum(1) / logit_score.clamp(min=1e-6 * self._usual)
        lowering = (-signed).clamp(min=0).sum(1) / self._usual
        return -(raising + lowering) / features.abs().sum(1).clamp(min=LEAST)

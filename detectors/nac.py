"""Coverage of the image's neuron states by those of training images."""

from dataclasses import dataclass, field

from torch import Tensor

from oodbench import Detector, Known, Need, Outputs
from oodbench.detectors._bank import drawn, taken
from oodbench.detectors._checks import check_at_least
from oodbench.detectors._coverage import Bins, Coverage, feature_products


@dataclass
class NAC(Detector):
    """Mean over features of min(n / enough, 1), n the training images in the same bin.

    The state of a feature z is the sigmoid of α z g, with g = Wᵀ(p − 1/K) the gradient
    of KL(uniform ‖ p). Its values in [0, 1] are put into bins that are narrow near ½;
    n counts the training images whose state of this feature is in the image's bin.

    The authors add earlier layers, as `nac_layers` does; of the last one, the gradient
    has a closed form. The defaults are theirs for CIFAR-10 (for ImageNet α = 3000,
    enough = 10), chosen by OOD images. They count 1,000 images, as many of each class;
    here the draw is random.

    Liu, Tian, Li, Zhang and Zhang, Neuron Activation Coverage: Rethinking
    Out-of-distribution Detection and Generalization, ICLR 2024, arXiv 2306.02879.
    """

    needs = Need.FEATURES | Need.HEAD
    fitted_on = "train"
    chosen_on = dict.fromkeys(("alpha", "enough", "bins"), "OOD validation images")

    alpha: float = 100.0
    """Steepness α of the sigmoid, above 0."""
    enough: int = 50
    """O, the training images that cover a bin in full, at least 1."""
    bins: int = 50
    """M, even and at least 4; there are M − 2 bins."""
    images: int = 1000
    """The number of training images that are counted, at most; at least 1."""
    seed: int = 0
    """Of their draw."""
    fitted_images: int = field(init=False, repr=False)
    _coverage: Coverage = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._bins = Bins(self.alpha, self.enough, self.bins)
        check_at_least(self, images=1, seed=0)

    def fit(self, known: Known) -> None:
        """Keeps the coverage of each feature's bins."""
        places = drawn(len(known), 1.0, self.seed, self.images)
        self.fitted_images = len(places)
        features, logits = taken(known.features, places), taken(known.logits, places)
        products = feature_products(features, logits, known.head)
        self._coverage = self._bins.covered_by(products)

    def score(self, batch: Outputs) -> Tensor:
        """Returns the mean coverage, `[N]`, in [0, 1]."""
        products = feature_products(batch.features, batch.logits, batch.head)
        return self._coverage.mean(products)

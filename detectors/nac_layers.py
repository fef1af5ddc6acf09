"""Coverage of the image's neuron states in several layers by training images."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from oodbench import Detector, Known, Need, Outputs, Result
from oodbench.detectors._bank import drawn, taken
from oodbench.detectors._blocks import apart, beside
from oodbench.detectors._checks import check_at_least
from oodbench.detectors._coverage import Bins, Coverage, feature_products


def divergence(result: Result) -> Tensor:
    """Returns KL(uniform ‖ p) but for a constant, `[N]`."""
    return -result.logits.log_softmax(1).mean(1)


def by_layer(outputs: Outputs) -> list[Tensor]:
    """Returns activation · gradient of the neurons of each layer, `[N, D]`, float32."""
    found = [feature_products(outputs.features, outputs.logits, outputs.head)]
    for block in outputs.blocks[-2::-1]:
        gradient = outputs.map_gradient(block, divergence).mean((2, 3))
        found.append(outputs.map(block).mean((2, 3)) * gradient)
    return [one.float() for one in found]


def products(outputs: Outputs) -> Tensor:
    """Returns the same in one tensor, `[N, layers, largest D]`."""
    return beside(by_layer(outputs))


@dataclass
class NACLayers(Detector):
    """Mean over layers of the coverage of neuron states, which `nac` has for one layer.

    The layers are the features, then the blocks before the last one, from the last to
    the first. The state of a channel is the sigmoid of α o g, with its mean o and the
    mean g of the gradient of KL(uniform ‖ p) over its positions.

    The first three parameters give one number per layer, in this order, separated by /.
    Further layers do not count. The defaults are the authors' for a network with four
    blocks on CIFAR-10; a note of theirs says that the method overfits.

    Liu, Tian, Li, Zhang and Zhang, Neuron Activation Coverage: Rethinking
    Out-of-distribution Detection and Generalization, ICLR 2024, arXiv 2306.02879.
    """

    needs = Need.FEATURES | Need.HEAD | Need.BLOCKS
    objectives = (divergence,)
    summaries = (products,)
    fitted_on = "train"
    chosen_on = dict.fromkeys(("alpha", "enough", "bins"), "OOD validation images")

    alpha: str = "100/1000/0.001/0.001"
    enough: str = "50/100/5/100"
    bins: str = "50/500/50/500"
    images: int = 1000
    """The number of training images that are counted, at most; at least 1."""
    seed: int = 0
    """Of their draw."""
    fitted_images: int = field(init=False, repr=False)
    _coverages: tuple[Coverage, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._bins = Bins.of_layers(self.alpha, self.enough, self.bins)
        check_at_least(self, images=1, seed=0)

    def fit(self, known: Known) -> None:
        """Keeps the coverage of the bins of each layer's neurons."""
        places = drawn(len(known), 1.0, self.seed, self.images)
        self.fitted_images = len(places)
        rows = apart(taken(known.summary(products), places))
        layers = zip(self._bins, rows, strict=False)
        self._coverages = tuple(own.covered_by(each) for own, each in layers)

    def score(self, batch: Outputs) -> Tensor:
        """Returns the mean coverage, `[N]`, in [0, 1]."""
        layers = zip(self._coverages, by_layer(batch), strict=False)
        return torch.stack([own.mean(each) for own, each in layers]).mean(0)

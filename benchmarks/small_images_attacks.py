"""The attacks of `small_images.py`: PGD, and AutoAttack on half of its images."""

from oodbench import Network
from oodbench.attacks.images import Images
from oodbench.attacks.methods.auto_attack import AutoAttack
from oodbench.attacks.robust_accuracy import RobustAccuracy, attack_target
from oodbench.attacks.suite import Suite
from oodbench.attacks.targets import Classifier
from oodbench.data.image_set import open_images
from oodbench.data.spec import open_dataset

EPS, ATTACKED = (0.02, 0.05, 0.1), 200
"""Of PGD with 40 steps, L∞, in pixels of [0, 1]."""
AUTO_EPS, AUTO_ATTACKED = 0.05, 100
"""Of AutoAttack, and of PGD beside it."""


def pgd(network: Network, inside: str) -> dict[str, float]:
    """Returns the accuracy under PGD for each eps, and for 0."""
    found = _attacked(network, inside, ATTACKED, Suite("linf", EPS))
    values = zip(found.eps, found.accuracy, strict=True)
    return {f"{eps:g}": accuracy for eps, accuracy in values}


def pgd_and_auto(network: Network, inside: str) -> dict[str, float]:
    """Returns the accuracies on the same images, under none, PGD and AutoAttack."""
    suite = Suite("linf", (AUTO_EPS,), auto=AutoAttack())
    found = _attacked(network, inside, AUTO_ATTACKED, suite)
    by = {name: values[-1] for name, values in found.by_attack.items()}
    return {"clean": found.accuracy[0], **by}


def _attacked(
    network: Network, inside: str, count: int, suite: Suite
) -> RobustAccuracy:
    images = open_images(open_dataset(inside), "test", network.shape, limit=count)
    target = Classifier(network)
    levels = attack_target(suite, target, Images.of(images.split, network.shape))
    return RobustAccuracy.of(target, levels)

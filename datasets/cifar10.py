"""CIFAR-10."""

from oodbench import Dataset, Shape
from oodbench.data.sources.source import Origin, Source
from oodbench.datasets._cifar import CITATION, HOMEPAGE, read_batches
from oodbench.datasets._labelled import Labelled, labelled_set

ARCHIVE = Source(
    "cifar10/cifar-10-python.tar.gz",
    ("https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",),
    checksum="md5:c58f30108f718f92721af3b95e74349a",
    stated_by="torchvision 0.29.1",
    size=170498071,
)
ORIGIN = Origin(
    (ARCHIVE,),
    images="50,000 train, 10,000 test",
    citation=CITATION,
    homepage=HOMEPAGE,
    trouble="OpenOOD tests on 9,000 of the test images and validates on the others.",
)


def cifar10(argument: str) -> Dataset:
    """Opens CIFAR-10, or some of its ten classes: `cifar10:0-7`.

    Images are `[N, 32, 32, 3]`, uint8. The last 5,000 training images are val.
    """
    return labelled_set(
        "cifar10",
        argument,
        _read,
        ORIGIN,
        classes=10,
        family="cifar",
        shape=Shape(3, 32, 32),
        label_space="cifar10",
    )


def _read(train: bool) -> Labelled:
    names = [f"data_batch_{n}" for n in range(1, 6)] if train else ["test_batch"]
    return read_batches(ARCHIVE, [f"cifar-10-batches-py/{n}" for n in names], "labels")

"""CIFAR-100."""

from oodbench import Dataset, Shape
from oodbench.data.sources.source import Origin, Source
from oodbench.datasets._cifar import CITATION, HOMEPAGE, read_batches
from oodbench.datasets._labelled import Labelled, labelled_set

ARCHIVE = Source(
    "cifar100/cifar-100-python.tar.gz",
    ("https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",),
    checksum="md5:eb9058c3a382ffc7106e4002c42a8d85",
    stated_by="torchvision 0.29.1",
)
ORIGIN = Origin(
    (ARCHIVE,),
    images="50,000 train, 10,000 test",
    citation=CITATION,
    homepage=HOMEPAGE,
    trouble="It shares no class name with CIFAR-10, but some images look alike: pickup "
    "trucks, buses and streetcars. OpenOOD takes 9,000 of its test images.",
)


def cifar100(argument: str) -> Dataset:
    """Opens CIFAR-100 with its fine labels, or some of them: `cifar100:0-49`.

    Images are `[N, 32, 32, 3]`, uint8. The last 5,000 training images are val.
    """
    return labelled_set(
        "cifar100",
        argument,
        _read,
        ORIGIN,
        classes=100,
        family="cifar",
        shape=Shape(3, 32, 32),
        label_space="cifar100",
    )


def _read(train: bool) -> Labelled:
    name = "train" if train else "test"
    return read_batches(ARCHIVE, [f"cifar-100-python/{name}"], "fine_labels")

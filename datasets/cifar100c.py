"""CIFAR-100-C."""

from oodbench import Dataset
from oodbench.data.sources.source import Origin, Source
from oodbench.datasets._cifar_c import CITATION, IMAGES, corrupted_cifar

ARCHIVE = Source(
    "cifar100c/CIFAR-100-C.tar",
    ("https://zenodo.org/record/3555552/files/CIFAR-100-C.tar",),
    checksum="md5:11f0ed0f1191edbf9fa23466ae6021d3",
    stated_by="pytorch-ood, torch-uncertainty and detectors",
)
ORIGIN = Origin(
    (ARCHIVE,),
    images=IMAGES,
    citation=CITATION,
    licence="CC-BY-4.0 (pytorch-ood)",
    homepage="https://zenodo.org/record/3555552",
)


def cifar100c(argument: str) -> Dataset:
    """Opens corrupted CIFAR-100 test images: `cifar100c:fog:3`, `cifar100c:fog` or all.

    The number is the severity, from 1 to 5; without it there are all five, one behind
    another. Images are `[N, 32, 32, 3]`, uint8, all in the test split.
    """
    return corrupted_cifar("cifar100", argument, ARCHIVE, ORIGIN)

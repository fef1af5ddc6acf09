"""CIFAR-10-C."""

from oodbench import Dataset
from oodbench.data.sources.source import Origin, Source
from oodbench.datasets._cifar_c import CITATION, IMAGES, corrupted_cifar

ARCHIVE = Source(
    "cifar10c/CIFAR-10-C.tar",
    (
        "https://zenodo.org/record/2535967/files/CIFAR-10-C.tar",
        "https://huggingface.co/datasets/torch-uncertainty/CIFAR-C/resolve/main/CIFAR-10-C.tar",
    ),
    checksum="md5:56bf5dcef84df0e2308c6dcbcbbd8499",
    stated_by="pytorch-ood, torch-uncertainty and detectors",
)
ORIGIN = Origin(
    (ARCHIVE,),
    images=IMAGES,
    citation=CITATION,
    licence="CC-BY-4.0 (pytorch-ood)",
    homepage="https://zenodo.org/record/2535967",
    trouble="The cifar10c of OpenOOD is a list of 10,000 of these images.",
)


def cifar10c(argument: str) -> Dataset:
    """Opens corrupted CIFAR-10 test images: `cifar10c:fog:3`, `cifar10c:fog` or all.

    The number is the severity, from 1 to 5; without it there are all five, one behind
    another. Images are `[N, 32, 32, 3]`, uint8, all in the test split.
    """
    return corrupted_cifar("cifar10", argument, ARCHIVE, ORIGIN)

"""MNIST."""

from oodbench import Dataset
from oodbench.data.sources.source import Origin
from oodbench.datasets._idx import idx_set, idx_sources

ORIGIN = Origin(
    idx_sources(
        "mnist",
        (
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "http://yann.lecun.com/exdb/mnist/",
        ),
        (
            "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "d53e105ee54ea40749a09fcbcd1e9432",
            "9fb629c4189551a2d022fa330f9573f3",
            "ec29112dd5afa0611ce80d1b7f02629c",
        ),
    ),
    images="60,000 train, 10,000 test",
    citation="LeCun, Bottou, Bengio and Haffner, Gradient-Based Learning Applied to "
    "Document Recognition, Proceedings of the IEEE 1998",
    homepage="http://yann.lecun.com/exdb/mnist/",
    trouble="OpenOOD takes the train and the test images, 70,000, as one OOD set.",
)


def mnist(argument: str) -> Dataset:
    """Opens the MNIST digits, or some of them: `mnist:0-7`.

    Images are `[N, 28, 28, 1]`, uint8. The last 6,000 training images are val.
    """
    return idx_set(
        "mnist", argument, ORIGIN, family="characters", label_space="handwritten digits"
    )

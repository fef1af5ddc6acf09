"""Fashion-MNIST."""

from oodbench import Dataset
from oodbench.data.sources.source import Origin
from oodbench.datasets._idx import idx_set, idx_sources

ORIGIN = Origin(
    idx_sources(
        "fashionmnist",
        ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
        (
            "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "25c81989df183df01b3e8a0aad5dffbe",
            "bef4ecab320f06d8554ea6380940ec79",
            "bb300cfdad3c16e7a12a480ee83cd310",
        ),
    ),
    images="60,000 train, 10,000 test",
    citation="Xiao, Rasul and Vollgraf, Fashion-MNIST, arXiv 1708.07747",
    homepage="https://github.com/zalandoresearch/fashion-mnist",
)


def fashionmnist(argument: str) -> Dataset:
    """Opens the grey images of clothes, or some of the classes: `fashionmnist:0-7`.

    Images are `[N, 28, 28, 1]`, uint8. The last 6,000 training images are val.
    """
    return idx_set("fashionmnist", argument, ORIGIN, family="clothes")

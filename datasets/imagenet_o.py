"""ImageNet-O."""

from __future__ import annotations

from oodbench import Dataset
from oodbench.data.sources.source import Origin, Source
from oodbench.datasets._files import loose, one_split

ARCHIVE = Source(
    "imagenet_o/imagenet-o.tar",
    ("https://people.eecs.berkeley.edu/~hendrycks/imagenet-o.tar",),
    checksum="md5:86bd7a50c1c4074fb18fc5f219d6d50b",
    stated_by="pytorch-ood, torch-uncertainty and detectors",
    unpack=True,
)
ORIGIN = Origin(
    (ARCHIVE,),
    images="2,000",
    citation="Hendrycks, Zhao, Basart, Steinhardt and Song, Natural Adversarial "
    "Examples, CVPR 2021, arXiv 1907.07174",
    homepage="https://github.com/hendrycks/natural-adv-examples",
    trouble="Its images were chosen against one network, so it is biased.",
)


def imagenet_o(argument: str) -> Dataset:
    """Opens photographs of classes outside ImageNet-1k.

    Images have various sizes and no labels, and are all in the test split.
    """
    return one_split("imagenet_o", argument, ORIGIN, loose, family="imagenet")

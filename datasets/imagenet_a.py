"""ImageNet-A."""

from __future__ import annotations

from oodbench import Dataset
from oodbench.data.sources.source import Origin, Source
from oodbench.datasets._files import class_folders, one_split

ARCHIVE = Source(
    "imagenet_a/imagenet-a.tar",
    ("https://people.eecs.berkeley.edu/~hendrycks/imagenet-a.tar",),
    checksum="md5:c3e55429088dc681f30d81f4726b6595",
    stated_by="pytorch-ood, torch-uncertainty and detectors",
    unpack=True,
)
ORIGIN = Origin(
    (ARCHIVE,),
    images="7,500 (unverified)",
    citation="Hendrycks, Zhao, Basart, Steinhardt and Song, Natural Adversarial "
    "Examples, CVPR 2021, arXiv 1907.07174",
    homepage="https://github.com/hendrycks/natural-adv-examples",
    trouble="Its images were chosen against one network, so it is biased.",
)


def imagenet_a(argument: str) -> Dataset:
    """Opens photographs of 200 ImageNet classes that a ResNet-50 gets wrong.

    Images have various sizes and are all in the test split. Classes have the names of
    ImageNet's folders.
    """
    return one_split(
        "imagenet_a",
        argument,
        ORIGIN,
        lambda root: class_folders(root / "imagenet-a"),
        family="imagenet",
        label_space="imagenet",
    )

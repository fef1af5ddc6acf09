"""Tiny ImageNet, cropped, of the ODIN paper."""

from __future__ import annotations

from oodbench import Dataset, Shape
from oodbench.data.sources.source import Origin, Source
from oodbench.datasets._files import loose, one_split

ARCHIVE = Source(
    "tin_crop/Imagenet.tar.gz",
    ("https://www.dropbox.com/s/raw/avgm2u562itwpkl/Imagenet.tar.gz",),
    checksum="md5:7c0827e4246c3718a5ee076e999e52e5",
    stated_by="pytorch-ood",
    unpack=True,
)
ORIGIN = Origin(
    (ARCHIVE,),
    images="10,000 (unverified)",
    citation="Liang, Li and Srikant, Enhancing The Reliability of "
    "Out-of-distribution Image Detection in Neural Networks, ICLR 2018, "
    "arXiv 1706.02690",
    homepage="https://github.com/facebookresearch/odin",
    trouble="It shares classes with CIFAR. It is another set than tin.",
)


def tin_crop(argument: str) -> Dataset:
    """Opens crops of Tiny ImageNet images, as the ODIN paper distributes them.

    Images are `[N, 32, 32, 3]`, uint8, all in the test split, without labels.
    """
    return one_split(
        "tin_crop", argument, ORIGIN, loose, family="cifar", shape=Shape(3, 32, 32)
    )

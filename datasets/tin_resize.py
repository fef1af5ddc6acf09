"""Tiny ImageNet, resized, of the ODIN paper."""

from __future__ import annotations

from oodbench import Dataset, Shape
from oodbench.data.sources.source import Origin, Source
from oodbench.datasets._files import loose, one_split

ARCHIVE = Source(
    "tin_resize/Imagenet_resize.tar.gz",
    ("https://www.dropbox.com/s/raw/kp3my3412u5k9rl/Imagenet_resize.tar.gz",),
    checksum="md5:0f9ff11d45babf2eff5fe12281d1ac31",
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
    trouble="It was resized without antialiasing, which a network can see. It shares "
    "classes with CIFAR. It is another set than tin.",
)


def tin_resize(argument: str) -> Dataset:
    """Opens Tiny ImageNet images, made smaller, as the ODIN paper distributes them.

    Images are `[N, 32, 32, 3]`, uint8, all in the test split, without labels.
    """
    return one_split(
        "tin_resize", argument, ORIGIN, loose, family="cifar", shape=Shape(3, 32, 32)
    )

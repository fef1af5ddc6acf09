"""The Describable Textures Dataset, from which two sets are made."""

from oodbench.data.sources.source import Origin, Source

ARCHIVE = Source(
    "dtd/dtd-r1.0.1.tar.gz",
    ("https://www.robots.ox.ac.uk/~vgg/data/dtd/download/dtd-r1.0.1.tar.gz",),
    checksum="md5:fff73e5086ae6bdbea199a49dfb8a4c1",
    stated_by="torchvision 0.29.1",
    unpack=True,
)
ORIGIN = Origin(
    (ARCHIVE,),
    images="5,640",
    citation="Cimpoi, Maji, Kokkinos, Mohamed and Vedaldi, Describing Textures in the "
    "Wild, CVPR 2014, arXiv 1311.3618",
    homepage="https://www.robots.ox.ac.uk/~vgg/data/dtd/",
    trouble="Four of its classes overlap ImageNet, and textures leaves them out. Some "
    "images look like the coats of CIFAR's animals.",
)

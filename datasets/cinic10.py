"""CINIC-10."""

from __future__ import annotations

from dataclasses import replace

from oodbench import Dataset, InputError, Shape, Split, SplitName
from oodbench.data.sources.fetch import fetched
from oodbench.data.sources.source import Origin, Source
from oodbench.datasets._files import images_in, labelled, several_splits

ARCHIVE = Source(
    "cinic10/CINIC-10.tar.gz",
    ("https://datashare.is.ed.ac.uk/bitstream/handle/10283/3192/CINIC-10.tar.gz",),
    unpack=True,
)
ORIGIN = Origin(
    (ARCHIVE,),
    images="90,000 train, 90,000 val, 90,000 test",
    citation="Darlow, Crowley, Antoniou and Storkey, CINIC-10 Is Not ImageNet or "
    "CIFAR-10, arXiv 1810.03505",
    homepage="https://github.com/BayesWatch/cinic-10",
    trouble="20,000 images of each split are CIFAR-10's own, in test its whole test "
    "set; cinic10:imagenet leaves them out. Nobody has looked at each of the others.",
)
FOLDERS: dict[SplitName, str] = {"train": "train", "val": "valid", "test": "test"}
FROM_CIFAR = "cifar"
"""How the names of CIFAR-10's images begin; others begin with a WordNet id."""


def cinic10(argument: str) -> Dataset:
    """Opens CIFAR-10 with scaled ImageNet images of its classes, or `cinic10:imagenet`.

    The latter has the 70,000 images of each split that are ImageNet's. Images are `[N,
    32, 32, 3]`, uint8, or grey; classes are in CIFAR-10's order.
    """
    if argument not in ("", "imagenet"):
        raise InputError(
            f"cinic10:{argument} is no part of cinic10; write cinic10:imagenet."
        )

    def load(split: SplitName) -> Split:
        paths = images_in(fetched(ARCHIVE) / FOLDERS[split])
        if argument:
            paths = [path for path in paths if not path.name.startswith(FROM_CIFAR)]
        return labelled(paths, [path.parent.name for path in paths])

    whole = several_splits(
        "cinic10",
        "",
        ORIGIN,
        load,
        ("train", "val", "test"),
        family="cifar",
        label_space="cifar10",
        shape=Shape(3, 32, 32),
    )
    return replace(whole, name=f"cinic10:{argument}") if argument else whole

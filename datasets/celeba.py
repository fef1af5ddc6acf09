"""CelebA."""

from __future__ import annotations

from oodbench import Dataset, Shape, Split, SplitName
from oodbench.data.sources.fetch import fetched
from oodbench.data.sources.source import DRIVE, Origin, Source
from oodbench.data.sources.unpacked import UnpackedFiles
from oodbench.datasets._files import several_splits

ARCHIVE = Source(
    "celeba/img_align_celeba.zip",
    (DRIVE + "0B7EVK8r0v71pZjFTYXZWM3FlRnM",),
    checksum="md5:00d2c5bc6d35e252742224ab0c1e8fcb",
    stated_by="torchvision 0.29.1",
    unpack=True,
)
PARTS = Source(
    "celeba/list_eval_partition.txt",
    (DRIVE + "0B7EVK8r0v71pY0NSMzRuSXJEVkk",),
    checksum="md5:d32c9cbf5e040fd4025c592c306e6668",
    stated_by="torchvision 0.29.1",
)
ORIGIN = Origin(
    (ARCHIVE, PARTS),
    images="162,770 train, 19,867 val, 19,962 test (unverified)",
    citation="Liu, Luo, Wang and Tang, Deep Learning Face Attributes in the Wild, ICCV "
    "2015, arXiv 1411.7766",
    licence="non-commercial (unverified)",
    homepage="http://mmlab.ie.cuhk.edu.hk/projects/CelebA.html",
    trouble="The JEM paper's code scales the short side to 32 and does not crop: its "
    "images are 39x32.",
)
NUMBERS: dict[SplitName, str] = {"train": "0", "val": "1", "test": "2"}


def celeba(argument: str) -> Dataset:
    """Opens photographs of faces, aligned and cropped, in the official splits.

    Images are `[N, 218, 178, 3]`, uint8, without labels.
    """
    return several_splits(
        "celeba",
        argument,
        ORIGIN,
        _load,
        ("train", "val", "test"),
        family="faces",
        shape=Shape(3, 218, 178),
    )


def _load(split: SplitName) -> Split:
    folder = fetched(ARCHIVE) / "img_align_celeba"
    rows = [line.split() for line in fetched(PARTS).read_text("ascii").splitlines()]
    names = [name for name, number in rows if number == NUMBERS[split]]
    return Split(UnpackedFiles([folder / name for name in names]))

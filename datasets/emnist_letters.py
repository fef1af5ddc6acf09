"""The letters of EMNIST."""

from __future__ import annotations

import zipfile

import numpy as np
from numpy.typing import NDArray

from oodbench import Dataset, InputError
from oodbench.data.sources.fetch import fetched
from oodbench.data.sources.source import Origin, Source
from oodbench.datasets._idx import SHAPE, read_idx
from oodbench.datasets._labelled import Labelled, labelled_set

ARCHIVE = Source(
    "emnist/gzip.zip",
    ("https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip",),
    checksum="md5:58c8d27c78d21e728a6bc7b3cc06412e",
    stated_by="torchvision 0.29.1",
)
ORIGIN = Origin(
    (ARCHIVE,),
    images="124,800 train, 20,800 test (unverified)",
    citation="Cohen, Afshar, Tapson and van Schaik, EMNIST: an Extension of MNIST to "
    "Handwritten Letters, arXiv 1702.05373",
    homepage="https://www.westernsydney.edu.au/bens/home/reproducible_research/emnist",
    trouble="The files hold transposed images; here they stand upright.",
)


def emnist_letters(argument: str) -> Dataset:
    """Opens the 26 letters of EMNIST, or some of them: `emnist_letters:0-12`.

    Capitals and small letters share a class. Images are `[N, 28, 28, 1]`, uint8. The
    last tenth of the training images is val.
    """
    return labelled_set(
        "emnist_letters",
        argument,
        _read,
        ORIGIN,
        classes=26,
        family="characters",
        shape=SHAPE,
    )


def _read(train: bool) -> Labelled:
    part = f"gzip/emnist-letters-{'train' if train else 'test'}"
    images = _member(f"{part}-images-idx3-ubyte.gz").transpose(0, 2, 1)[..., None]
    labels = _member(f"{part}-labels-idx1-ubyte.gz").astype(np.int64)
    return Labelled(images, labels - 1)  # from 1


def _member(name: str) -> NDArray[np.uint8]:
    path = fetched(ARCHIVE)
    try:
        with zipfile.ZipFile(path) as archive:
            return read_idx(path, lambda: archive.open(name))
    except (zipfile.BadZipFile, KeyError) as error:
        raise InputError(f"{path} cannot be read ({error}); remove it.") from error

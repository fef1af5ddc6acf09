"""Shards of WebDataset: tar files of images and labels."""

from __future__ import annotations

import json
import operator
import re
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from oodbench import Dataset, InputError, Shape, Split, SplitName
from oodbench.data.dataset import Chunk
from oodbench.data.image_files import SUFFIXES, decode, files_manifest, stacked

RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
"""Numbers of shards, as in `{000..009}`."""


def webdataset(argument: str) -> Dataset:
    """Opens a tar file or numbered ones: `webdataset:'shard-{000..009}.tar'`.

    Files of a shard that share their name up to its first dot are one sample: an image
    (`.png`, `.jpg`, …) and perhaps its class number, in a `.cls` file or as `label` or
    `cls` of a `.json` file. All samples have a class number, or none. Shards are not
    compressed: images are read from their places in them, one at a time.

    The format is that of the WebDataset library (github.com/webdataset/webdataset).
    """
    paths = [Path(text).expanduser() for text in _numbered(argument)]
    missing = [str(path) for path in paths if not path.is_file()]
    if missing:
        raise InputError(f"There is no file {missing[0]!r}; write webdataset:FILE.tar.")

    def load(split: SplitName, shape: Shape) -> Split:
        samples = [sample for path in paths for sample in _samples(path)]
        if not samples:
            raise InputError(f"{argument} holds no images ({', '.join(SUFFIXES)}).")
        return Split(Members(paths, samples), _labels(samples, argument))

    return Dataset(
        name=Path(argument).stem,
        load=load,
        role="unstated",
        place=Path(argument).expanduser().absolute().with_suffix("").as_posix(),
    )


def _numbered(text: str) -> list[str]:
    """Returns the names that a pattern stands for.

    >>> _numbered("a-{08..10}.tar")
    ['a-08.tar', 'a-09.tar', 'a-10.tar']
    """
    match = RANGE.search(text)
    if match is None:
        return [text]
    numbers = range(int(match[1]), int(match[2]) + 1)
    if not numbers:
        raise InputError(f"The numbers {match[0]} of {text} must rise.")
    before, after = text[: match.start()], text[match.end() :]
    width = len(match[1])
    texts = (f"{before}{number:0{width}}{after}" for number in numbers)
    return [name for each in texts for name in _numbered(each)]


class Sample(NamedTuple):
    """An image in a shard."""

    name: str
    shard: Path
    start: int
    """Its first byte in the shard."""
    size: int
    label: int | None


@dataclass(frozen=True)
class Members:
    """Images in tar files, decoded as they are read."""

    shards: Sequence[Path]
    samples: Sequence[Sample]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, chunk: slice, /) -> Chunk:
        return stacked([_read(sample) for sample in self.samples[chunk]])

    def manifest(self) -> str:
        """Returns a hash of the shards' full paths, sizes and dates."""
        return files_manifest(self.shards)


def _read(sample: Sample) -> NDArray[np.generic]:
    content = _content(sample.shard, sample.start, sample.size)
    return decode(content, f"{sample.name} in {sample.shard}")


def _content(shard: Path, start: int, size: int) -> bytes:
    with shard.open("rb") as file:
        file.seek(start)
        return file.read(size)


def _samples(path: Path) -> Iterator[Sample]:
    """Yields the samples of a shard that have an image; no image is read."""
    try:
        with tarfile.open(path, "r:") as shard:
            files = (each for each in shard if each.isreg() and not each.issparse())
            for name, members in groupby(files, lambda each: _parts(each.name)[0]):
                kinds = {_parts(member.name)[1]: member for member in members}
                images = [kind for kind in kinds if f".{kind}" in SUFFIXES]
                if len(images) > 1:
                    raise InputError(
                        f"{name} in {path} has {len(images)} images "
                        f"({', '.join(images)}); leave one."
                    )
                for image in map(kinds.__getitem__, images):
                    label = _label(path, kinds)
                    yield Sample(name, path, image.offset_data, image.size, label)
    except (OSError, tarfile.TarError) as error:
        raise InputError(
            f"{path} cannot be read as an uncompressed tar file ({error})."
        ) from error


def _parts(member: str) -> tuple[str, str]:
    """Returns the name of a sample and, in lower case, the kind of a file of it."""
    folder, slash, name = member.rpartition("/")
    stem, _, kind = name.partition(".")
    return folder + slash + stem, kind.lower()


def _label(path: Path, kinds: dict[str, tarfile.TarInfo]) -> int | None:
    """Returns the class number of a sample, None if it states none."""
    member = kinds.get("cls") or kinds.get("json")
    if member is None:
        return None
    content = _content(path, member.offset_data, member.size)
    try:
        stated = json.loads(content)
        if isinstance(stated, dict):
            stated = stated.get("label", stated.get("cls"))
        return None if stated is None else operator.index(stated)
    except (ValueError, TypeError, RecursionError):
        raise InputError(
            f"{member.name} in {path} must hold a class number, alone or in JSON as "
            "`label` or `cls`."
        ) from None


def _labels(samples: Sequence[Sample], source: str) -> NDArray[np.int64] | None:
    labels = [sample.label for sample in samples]
    known = [label for label in labels if label is not None]
    if not known:
        return None
    if len(known) < len(labels):
        first = samples[labels.index(None)]
        raise InputError(
            f"{first.name} in {first.shard} has no class number, and others of "
            f"{source} have one; give all of them one or none."
        )
    return np.array(known, np.int64)

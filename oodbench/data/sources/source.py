"""What is known of the files that a data set is read from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from oodbench.data.dataset import SplitName

DRIVE = "https://drive.usercontent.google.com/download?export=download&confirm=t&id="
"""Address of a file on Google Drive, without the file's id."""


@dataclass(frozen=True)
class Source:
    """One file."""

    file: str
    """Its place in the data folder, such as `svhn/test_32x32.mat`."""
    urls: tuple[str, ...] = ()
    """Where it can be downloaded, the best first; empty if it must be put there."""
    page: str = ""
    """A web page that offers it, for a file without addresses."""
    checksum: str = ""
    """The algorithm and the digest, `md5:eb5a98…`; empty if nobody states one.

    Then the SHA-256 is recorded when the file is first used, and checked later.
    """
    stated_by: str = ""
    """Who states the checksum."""
    size: int | None = None
    """Bytes, if known."""
    unpack: bool = False
    """Whether the file is an archive that is unpacked, not read as it is."""
    splits: tuple[SplitName, ...] = ()
    """The splits that need it; empty for all."""

    @property
    def name(self) -> str:
        """The file's name without folders."""
        return self.file.rpartition("/")[2]


@dataclass(frozen=True)
class Origin:
    """Where a data set comes from: its files, and what is to be known of it."""

    sources: tuple[Source, ...]
    images: str
    """How many in which split, in words."""
    citation: str
    licence: str = "not stated"
    """As stated by the set's authors or by the library named in brackets."""
    homepage: str = ""
    trouble: str = ""
    """What may mislead those who use it, one or two sentences."""

    def needed(self, split: SplitName | None = None) -> list[Source]:
        """Returns the files of one split, or all."""
        return [
            one
            for one in self.sources
            if split is None or not one.splits or split in one.splits
        ]

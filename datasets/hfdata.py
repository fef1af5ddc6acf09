"""Data sets of Hugging Face's library `datasets`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oodbench import Dataset, InputError, Shape, Split, SplitName
from oodbench.base import extras
from oodbench.base.errors import reason
from oodbench.base.files import key_of
from oodbench.data.dataset import Chunk
from oodbench.data.image_files import decode, files_manifest, read_image, stacked


def hfdata(argument: str) -> Dataset:
    """Opens one split: `hfdata:NAME`, `hfdata:NAME@SPLIT`, `hfdata:NAME@CONFIG@SPLIT`.

    NAME is a folder, as `save_to_disk` writes it or with files that `load_dataset`
    reads, or else a name on the hub, from where the library downloads it to its own
    cache. SPLIT is `test` unless it is given. Images are read one at a time from the
    column of images, labels from the column `label` or else from the first of classes.

    It needs the package `datasets`: pip install 'oodbench[datasets]'.
    """
    name, *others = argument.split("@")
    if not name or not all(others) or len(others) > 2:
        raise InputError(
            f"hfdata:{argument} names no data set; write hfdata:NAME@SPLIT."
        )
    part = others[-1] if others else "test"
    config = others[0] if len(others) == 2 else None

    def load(split: SplitName, shape: Shape) -> Split:
        library = extras.library("datasets", "datasets", title="The package datasets")
        try:
            table = _open(library, name, config, part)
        except Exception as error:  # the library raises many kinds
            raise InputError(
                f"hfdata:{argument} cannot be opened ({reason(error)}); check its name "
                "and split."
            ) from error
        return _split(library, table, argument)

    return Dataset(
        name=name.rstrip("/").rpartition("/")[2],
        load=load,
        role="unstated",
        place=argument,
    )


def _open(library: Any, name: str, config: str | None, part: str) -> Any:
    """Returns one split as the library's table."""
    folder = Path(name).expanduser()
    if (folder / "state.json").is_file():
        return library.load_from_disk(folder)
    if (folder / "dataset_dict.json").is_file():
        return library.load_from_disk(folder)[part]
    return library.load_dataset(
        str(folder) if folder.is_dir() else name, config, split=part
    )


def _split(library: Any, table: Any, argument: str) -> Split:
    columns = table.features.items()
    images = [name for name, kind in columns if isinstance(kind, library.Image)]
    if len(images) != 1:
        raise InputError(
            f"hfdata:{argument} has {len(images)} columns of images "
            f"({', '.join(images) or ', '.join(table.features)}); one is needed."
        )
    named = _labelled(library, table)
    raw = table.cast_column(images[0], library.Image(decode=False))
    return Split(
        Cells(raw.select_columns(images), images[0], argument),
        None if named is None else np.array(table[named][:], np.int64),
        class_names=tuple(getattr(table.features.get(named), "names", ())),
    )


def _labelled(library: Any, table: Any) -> str | None:
    """Returns the column of labels; None if there is none."""
    kinds = table.features
    if "int" in getattr(kinds.get("label"), "dtype", ""):
        return "label"
    classes = (name for name in kinds if isinstance(kinds[name], library.ClassLabel))
    return next(classes, None)


@dataclass(frozen=True, eq=False)
class Cells:
    """Images in a column of a table, decoded as they are read."""

    table: Any
    column: str
    source: str

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, chunk: slice, /) -> Chunk:
        wanted = range(len(self.table))[chunk]
        return stacked([self._read(number) for number in wanted])

    def _read(self, number: int) -> NDArray[np.generic]:
        cell = self.table[number][self.column]
        if cell["bytes"] is None:
            return read_image(Path(cell["path"]))
        return decode(cell["bytes"], f"Row {number} of {self.source}")

    def manifest(self) -> str | None:
        """Returns a hash of the table's files and name; None if it has no files."""
        files = [Path(each["filename"]) for each in self.table.cache_files]
        return key_of(files_manifest(files), self.source) if files else None

"""Opens the set of a stored record again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oodbench.base.errors import InputError
from oodbench.base.files import Record

if TYPE_CHECKING:
    from oodbench.data.dataset import Dataset


def dataset_of(record: Record) -> Dataset:
    """Returns the data set that the record of a set names.

    Raises:
        InputError: There is no such set, or a file of code would make it: records come
            from anywhere.
    """
    # It brings torch with it.
    from oodbench.data.spec import open_dataset

    spec = record["set"].get("spec") or record["set"]["name"]
    if ".py:" in spec:
        raise InputError(f"the code that makes it, {spec}, is not run for a report")
    return open_dataset(spec)

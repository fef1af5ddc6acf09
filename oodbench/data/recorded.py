"""Opens the set of a stored record again."""

from __future__ import annotations

from oodbench.base.errors import InputError
from oodbench.base.files import Record
from oodbench.data.dataset import Dataset
from oodbench.data.spec import open_dataset


def dataset_of(about: Record) -> Dataset:
    """Returns the data set that a record of some images names.

    Args:
        about: What `ImageSet.record` returned.

    Raises:
        InputError: There is no such set, or a file of code would make it: records come
            from anywhere.
    """
    spec = about.get("spec") or about["name"]
    if ".py:" in spec:
        raise InputError(f"the code that makes it, {spec}, is not run for a report")
    return open_dataset(spec)

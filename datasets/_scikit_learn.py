"""Finds data files of scikit-learn without importing it, which takes long."""

from importlib.util import find_spec
from pathlib import Path

from oodbench import InputError


def data_file(name: str) -> Path:
    """Returns the path of a file below `sklearn/datasets`.

    Raises:
        InputError: The installed scikit-learn has no such file.
    """
    package = find_spec("sklearn")
    for folder in (package and package.submodule_search_locations) or []:
        path = Path(folder) / "datasets" / name
        if path.is_file():
            return path
    raise InputError(
        f"scikit-learn's {name} is not installed; reinstall it: pip install "
        "--force-reinstall scikit-learn."
    )

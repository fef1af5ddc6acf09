"""The folder that the files of data sets lie in."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def data_folder() -> Path:
    """Returns $OODBENCH_DATA, or a folder of the user's cache."""
    named = os.environ.get("OODBENCH_DATA")
    if named:
        return Path(named).expanduser()
    return Path(platformdirs.user_cache_dir("oodbench")) / "data"

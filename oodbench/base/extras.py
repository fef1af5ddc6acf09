"""Opens libraries that an extra of oodbench brings."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from oodbench.base.errors import InputError


def library(module: str, extra: str, *, title: str = "") -> Any:
    """Returns a module of a library that may be missing.

    Args:
        module: Its name.
        extra: The extra of oodbench that installs it.
        title: What users call the library; by default `module`.

    Raises:
        InputError: It is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise InputError(
            f"{title or module} is not installed; pip install 'oodbench[{extra}]'."
        ) from error

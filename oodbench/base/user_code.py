"""Imports Python code that the user names: `package.module` or `file.py`."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from oodbench.base import settings
from oodbench.base.errors import InputError, reason


def is_file(where: str) -> bool:
    """Returns whether a text names a Python file, not a module."""
    return where.endswith(".py")


@contextmanager
def imported(where: str) -> Iterator[ModuleType]:
    """Gives the module that a text names, for code that calls what is in it.

    This runs the user's code, which may raise anything. Within the context, imports
    also find modules in the folder of the file or, for a module, in the current folder;
    installed packages come first. Output goes to stderr, and settings of the process
    that the code changes are put back.
    """
    path = Path(where).resolve() if is_file(where) else None
    if path is not None and not path.is_file():
        raise InputError(f"There is no file {where}.")
    folder = Path.cwd() if path is None else path.parent
    with settings.kept(), redirect_stdout(sys.stderr), _visible(folder):
        yield _of_file(path) if path else importlib.import_module(where)


def load_object(where: str, name: str) -> Any:
    """Returns an object of a module by its name.

    Args:
        where: `package.module`, or the path of a `.py` file.
        name: The object's name in the module.

    Raises:
        InputError: There is no such module or object, or its code fails.
    """
    try:
        with imported(where) as module:
            return getattr(module, name)
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        raise InputError(
            f"{where}:{name} cannot be loaded: {reason(error)}."
        ) from error


def digest(path: Path) -> str:
    """Returns the start of the hash of a file, 12 hexadecimal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def _of_file(path: Path) -> ModuleType:
    place = hashlib.sha256(str(path).encode()).hexdigest()[:12]
    # An own name: a file called torch.py, or two of one name, must replace nothing.
    name = f"{path.stem}_{place}_{digest(path)}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path.name} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where `inspect` looks for the source of a class
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


@contextmanager
def _visible(folder: Path) -> Iterator[None]:
    """Lets imports see a folder, after all that is installed."""
    sys.path.append(str(folder))
    try:
        yield
    finally:
        with suppress(ValueError):  # the user's code may have taken it out
            sys.path.remove(str(folder))

"""Loads a class or function from a Python file or module of the user's."""

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


def load_object(where: str, name: str) -> Any:
    """Returns an object of a module by its name.

    This runs the user's code, once per version of a file. It may import modules in the
    folder of the file, or in the current folder. Its output goes to stderr, and
    settings of the process that it changes are put back.

    Args:
        where: `package.module`, or the path of a `.py` file.
        name: Of the object in the module.

    Raises:
        InputError: There is no such module or object, or its code fails.
    """
    path = Path(where).resolve() if where.endswith(".py") else None
    if path is not None and not path.is_file():
        raise InputError(f"There is no file {where}.")
    folder = Path.cwd() if path is None else path.parent
    try:
        with settings.kept(), redirect_stdout(sys.stderr), _visible(folder):
            module = _of_file(path) if path else importlib.import_module(where)
            return getattr(module, name)
    except (Exception, SystemExit) as error:
        raise InputError(
            f"{where}:{name} cannot be loaded: {reason(error)}."
        ) from error


def _of_file(path: Path) -> ModuleType:
    digest = hashlib.sha256(str(path).encode() + path.read_bytes()).hexdigest()[:12]
    # An own name: a file called torch.py, or two of one name, must replace nothing.
    name = f"{path.stem}_{digest}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
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

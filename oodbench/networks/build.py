"""Builds a network by a function of the user's, named on the command line."""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType

from torch import nn

from oodbench.base.errors import InputError

Plain = int | float | bool | str | None
Literal = Plain | tuple[Plain, ...]


def build(arch: str, arguments: Mapping[str, str]) -> nn.Module:
    """Calls `package.module:factory` or `file.py:factory` and returns its network.

    This runs the user's code, which may fail in any way. It may import what lies
    beside the file, or in the current folder.

    Raises:
        InputError: It is not there, fails, or returns something else than a module.
    """
    where, _, factory = arch.rpartition(":")
    if not where or not factory:
        raise InputError(
            f"--arch {arch} names no function; write package.module:factory or "
            "file.py:factory."
        )
    try:
        with _visible(Path(where).resolve().parent if _is_file(where) else Path.cwd()):
            function = getattr(_import(where), factory)
            network = function(**{key: literal(arguments[key]) for key in arguments})
    except (Exception, SystemExit) as error:
        reason = (str(error).splitlines() or [""])[0]
        raise InputError(
            f"--arch {arch} failed with {type(error).__name__}: {reason}"
        ) from error
    if not isinstance(network, nn.Module):
        raise InputError(
            f"--arch {arch} returned a {type(network).__name__}; it must return a "
            "torch.nn.Module."
        )
    return network


def describe(arch: str, arguments: Mapping[str, str]) -> str:
    """Returns the call for the record; a file stands with the start of its hash.

    >>> describe("torchvision.models:resnet18", {"num_classes": "10"})
    'torchvision.models:resnet18(num_classes=10)'
    """
    where, _, function = arch.rpartition(":")
    if _is_file(where):
        where = f"{Path(where).name}@{_digest(Path(where))}"
    values = [f"{name}={literal(text)!r}" for name, text in arguments.items()]
    return f"{where}:{function}({', '.join(values)})"


def literal(text: str) -> Literal:
    """Reads a number, `True`, `False`, `None`, a quoted text or several; else the text.

    >>> literal("10"), literal("1e-3"), literal("None"), literal("basic")
    (10, 0.001, None, 'basic')
    >>> literal("256,256")
    (256, 256)
    """
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text
    parts = value if isinstance(value, tuple) else (value,)
    return value if all(isinstance(part, Plain) for part in parts) else text


def _is_file(where: str) -> bool:
    return where.endswith(".py")


def _import(where: str) -> ModuleType:
    if not _is_file(where):
        return importlib.import_module(where)
    path = Path(where).resolve()
    # An own name: a file called torch.py, or two of one name, must replace nothing.
    name = f"{path.stem}_{_digest(path)}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{where} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where `inspect` looks for the source of a class
    spec.loader.exec_module(module)
    return module


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


@contextmanager
def _visible(folder: Path) -> Iterator[None]:
    """Lets imports see a folder, after all that is installed."""
    sys.path.append(str(folder))
    try:
        yield
    finally:
        with suppress(ValueError):  # the user's code may have taken it out
            sys.path.remove(str(folder))

"""The source files that decide what a class or function computes."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import sys
import sysconfig
from collections.abc import Callable
from contextlib import suppress
from functools import cache, lru_cache
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

from oodbench.base.compiled import compiled

PACKAGE = Path(__file__).parents[1]
FACE = "oodbench"
"""The public face; it leads to all of oodbench and is not followed."""


def sources_key(owner: type | Callable[..., object]) -> str:
    """Returns a hash of the source of an object and of all own modules it imports.

    Own modules are those of the same package or, for a file outside any package, those
    in its folder and below. Imports within functions count too. An object without a
    file, as in a notebook, is hashed by its compiled code and what that refers to.
    """
    hashed = hashlib.sha256()
    files = own_sources(sys.modules.get(owner.__module__))
    for name in sorted(files):
        hashed.update(files[name].read_bytes() + b"\0")
    if not files:
        hashed.update(f"{owner.__module__}.{owner.__qualname__}".encode())
        for part in compiled(owner, _key_of_files):
            hashed.update(part + b"\0")
    return hashed.hexdigest()


@cache
def package_key(folders: tuple[str, ...], libraries: tuple[str, ...]) -> str:
    """Returns a hash of the sources in some folders of oodbench, and of versions.

    Args:
        folders: Below the package; folders in them count too.
        libraries: Distributions whose versions count.
    """
    versions = " ".join(version(name) for name in libraries)
    hashed = hashlib.sha256(versions.encode())
    for folder in folders:
        for path in sorted((PACKAGE / folder).rglob("*.py")):
            hashed.update(path.read_bytes() + b"\0")
    return hashed.hexdigest()


def own_sources(module: ModuleType | None) -> dict[str, Path]:
    """Returns the file of a module and those of all own modules it imports, by name.

    No module is imported to find them.
    """
    first = _file(module)
    if module is None or first is None:
        return {}
    top = module.__name__.partition(".")[0]
    in_package = "." in module.__name__ or hasattr(module, "__path__")
    folder = None if in_package or _is_installed(first) else first.parent
    found = {module.__name__: first}
    pending = [module.__name__]
    while pending:
        name = pending.pop()
        path = found[name]
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        for other in _imports(path.read_bytes(), package):
            if other in found or other == FACE or not _is_own(other, top, folder):
                continue
            if (file := _find(other, folder)) is not None:
                found[other] = file
                pending.append(other)
    return found


def _key_of_files(module: ModuleType) -> bytes | None:
    """Returns a hash of a module's own sources; None where it is installed."""
    file = _file(module)
    if file is None or _is_installed(file) or module.__name__.startswith(FACE):
        return None
    hashed = hashlib.sha256()
    for _, own in sorted(own_sources(module).items()):
        hashed.update(own.read_bytes() + b"\0")
    return hashed.digest()


def _file(module: ModuleType | None) -> Path | None:
    name = getattr(module, "__file__", None)
    path = Path(name).resolve() if name else None
    return path if path and path.suffix == ".py" and path.is_file() else None


def _is_installed(path: Path) -> bool:
    library = Path(sysconfig.get_path("stdlib")).resolve()
    return library in path.parents or bool(
        {"site-packages", "dist-packages"} & set(path.parts)
    )


def _is_own(name: str, top: str, folder: Path | None) -> bool:
    """Returns whether a name can be that of an own module."""
    first = name.partition(".")[0]
    return first == top or (folder is not None and first != FACE)


def _find(name: str, folder: Path | None) -> Path | None:
    """Returns the file of a module by its dotted name; None where there is none."""
    if folder is None and name in sys.modules:
        return _file(sys.modules[name])
    package, _, last = name.rpartition(".")
    for place in _folders(package, folder):
        for path in (place / last / "__init__.py", place / f"{last}.py"):
            if path.is_file():
                return path.resolve()
    return None


def _folders(package: str, folder: Path | None) -> list[Path]:
    """Returns the folders that modules of a package lie in."""
    if not package:
        return [] if folder is None else [folder]
    if folder is None and package in sys.modules:
        return [Path(place) for place in getattr(sys.modules[package], "__path__", ())]
    parent, _, last = package.rpartition(".")
    return [place / last for place in _folders(parent, folder)]


@lru_cache(maxsize=1024)
def _imports(source: bytes, package: str) -> tuple[str, ...]:
    """Returns the names of all modules that a source may import, anywhere in it."""
    names: list[str] = []
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return ()  # the code that imports it catches the error
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                with suppress(ImportError):
                    relative = "." * node.level + base
                    base = importlib.util.resolve_name(relative, package)
            names += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return tuple(dict.fromkeys(name for name in names if name))

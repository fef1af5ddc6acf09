"""The source files that decide what a class or function computes."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import inspect
import sys
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import CodeType, ModuleType

FACE = "oodbench"
"""The public face; it leads to all of oodbench and is not followed."""


def sources_key(owner: type | Callable[..., object]) -> str:
    """Returns a hash of the source of an object and of all own modules it imports.

    Own modules are those of the same package or, for a file outside any package, those
    in its folder and below. Imports within functions count too. An object without a
    file, as in a notebook, is hashed by its compiled code.
    """
    hashed = hashlib.sha256()
    files = own_sources(owner)
    for path in files:
        hashed.update(path.read_bytes() + b"\0")
    if not files:
        hashed.update(f"{owner.__module__}.{owner.__qualname__}".encode())
        for part in _codes(owner):
            hashed.update(part)
    return hashed.hexdigest()


def own_sources(owner: type | Callable[..., object]) -> list[Path]:
    """Returns the files behind an object, sorted; none where it has no file."""
    module = sys.modules.get(owner.__module__)
    first = _file(module)
    if module is None or first is None:
        return []
    found = {module.__name__: first}
    pending = [module.__name__]
    while pending:
        name = pending.pop()
        for other in _imports(found[name], _package(name, found[name])):
            path = found.get(other) or _find(other)
            if path and other not in found and _is_own(path, other, module, first):
                found[other] = path
                pending.append(other)
    return sorted(set(found.values()))


def _package(name: str, path: Path) -> str:
    return name if path.name == "__init__.py" else name.rpartition(".")[0]


def _file(module: ModuleType | None) -> Path | None:
    name = getattr(module, "__file__", None)
    path = Path(name) if name else None
    return path if path and path.suffix == ".py" and path.is_file() else None


def _find(name: str) -> Path | None:
    if name in sys.modules:
        return _file(sys.modules[name])
    with suppress(ImportError, AttributeError, ValueError):
        spec = importlib.util.find_spec(name)
        if spec and spec.origin and spec.origin.endswith(".py"):
            return Path(spec.origin)
    return None


def _is_own(path: Path, name: str, module: ModuleType, first: Path) -> bool:
    if name == FACE:
        return False
    top = module.__name__.partition(".")[0]
    if name.partition(".")[0] == top:
        return True
    if "." in module.__name__ or _is_installed(first):
        return False
    return first.parent in path.parents and not _is_installed(path)


def _is_installed(path: Path) -> bool:
    library = Path(sysconfig.get_paths()["stdlib"])
    return library in path.parents or "site-packages" in path.parts


def _imports(path: Path, package: str) -> Iterator[str]:
    """Yields the names of all modules that a file may import, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                with suppress(ImportError):
                    relative = "." * node.level + base
                    base = importlib.util.resolve_name(relative, package)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _codes(owner: object) -> Iterator[bytes]:
    """Yields what the functions of an object are compiled to."""
    parts = vars(owner).values() if inspect.isclass(owner) else [owner]
    for part in parts:
        code = getattr(inspect.unwrap(part) if callable(part) else part, "__code__", 0)
        if isinstance(code, CodeType):
            yield from _code(code)


def _code(code: CodeType) -> Iterator[bytes]:
    yield code.co_code
    yield " ".join(code.co_names).encode()
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _code(constant)
        else:
            yield repr(constant).encode()

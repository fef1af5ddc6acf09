"""What decides an object that has no source file, as in a notebook."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import CodeType, FunctionType, ModuleType

FileKey = Callable[[ModuleType], bytes | None]
"""Returns a hash of a module's source files; None where they do not count."""

_NOISE = {
    "__dict__",
    "__doc__",
    "__firstlineno__",
    "__module__",
    "__static_attributes__",
    "__weakref__",
}
"""Attributes of every class; they decide nothing, or are in no fixed order."""
_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(...))


def compiled(owner: object, file_key: FileKey) -> Iterator[bytes]:
    """Yields the compiled code of an object and everything that it refers to.

    That is constants, defaults, and classes, functions and values of its namespace. It
    is the same in every process, as long as the code is the same.
    """
    yield from _Walk(file_key).parts(owner)


class _Walk:
    def __init__(self, file_key: FileKey) -> None:
        self._file_key = file_key
        self._seen: dict[int, object] = {}

    def parts(self, value: object) -> Iterator[bytes]:
        if isinstance(value, _PLAIN):
            yield repr(value).encode()
            return
        if id(value) in self._seen:
            return
        self._seen[id(value)] = value  # kept alive, so that its id stays its own
        if isinstance(value, tuple | list):
            for part in value:
                yield from self.parts(part)
        elif isinstance(value, set | frozenset):
            yield from sorted(repr(part).encode() for part in value)
        elif isinstance(value, dict):
            for key, part in value.items():
                yield repr(key).encode()
                yield from self.parts(part)
        elif isinstance(value, staticmethod | classmethod):
            yield from self.parts(value.__func__)
        elif isinstance(value, property):
            yield from self.parts((value.fget, value.fset))
        elif isinstance(value, dataclasses.Field):
            yield from self.parts((value.default, value.default_factory))
        elif isinstance(value, functools.partial):
            yield from self.parts((value.func, value.args, value.keywords))
        elif isinstance(value, CodeType):
            yield from self._code(value)
        elif isinstance(value, ModuleType) or self._module(value) is not None:
            yield from self._filed(value)
        elif isinstance(value, FunctionType):
            yield from self._function(value)
        elif inspect.isclass(value):
            yield from self._class(value)
        elif hasattr(value, "tolist"):  # arrays and tensors
            yield repr(value.tolist()).encode()
        else:
            yield type(value).__qualname__.encode()

    @staticmethod
    def _module(value: object) -> ModuleType | None:
        """Returns the module with a file that defines a class or function."""
        if not (inspect.isclass(value) or isinstance(value, FunctionType)):
            return None
        module = inspect.getmodule(value)
        is_own = module is not None and value.__module__ == module.__name__
        return module if is_own and hasattr(module, "__file__") else None

    def _filed(self, value: object) -> Iterator[bytes]:
        module = value if isinstance(value, ModuleType) else self._module(value)
        assert module is not None
        yield getattr(value, "__qualname__", module.__name__).encode()
        if (key := self._file_key(module)) is not None:
            yield key

    def _class(self, kind: type) -> Iterator[bytes]:
        yield from self.parts(kind.__bases__)
        for name, value in vars(kind).items():
            if name not in _NOISE:
                yield name.encode()
                yield from self.parts(value)

    def _function(self, function: FunctionType) -> Iterator[bytes]:
        yield from self.parts(function.__code__)
        yield from self.parts((function.__defaults__, function.__kwdefaults__))
        for cell in function.__closure__ or ():
            with suppress(ValueError):  # an empty cell
                yield from self.parts(cell.cell_contents)
        for name in _names(function.__code__):
            if name in function.__globals__:
                yield from self.parts(function.__globals__[name])

    def _code(self, code: CodeType) -> Iterator[bytes]:
        yield code.co_code
        yield " ".join(code.co_names).encode()
        for constant in code.co_consts:
            yield from self.parts(constant)


def _names(code: CodeType) -> list[str]:
    """Returns the global names that a function may use, those within it included."""
    names = list(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names += _names(constant)
    return names

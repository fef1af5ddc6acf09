"""Finds out what a pickle of weights would build, without building it."""

from __future__ import annotations

import math
import pickletools
from collections.abc import Callable
from typing import Any, BinaryIO, NamedTuple

import torch

from oodbench.base.errors import InputError

ADVICE = (
    "Where you trust it, load it yourself and save the weights alone, with "
    "torch.save(model.state_dict(), path)."
)

# What a pickle of weights may name: classes of storages, with the bytes of a value, …
_STORAGES = {
    f"torch.{kind}Storage": size
    for size, kinds in {
        1: ("Bool", "Byte", "Char", "storage.Untyped"),
        2: ("Short", "Half", "BFloat16"),
        4: ("Int", "Float"),
        8: ("Long", "Double", "ComplexFloat"),
        16: ("ComplexDouble",),
    }.items()
    for kind in kinds
}
# … what makes a tensor of one, and what else may be called. (And dtypes.)
_TENSORS = {f"torch._utils._rebuild_tensor{version}" for version in ("", "_v2", "_v3")}
_CALLED = _TENSORS | {
    "collections.Counter",
    "collections.OrderedDict",
    "torch.Size",
    "torch.device",
    "torch._utils._rebuild_parameter",
    "__builtin__.set",
    "__builtin__.bytearray",
    "__builtin__.complex",
    "_codecs.encode",
}
_LATIN = ("latin1", "latin-1")
_UNFIT = {
    "torch._utils._rebuild_sparse_tensor": "holds sparse tensors",
    "torch._utils._rebuild_qtensor": "holds quantised tensors",
    "torch._utils._rebuild_meta_tensor_no_storage": "holds meta tensors (no values)",
}
_CONSTANTS = {"NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1"}
_CONSTANTS |= {"BINFLOAT", "BINUNICODE", "SHORT_BINSTRING"}
_DEEPEST = 20  # tuples in tuples; torch.save nests three
_MOST_STEPS = 2_000_000
"""Operations of a pickle; ten thousand tensors take three hundred thousand."""
_MOST_DIMENSIONS = 16
_MOST_VIEWS = 8
"""Times that all values of a file may be seen by its tensors, on average."""


class _Global(NamedTuple):
    """Stands for a class or function that a pickle names."""

    name: str


class _Made(NamedTuple):
    """Stands for what a pickle would get by calling `by`."""

    by: str


class _Storage(NamedTuple):
    """Stands for a run of numbers in the file."""

    values: int
    width: int


class _Tuple(NamedTuple):
    """Stands for a tuple."""

    items: tuple[Any, ...]
    depth: int


_EMPTY = _Tuple((), 1)


def _is_encoded(value: object) -> bool:
    return isinstance(value, _Made) and value.by == "_codecs.encode"


# What torch.save writes for sets, bytes and complex numbers. With a number in place of
# bytes, bytearray would take that much memory.
_SAFE_WITH: dict[str, Callable[..., bool]] = {
    "__builtin__.set": lambda *values: all(isinstance(each, list) for each in values),
    "__builtin__.bytearray": lambda *values: all(map(_is_encoded, values)),
    "__builtin__.complex": lambda *parts: all(
        isinstance(each, float) for each in parts
    ),
    "_codecs.encode": lambda text, code: isinstance(text, str) and code in _LATIN,
}


class PickleSurvey:
    """Finds out what a pickle would build, without building it.

    PyTorch's weights-only reader runs no code, but it builds whatever a pickle
    declares: a tensor of a terabyte that repeats four bytes, say, or a dictionary key
    of tuples nested a million deep, whose hash overflows the stack of the interpreter.
    So the few operations that `torch.save` writes are followed with stand-ins first.
    """

    def __init__(self) -> None:
        self.foreign: set[str] = set()
        """Names that no pickle of weights needs."""
        self.storages: dict[object, int] = {}
        """The bytes that each storage declares."""
        self.viewed = 0
        """The bytes of all tensors, where several may share a storage."""
        self._steps = 0

    def judge(self, *, held: int) -> None:
        """Refuses what is not weights, or is more than `held` bytes can be."""
        if self.foreign:
            names = ", ".join(repr(name) for name in sorted(self.foreign)[:5])
            raise InputError(f"{_describe(self.foreign)} ({names}). {ADVICE}")
        declared = sum(self.storages.values())
        if declared > held:
            raise InputError(
                f"is cut short: it declares {declared} bytes of weights and holds "
                f"{held}; copy or download it again."
            )
        if self.viewed > _MOST_VIEWS * held:
            raise InputError(
                f"declares tensors of {self.viewed} bytes that share the {held} bytes "
                "of the file; save contiguous copies."
            )

    def walk(self, stream: BinaryIO) -> Any:
        """Follows one pickle to its end and returns a sketch of its value."""
        stack: list[Any] = []
        marked: list[list[Any]] = []
        memo: dict[object, Any] = {}
        for opcode, argument, _ in pickletools.genops(stream):
            self._steps += 1
            if self._steps > _MOST_STEPS:
                raise InputError(
                    f"has a pickle of more than {_MOST_STEPS} steps; save the weights "
                    "alone, with torch.save(model.state_dict(), path)."
                )
            match opcode.name:
                case "PROTO" | "STOP":
                    pass
                case "MARK":
                    marked.append(stack)
                    stack = []
                case "TUPLE":
                    items, stack = stack, marked.pop()
                    stack.append(_tuple(items))
                case "APPENDS":
                    items, stack = stack, marked.pop()
                    stack[-1].extend(items)
                case "SETITEMS":
                    stack = marked.pop()
                case "BINPUT" | "LONG_BINPUT":
                    memo[argument] = stack[-1]
                case "BINGET" | "LONG_BINGET":
                    stack.append(memo[argument])
                case constant if constant in _CONSTANTS:
                    stack.append(argument)
                case name:
                    self._step(name, argument, stack)
        return stack.pop()

    def _step(self, name: str, argument: Any, stack: list[Any]) -> None:
        match name:
            case "EMPTY_DICT":
                stack.append(_Made("dict"))
            case "EMPTY_LIST":
                stack.append([])
            case "EMPTY_TUPLE":
                stack.append(_EMPTY)
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                count = int(name[-1])
                stack[-count:] = [_tuple(stack[-count:])]
            case "APPEND":
                item = stack.pop()
                stack[-1].append(item)
            case "SETITEM":
                del stack[-2:]
            case "GLOBAL":
                stack.append(self._global(argument))
            case "BINPERSID":
                stack.append(self._persistent(*stack.pop().items))
            case "REDUCE" | "NEWOBJ":
                arguments = stack.pop()
                stack.append(self._call(stack.pop().name, arguments.items))
            case "BUILD":
                stack.pop()
                self._set_state(stack[-1])
            case _:
                raise InputError(
                    f"is a pickle with the operation {name}, which torch.save does "
                    f"not write by itself; nothing of it was run. {ADVICE}"
                )

    def _global(self, argument: str) -> _Global:
        name = argument.replace(" ", ".")
        known = name in _STORAGES or name in _CALLED or _is_dtype(name)
        if not known:
            self.foreign.add(name)
        return _Global(name)

    def _persistent(self, kind: str, owner: _Global, *rest: Any) -> _Global | _Storage:
        if kind == "module":  # a class with its source, in the legacy format
            return owner
        key, _, count, *view = rest  # between them the device
        width = _STORAGES.get(owner.name, 1)
        is_sound = isinstance(key, str) and isinstance(count, int) and count >= 0
        # Readers take the first of two sizes, and old files could cut views out.
        agrees = self.storages.setdefault(key, count * width) == count * width
        if not (is_sound and agrees) or any(each is not None for each in view):
            raise InputError(f"declares the storage {str(key)[:80]!r} in two ways.")
        return _Storage(count, width)

    def _call(self, name: str, arguments: tuple[Any, ...]) -> _Made:
        if name in _TENSORS:
            storage, offset, size, stride = arguments[:4]
            _check_extent(storage.values, offset, size.items, stride.items)
            self.viewed += math.prod(size.items) * storage.width
        elif name in _SAFE_WITH and not _SAFE_WITH[name](*arguments):
            raise InputError(f"calls {name} with what torch.save does not write.")
        elif name not in _CALLED:
            self.foreign.add(name)
        return _Made(name)

    def _set_state(self, owner: _Made) -> None:
        # An OrderedDict has attributes; any other state could alter a checked tensor.
        if owner.by != "collections.OrderedDict":
            self.foreign.add(owner.by)


def _tuple(items: list[Any]) -> _Tuple:
    depth = 1 + max(
        (item.depth for item in items if isinstance(item, _Tuple)), default=0
    )
    if depth > _DEEPEST:
        raise InputError(
            f"nests tuples more than {_DEEPEST} deep; weights need no such."
        )
    return _Tuple(tuple(items), depth)


def _check_extent(
    held: int, offset: int, size: tuple[int, ...], stride: tuple[int, ...]
) -> None:
    """Refuses a tensor that repeats or exceeds the `held` values of its storage."""
    sizes = [*size, *stride, offset]
    is_sound = all(isinstance(each, int) and each >= 0 for each in sizes)
    if not is_sound:
        raise InputError("declares a tensor with a negative size, stride or offset.")
    if len(size) > _MOST_DIMENSIONS:
        raise InputError(
            f"declares a tensor of {len(size)} dimensions; weights have at most "
            f"{_MOST_DIMENSIONS}."
        )
    values = math.prod(size)
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if values > held or (values and last >= held):
        raise InputError(
            f"declares a tensor that repeats or exceeds the {held} values of its "
            "storage; save a contiguous copy of expanded tensors."
        )


def _is_dtype(name: str) -> bool:
    # Not getattr: torch imports some of its parts, or warns, when they are asked for.
    return isinstance(vars(torch).get(name.removeprefix("torch.")), torch.dtype)


def _describe(foreign: set[str]) -> str:
    for name, sentence in _UNFIT.items():
        if name in foreign:
            return sentence
    if any(name.startswith("torch.nn.modules.") for name in foreign):
        return "is a whole pickled module, which is code and was not run"
    return "asks for more than weights, which could run code and was refused"

"""Hashes all that decides what a network computes."""

from __future__ import annotations

import functools
import hashlib
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping, Set
from enum import Enum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType, SimpleNamespace
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from oodbench.base.sources import own_sources, sources_key

Owner: TypeAlias = type | Callable[..., object]
Attribute = tuple[str, str]
"""The name of a layer in its network, and the name of one of its attributes."""

# What every module has and what its forward does not read as a setting. Parameters and
# buffers are hashed by name instead.
_MACHINERY = frozenset(vars(nn.Module())) | {"_is_full_backward_hook"}
_HOOKS = ("_forward_pre_hooks", "_forward_hooks")
_TOOLS = ("torch._", "torch.fx", "torch.jit", "onnxruntime")
_DEEPEST = 6  # settings in settings


def hash_module(
    module: nn.Module, written: Set[Attribute], derived: Set[str] = frozenset()
) -> str:
    """Returns a hash of a module's tensors, attributes, hooks and source code.

    Equal tensors compute something else in a layer with another slope, eps or stride.
    Such numbers are plain attributes, so all attributes of all layers are hashed. The
    alternative, a hash of rounded logits on a probe batch, would differ between
    machines where a logit lies near a rounding border, and would miss whatever the
    probe does not reach.

    Args:
        module: The module; where its tensors are does not matter.
        written: Attributes that the forward pass itself sets, as a cache does. They
            decide nothing and change from batch to batch.
        derived: Names of buffers that were computed from what else is hashed.
    """
    hashed = hashlib.sha256()
    for part in _parts(module, written, derived):
        hashed.update(part.encode() + b"\0")
    return hashed.hexdigest()


def attributes(module: nn.Module) -> dict[Attribute, str]:
    """Returns the state of every attribute, to see which ones a forward pass sets.

    Tensors are compared by identity and version, since to hash them takes long.
    """
    return {
        (name, key): f"{id(value)} {value._version}"
        if isinstance(value, Tensor) and not value.is_inference()
        else describe(value)
        for name, layer in module.named_modules()
        for key, value in _settings(layer)
    }


def describe(value: object, depth: int = _DEEPEST) -> str:
    """Returns a text that is equal for equal settings, in every process."""
    match value:
        case None | bool() | int() | float() | complex() | str() | bytes():
            return repr(value)
        case Enum() | torch.dtype():
            return str(value)
        case Tensor():
            return _digest(value)
        case np.ndarray() | np.generic():
            is_plain = value.dtype.kind in "biufc"
            return _digest(torch.as_tensor(value)) if is_plain else str(value.tolist())
        case torch.device() | torch.Generator() | ModuleType():
            return type(value).__name__  # decides where, not what
    if depth == 0:
        return type(value).__qualname__
    return _describe_compound(value, depth - 1)


def code_key(owner: Owner) -> str:
    """Returns what stands for the code of a class or function.

    A library's code has its version, since to read its files would take long; torch
    and Python count as parts of the machine. Other code is hashed with all own modules
    that it imports, and oodbench's own with those of the same folder.
    """
    module = str(owner.__module__)
    top = module.partition(".")[0]
    path = Path(getattr(sys.modules.get(module), "__file__", None) or ".")
    if top == "torch" or _is_of_python(top):
        return f"{module}.{owner.__qualname__}"
    if top == "oodbench":
        found = sorted(own_sources(sys.modules.get(module)).values())
        files = [each for each in found if each.parent == path.resolve().parent]
        return hashlib.sha256(b"\0".join(map(Path.read_bytes, files))).hexdigest()
    if "site-packages" in path.parts:
        return f"{module}.{owner.__qualname__} {_version(top)}"
    return sources_key(owner)


def _parts(
    module: nn.Module, written: Set[Attribute], derived: Set[str]
) -> Iterator[str]:
    saved = module.state_dict()
    for name, value in sorted(saved.items()):
        yield f"{name} {describe(value)}"
    for name, tensor in sorted(module.named_buffers()):
        if name not in saved and name not in derived:
            yield f"{name} {describe(tensor)}"
    owners: dict[object, type] = {}
    for name, layer in module.named_modules():
        kind = type(layer)
        yield f"{name} {kind.__qualname__}"
        for key, value in _settings(layer):
            if (name, key) not in written:
                yield f"{name}.{key} {describe(value)}"
        for hooks in _HOOKS:
            yield from (describe(hook) for hook in getattr(layer, hooks).values())
        has_file = hasattr(sys.modules.get(kind.__module__), "__file__")
        owners[kind.__module__ if has_file else kind] = kind
    yield from sorted(code_key(owner) for owner in owners.values())


def _settings(layer: nn.Module) -> Iterator[tuple[str, object]]:
    if type(layer).__module__.startswith("torch._dynamo"):  # of torch.compile
        return
    for key, value in sorted(vars(layer).items()):
        if key not in _MACHINERY:
            yield key, value
    for kind in type(layer).__mro__:  # a class's numbers may be set from outside
        if kind.__module__.partition(".")[0] not in ("torch", "builtins"):
            for key, value in sorted(vars(kind).items()):
                if isinstance(value, int | float | str) and not key.startswith("__"):
                    yield f"{kind.__qualname__}.{key}", value


def _describe_compound(value: object, depth: int) -> str:
    match value:
        case nn.Module():  # that is no layer of the network, as in a plain list
            layers = [dict(_settings(layer)) for layer in value.modules()]
            inside = {"tensors": value.state_dict(), "layers": layers}
            return f"{code_key(type(value))} {describe(inside, depth)}"
        case Mapping():
            pairs = [f"{describe(k)}: {describe(value[k], depth)}" for k in value]
            return f"{type(value).__qualname__} {pairs}"
        case list() | tuple():
            return f"{type(value).__qualname__} {[describe(v, depth) for v in value]}"
        case set() | frozenset():
            return f"set {sorted(describe(v, depth) for v in value)}"
        case functools.partial():
            return describe((value.func, value.args, value.keywords), depth)
        case MethodType():
            owner = "" if isinstance(value.__self__, nn.Module) else value.__self__
            return describe((value.__func__, owner), depth)
        case FunctionType():
            return _describe_function(value, depth)
        case type():
            return code_key(value)
    if hasattr(value, "__qualname__"):  # a function of C++
        return f"{getattr(value, '__module__', '')}.{value.__qualname__}"
    return _describe_object(value, depth)


def _describe_object(value: object, depth: int) -> str:
    kind = type(value)
    top = kind.__module__.partition(".")[0]
    is_setting = isinstance(value, SimpleNamespace | Namespace)
    is_tool = _is_of_python(top) or kind.__module__.startswith(_TOOLS)
    if is_tool and not is_setting:  # a logger or lock, which leads to all others
        return f"{kind.__module__}.{kind.__qualname__}"
    inside = dict(sorted(getattr(value, "__dict__", {}).items()))
    return f"{code_key(kind)} {describe(inside, depth)}"


def _describe_function(function: FunctionType, depth: int) -> str:
    if not function.__module__ or function.__module__.partition(".")[0] == "torch":
        return f"{function.__module__}.{function.__qualname__}"
    cells = [cell.cell_contents for cell in function.__closure__ or ()]
    held = describe((cells, function.__defaults__, function.__kwdefaults__), depth)
    # Its own code too: lambdas of one file share a name.
    return f"{code_key(function)} {_describe_code(function.__code__)} {held}"


def _describe_code(code: CodeType) -> str:
    constants = [
        _describe_code(each) if isinstance(each, CodeType) else describe(each)
        for each in code.co_consts
    ]
    return f"{code.co_code.hex()} {code.co_names} {constants}"


def _digest(tensor: Tensor) -> str:
    if is_lazy(tensor):
        return "not yet made"
    form = f"{tensor.dtype} {tuple(tensor.shape)}"
    if tensor.is_meta or not tensor.numel():
        return form
    flat = tensor.detach().cpu().contiguous().flatten().view(torch.uint8)
    return f"{form} {hashlib.sha256(flat.numpy().tobytes()).hexdigest()}"


def _is_of_python(package: str) -> bool:
    return package in ("builtins", *sys.stdlib_module_names)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # its distribution has another name
        return str(getattr(sys.modules.get(package), "__version__", ""))

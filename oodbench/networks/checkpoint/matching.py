"""Puts the weights of a file into a module, matched by the module's own names."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from oodbench.base.errors import InputError, reason
from oodbench.networks.checkpoint.state_dict import EXTRA, StateDict, some

# What wrappers put between the parts of a name, anywhere in it.
_WRAPPERS = {
    *("module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"),
}
# Names of before torchvision 0.3: denselayer1.norm.1.weight.
_OLD = (re.compile(r"(denselayer\d+\.(?:norm|conv))\.(\d+\.)"), r"\1\2")
# torch.optim.swa_utils.AveragedModel counts, and so do profilers such as thop.
_COUNTERS = ("n_averaged", "total_ops", "total_params", EXTRA)
_TRAINING = re.compile(
    r"(^|_)(loss\w*|criterion\w*|metrics?|acc|accuracy|auroc|f1|confusion\w*)(_|$)"
)


class Fit(NamedTuple):
    """How the names of a file were matched to those of a module."""

    prefix: str
    """What stood before all names of the network; empty for nothing."""
    left_out: list[str]
    """Names in the file that are not the network's."""

    def __str__(self) -> str:
        removed = [f"prefix {self.prefix} removed"] if self.prefix else []
        left_out = [f"left out: {some(self.left_out)}"] if self.left_out else []
        return "; ".join(removed + left_out)


def unwrapped(state: Iterable[str]) -> dict[str, str]:
    """Returns the names of a state dict by their names without any wrapper.

    Where two would become one, all stay as they are.

    >>> unwrapped(["module.features.module.0.weight"])
    {'features.0.weight': 'module.features.module.0.weight'}
    """
    names = list(state)
    plain = {_plain(name): name for name in names}
    return plain if len(plain) == len(names) else {name: name for name in names}


def fill(
    module: nn.Module, state: StateDict, *, name: str, unused: Sequence[str] = ()
) -> Fit:
    """Loads a state dict into the module called `name`.

    A module on the meta device takes the tensors themselves, so that nothing is
    allocated before its shapes are known to be the file's.

    Args:
        module: The module, whose own names decide.
        state: The state dict.
        name: For messages.
        unused: How the names begin that the file may have and the module does not.

    Returns:
        What was removed from the names, and which tensors were left out.

    Raises:
        InputError: Names or shapes differ, or weights are not finite.
    """
    own = module.state_dict()
    values = {key: None for key in state if not _is_loadable(key, state[key])}
    found = _match(own, unwrapped(key for key in state if key not in values), name)
    given = {target: state[source] for target, source in found.names.items()}
    clashes = [key for key in own if key in given and not _fits(given[key], own[key])]
    fitting = OrderedDict(
        (key, _converted(value, own.get(key)))
        for key, value in given.items()
        if key not in clashes
    )
    # The version of the module itself, which MNASNet reads and plain dicts lose.
    versions = getattr(own, "_metadata", {})
    setattr(fitting, "_metadata", {"": versions.get("", {})})  # noqa: B010
    _check_finite(fitting, own)
    assign = any(_is_meta(each) for each in own.values())
    try:
        # Not strict, since the module may know names of old versions as its own.
        missing, unexpected = module.load_state_dict(fitting, False, assign)
    except Exception as error:  # the user's module may load in its own way
        raise InputError(
            f"its weights cannot be put into {name}: {reason(error)}"
        ) from error
    left = [key for key in unexpected if _is_of_training(key, unused)]
    lost = [key for key in missing if key not in clashes and not key.endswith(EXTRA)]
    faults = {
        "missing": map(repr, lost),
        "unexpected": (repr(key) for key in unexpected if key not in left),
        "of another form": (
            f"{key!r} {_form(given[key])} for {_form(own[key])}" for key in clashes
        ),
    }
    _check_faults(faults, name)
    return Fit(found.prefix, [*values, *found.outside, *left])


def _check_faults(faults: Mapping[str, Iterable[str]], name: str) -> None:
    """Raises InputError if there are tensors of some kind of fault."""
    listed = {kind: list(texts) for kind, texts in faults.items()}
    if any(listed.values()):
        texts = [f"{len(f)} {kind} ({some(f)})" for kind, f in listed.items() if f]
        raise InputError(
            f"The checkpoint does not fit {name}: of its tensors, {', '.join(texts)}."
        )


class _Match(NamedTuple):
    names: dict[str, str]
    """The file's names by the module's."""
    prefix: str
    outside: list[str]


def _match(own: StateDict, given: Mapping[str, str], name: str) -> _Match:
    """Matches names of a file, by their unwrapped form, to a module's own."""
    expected = unwrapped(own)
    ours, theirs = _prefixes(expected, given, name)
    matched, outside = {}, []
    for plain, literal in given.items():
        if not plain.startswith(theirs):
            outside.append(literal)
            continue
        target = ours + plain.removeprefix(theirs)
        if target not in expected:
            target = _OLD[0].sub(_OLD[1], target)
        matched[expected.get(target, target)] = literal
    known = set(expected.values())
    wrapped = {_wrapping(matched[key]) for key in matched if key in known}
    prefix = wrapped.pop() if len(wrapped) == 1 else ""
    return _Match(matched, prefix + (theirs if theirs != ours else ""), outside)


def _prefixes(
    expected: Mapping[str, str], given: Mapping[str, str], name: str
) -> tuple[str, str]:
    """Returns what stands before the names that module and file share, in each."""
    counts: dict[tuple[str, str], int] = {}
    for ours in dict.fromkeys(["", _shared(expected)]):
        inner = [plain.removeprefix(ours) for plain in expected]
        for theirs in _before(inner[:: len(inner) // 8 + 1], given):
            counts[ours, theirs] = sum(theirs + plain in given for plain in inner)
    most = max(counts.values())
    first = [pair for pair, count in counts.items() if count == most]
    equal = [theirs for ours, theirs in first if ours == first[0][0]]
    if len(equal) > 1 and 2 * most > len(expected):
        places = some(sorted(theirs or "no prefix" for theirs in equal))
        raise InputError(
            f"The checkpoint fits {name} in several ways, by the names after {places}; "
            "choose one with --weights."
        )
    return first[0]


def _before(probes: Iterable[str], given: Iterable[str]) -> list[str]:
    """Returns what stands before the names in a file that end in one of a module's."""
    found = {"": None}
    for probe in probes:
        for plain in given:
            if plain == probe or plain.endswith(f".{probe}"):
                found[plain.removesuffix(probe)] = None
    return list(found)[:100]


def _shared(names: Iterable[str]) -> str:
    """Returns the first parts that all names share, with their dots."""
    split = [name.split(".")[:-1] for name in names]
    shared = []
    for parts in zip(*split, strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return "".join(f"{part}." for part in shared)


def _plain(name: str) -> str:
    *parts, last = name.split(".")
    return ".".join([*(part for part in parts if part not in _WRAPPERS), last])


def _wrapping(name: str) -> str:
    """Returns the wrappers at the beginning of a name, with their dots."""
    parts = takewhile(_WRAPPERS.__contains__, name.split("."))
    return "".join(f"{part}." for part in parts)


def _is_loadable(name: str, value: object) -> bool:
    return isinstance(value, Tensor) or name.rpartition(".")[2] == EXTRA


def _is_of_training(name: str, unused: Sequence[str]) -> bool:
    *parents, last = name.split(".")
    is_other = any(_TRAINING.search(part) for part in parents[:1])
    return last in _COUNTERS or is_other or name.startswith(tuple(unused))


def _is_meta(value: object) -> bool:
    return isinstance(value, Tensor) and value.is_meta


def _fits(given: object, own: object) -> bool:
    if not isinstance(own, Tensor):
        return True  # an extra state, which the layer itself reads
    if not isinstance(given, Tensor):
        return False
    # Integers in place of weights would be the codes of a quantised network.
    is_number = given.is_floating_point() or not own.is_floating_point()
    return is_number and (is_lazy(own) or given.shape == own.shape)


def _converted(given: object, own: object) -> object:
    if not isinstance(given, Tensor):
        return given
    given = given.detach()
    return given.to(own.dtype) if isinstance(own, Tensor) else given


def _check_finite(given: StateDict, own: StateDict) -> None:
    bad = [repr(name) for name in given if not _is_finite(given[name], own.get(name))]
    if bad:
        raise InputError(
            f"{len(bad)} tensors of the checkpoint hold NaN or infinite values: "
            f"{some(bad)}. The training has probably diverged; take an earlier one."
        )


def _is_finite(given: object, own: object) -> bool:
    if not isinstance(given, Tensor) or not given.is_floating_point():
        return True
    # In float32, since that is how the network will run.
    if torch.isfinite(given.float()).all():
        return True
    # A mask of -inf is built by the module itself.
    if not isinstance(own, Tensor) or is_lazy(own) or own.is_meta:
        return False
    return torch.equal(given, own.to(given.dtype))


def _form(tensor: object) -> str:
    if not isinstance(tensor, Tensor):
        return type(tensor).__name__
    sizes = "x".join(map(str, tensor.shape)) or "scalar"
    return sizes if tensor.is_floating_point() else f"{sizes} {tensor.dtype}"

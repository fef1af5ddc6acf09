"""Explains a checkpoint: what is in it, what it is, and what is not known of it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn

from oodbench.base.errors import InputError
from oodbench.base.text import printable
from oodbench.networks import architectures
from oodbench.networks.architectures import Settings, torchvision_model
from oodbench.networks.architectures._skeleton import without_weights
from oodbench.networks.build import build_own
from oodbench.networks.checkpoint import weights_file
from oodbench.networks.checkpoint.card import find_card
from oodbench.networks.checkpoint.matching import unwrapped
from oodbench.networks.checkpoint.state_dict import (
    Found,
    StateDict,
    find_state_dict,
    some,
)
from oodbench.networks.checkpoint.weights_file import WeightsFile
from oodbench.networks.libraries import hugging_face, onnx_file
from oodbench.networks.plan import Plan, plan_network
from oodbench.networks.recognise import views

_SHOWN = 3
_SIMILAR = 0.5
"""Share of names that a candidate has in common with the file, numbers left out."""
_SETS = {
    (32, 10): "--in cifar10 --out cifar100,svhn",
    (32, 100): "--in cifar100 --out cifar10,svhn",
}
_STATISTICS = ("running_mean", "running_var")
_COUNTER = "num_batches_tracked"


class _Candidate(NamedTuple):
    similarity: float
    name: str
    module: nn.Module


def inspect_file(place: str | Path, weights: str | None = None) -> dict[str, Any]:
    """Returns facts about a file of weights by name, fit for JSON.

    The file is read as data; nothing in it is run.

    Args:
        place: The file, or `hf://OWNER/REPO/FILE@REVISION`, which is downloaded unless
            it is in the local cache.
        weights: Which of its weights, as for `load_network`.

    Raises:
        InputError: It cannot be had or read, or holds no weights.
    """
    path = Path(place)
    if str(place).startswith(hugging_face.PREFIX):
        path = hugging_face.download(str(place))
        if path.is_dir():
            files = ", ".join(sorted(each.name for each in path.glob("*.safetensors")))
            raise InputError(
                f"{place} is a repository; name one of its files (here: "
                f"{files or 'none'}). `oodbench run --model {place}` loads it whole."
            )
    if path.suffix == onnx_file.SUFFIX:
        return onnx_file.facts(path)
    file = weights_file.read(path)
    try:
        found = find_state_dict(file.content, weights)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    facts = _contents(file, found, path) | _meaning(file, found.tensors, str(place))
    return {"file": str(place), **facts}


def _contents(file: WeightsFile, found: Found, path: Path) -> dict[str, Any]:
    tensors = {k: v for k, v in found.tensors.items() if isinstance(v, Tensor)}
    shaped = [f"{name} {_sizes(each)}" for name, each in tensors.items() if each.ndim]
    inner = set(found.how.split(" > "))
    beside = file.content if found.how != "bare state dict" else {}
    assert isinstance(beside, Mapping)
    return {
        "sha256": file.sha256,
        "container": "safetensors" if _is_safetensors(path) else found.how,
        "beside weights": {
            printable(str(key)): _brief(value)
            for key, value in beside.items()
            if key not in inner
        },
        "other weights": found.others,
        "tensors": len(tensors),
        "parameters": sum(
            each.numel()
            for name, each in tensors.items()
            if each.is_floating_point() and not name.endswith(_STATISTICS)
        ),
        "first": shaped[:_SHOWN],
        "last": shaped[-_SHOWN:],
    }


def _meaning(file: WeightsFile, tensors: StateDict, place: str) -> dict[str, Any]:
    """Returns what the weights are of, or what comes near."""
    call = f"oodbench run --model {shlex.quote(place)}"
    try:
        plan = plan_network(file, tensors, None, {}, None, None, {})
        fit = plan.fill(tensors)
    except InputError as error:
        return {"recognised": None, "because": str(error)} | _told(error, tensors, call)
    has_card = find_card(file) is not None
    return {
        "recognised": plan.name,
        "because": "its card says so"
        if has_card
        else f"all names and shapes fit{f'; {fit}' if str(fit) else ''}",
        "architecture": plan.record.get("architecture"),
        "images": str(plan.shape),
        "mean": plan.mean,
        "std": plan.std,
        "assumed": plan.record.get("assumed")
        or plan.assumptions(is_normalised=False)
        or "nothing",
        "missing": "nothing" if plan.class_names else "class names",
        "command": f"{call} {_sets(plan)}",
    }


def _told(error: InputError, tensors: StateDict, call: str) -> dict[str, Any]:
    """Returns what the user must say for a file that is not recognised."""
    if "--norm instance" in str(error):
        options = "--norm instance --in SET --out SET"
        return {"missing": "the norm (--norm)", "command": f"{call} {options}"}
    if "--arch openclip:" in str(error):
        options = "--arch openclip:NAME --arg classes=SET --in SET --out SET"
        return {"missing": "its name and classes", "command": f"{call} {options}"}
    options = "--arch FILE.py:FUNCTION --mean R,G,B --std R,G,B --in SET --out SET"
    return {
        "nearest": _nearest(tensors),
        "missing": "the architecture (--arch), the normalisation (--mean, --std)",
        "command": f"{call} {options}",
    }


def _sets(plan: Plan) -> str:
    """Returns the sets that the sizes of a network suggest."""
    *_, last = plan.module.state_dict().values()
    key = (plan.shape.height, len(last) if last.ndim else 0)
    return _SETS.get(key, "--in SET --out SET")


def _nearest(tensors: StateDict) -> dict[str, str]:
    """Returns the architectures that nearly fit, and what differs."""
    (whole, *_) = views(tensors)
    found = []
    for name, module in _candidates(whole):
        own = {_numberless(key) for key in unwrapped(module.state_dict())}
        given = {_numberless(key) for key in whole}
        found.append(
            _Candidate(len(own & given) / max(len(own | given), 1), name, module)
        )
    best = sorted(found, key=lambda one: -one.similarity)[:_SHOWN]
    return {
        one.name: _difference(one.module.state_dict(), whole)
        for one in best
        if one.similarity >= _SIMILAR
    }


def _candidates(tensors: Mapping[str, Tensor]) -> list[tuple[str, nn.Module]]:
    """Returns a module of each family, without weights, and several of torchvision."""
    calls: list[tuple[str, Settings]] = [
        (name, {"classes": 10})
        for name in architectures.names()
        if architectures.load(name).usual and name != "torchvision_model"
    ]
    calls += [
        ("torchvision_model", {"model": model, "classes": 1000})
        for model in torchvision_model.candidates(tensors)
    ]
    with without_weights():
        return [
            (str(settings.get("model", name)), build_own(name, settings))
            for name, settings in calls
        ]


def _difference(own: StateDict, given: Mapping[str, Tensor]) -> str:
    missing = [
        name for name in own if name not in given and not name.endswith(_COUNTER)
    ]
    more = [name for name in given if name not in own]
    both = [(name, given[name], own[name]) for name in own if name in given]
    other = [
        f"{name} {_sizes(theirs)} for {_sizes(ours)}"
        for name, theirs, ours in both
        if isinstance(ours, Tensor) and theirs.shape != ours.shape
    ]
    kinds = {"missing": missing, "unexpected": more, "of another form": other}
    texts = [
        f"{len(names)} {kind} ({some(names)})" for kind, names in kinds.items() if names
    ]
    return "; ".join(texts) or "names and shapes are equal"


def _numberless(name: str) -> str:
    return re.sub(r"\d+", "0", name)


def _sizes(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape))


def _brief(value: object) -> str:
    if isinstance(value, Tensor):
        return f"tensor {_sizes(value)}" if value.ndim else f"{value.item():.6g}"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, int | str | None):
        return printable(str(value))[:60]
    size = f" of {len(value)}" if isinstance(value, list | Mapping) else ""
    return f"{type(value).__name__}{size}"


def _is_safetensors(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(9)[6:] == b"\0\0{"

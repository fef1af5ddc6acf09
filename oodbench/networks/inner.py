"""What a module computes inside: the input of its head, and the maps of its blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from oodbench.base.errors import InputError
from oodbench.base.registry import unknown


@dataclass
class Inner:
    """The inner values of one forward pass."""

    features: Tensor | None = None
    """`[N, D]`, the input of the head; a map is averaged over its positions."""
    maps: dict[str, Tensor] = field(default_factory=dict)
    """`[N, C, H, W]`, by the name of the block that returns it."""


@contextmanager
def watched(
    head: nn.Module | None,
    blocks: Mapping[str, nn.Module],
    given: Mapping[str, Tensor],
) -> Iterator[Inner]:
    """Receives the inner values of a forward pass in this context.

    Args:
        head: The layer whose input is the features.
        blocks: Modules that return feature maps, by name.
        given: Maps that blocks return in the place of their own.
    """
    inner = Inner()

    def keep_features(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        features = inputs[0]
        inner.features = features.mean((2, 3)) if features.ndim == 4 else features

    def keeper(name: str) -> Callable[..., Tensor]:
        def keep(_: nn.Module, __: object, output: Tensor) -> Tensor:
            inner.maps[name] = given.get(name, output)
            # A copy goes on, since later layers may write into their inputs.
            return inner.maps[name].clone()

        return keep

    with ExitStack() as hooks:
        if head is not None:
            hooks.enter_context(_removed(head.register_forward_pre_hook(keep_features)))
        for name, block in blocks.items():
            hooks.enter_context(_removed(block.register_forward_hook(keeper(name))))
        yield inner


@contextmanager
def _removed(hook: Any) -> Iterator[None]:
    try:
        yield
    finally:
        hook.remove()


class Call(NamedTuple):
    """One call of a module that returns a feature map."""

    name: str
    taken: int
    """Positions of the map that it receives; 0 where it receives none."""
    returned: int
    """Positions of the map that it returns."""


def map_calls(module: nn.Module, run: Callable[[], object]) -> list[Call]:
    """Returns the calls of inner modules that return maps `[N, C, H, W]`, in order.

    Maps of one position are left out, as are modules that are called twice.
    """
    calls: list[Call] = []

    def watcher(name: str) -> Callable[..., None]:
        def watch(_: nn.Module, inputs: Sequence[Any], output: object) -> None:
            if positions := _positions(output):
                calls.append(Call(name, _positions(*inputs[:1]), positions))

        return watch

    with ExitStack() as hooks:
        for name, one in module.named_modules():
            # Hooks cannot be added to scripted modules.
            if name and not isinstance(one, torch.jit.ScriptModule):
                hook = one.register_forward_hook(watcher(name))
                hooks.enter_context(_removed(hook))
        with torch.no_grad():
            run()
    names = [call.name for call in calls]
    return [call for call in calls if call.returned > 1 and names.count(call.name) == 1]


def usual_blocks(calls: Sequence[Call]) -> tuple[str, ...]:
    """Returns the last module of each size of map, the largest maps first.

    Modules inside of a step, a module that makes one size of map smaller, do not count:
    a ResNet's stage begins with layers at the size of the stage before.
    """
    steps = [(call.name, call.returned) for call in calls if _is_step(call, calls)]
    last: dict[int, str] = {}
    for call in calls:
        is_inside = any(
            call.name.startswith(f"{step}.") and call.returned > size
            for step, size in steps
        )
        if not is_inside:
            last[call.returned] = call.name
    return tuple(last[size] for size in sorted(last, reverse=True))


def _is_step(call: Call, calls: Sequence[Call]) -> bool:
    """Returns whether a module is more than one layer and less than the network."""
    inside = [one for one in calls if one.name.startswith(f"{call.name}.")]
    sizes = {one.returned for one in (call, *inside)}
    has_several_steps = call.taken > call.returned and len(sizes) > 2
    return bool(inside) and calls[0] not in inside and not has_several_steps


def checked_blocks(names: Sequence[str], calls: Sequence[Call]) -> tuple[str, ...]:
    """Returns names of blocks, in order, if each returns one feature map.

    Raises:
        InputError: One does not.
    """
    known = [call.name for call in calls]
    for name in names:
        if name not in known:
            raise InputError(unknown("block with one map", name, known))
    return tuple(names)


def layer_of(module: nn.Module, name: str) -> nn.Module:
    """Returns the layer of a module with a name such as `classifier.0`.

    Raises:
        InputError: There is none.
    """
    layers = dict(module.named_modules())
    if not name or name not in layers:
        raise InputError(unknown("layer", name, [known for known in layers if known]))
    return layers[name]


def linear_form(layer: nn.Module, features: Tensor, logits: Tensor) -> nn.Linear | None:
    """Returns a linear layer from features to logits, if `layer` is one.

    A convolution of one pixel before an average over positions is one, too.

    Args:
        layer: The layer whose input is the features.
        features: `[N, D]`.
        logits: `[N, K]`, of the same images.
    """
    if isinstance(layer, nn.Linear):
        found = layer
    elif isinstance(layer, nn.Conv2d) and layer.weight[0, 0].numel() == 1:
        if layer.groups > 1:
            return None
        outputs, inputs = layer.weight.shape[:2]
        found = nn.Linear(inputs, outputs, layer.bias is not None)
        found.weight = nn.Parameter(layer.weight.detach().flatten(1))
        if layer.bias is not None:
            found.bias = nn.Parameter(layer.bias.detach())
        found.to(layer.weight.device).requires_grad_(False)
    else:
        return None
    with torch.no_grad():
        made = found(features)
    same = made.shape == logits.shape and torch.allclose(made, logits, 1e-4, 1e-4)
    return found if same else None


def _positions(value: object = None) -> int:
    """Returns the number of positions of a feature map; 0 for anything else."""
    if isinstance(value, Tensor) and value.ndim == 4:
        return value.shape[2:].numel()
    return 0

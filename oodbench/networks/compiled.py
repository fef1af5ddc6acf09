"""Has PyTorch's compiler run the parts of a module that nothing looks into."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

import torch
from torch import nn

from oodbench.base.errors import InputError, reason

GRAPHS = 8
"""Graphs for each part, at most: with and without gradients, by precision and size."""


class Part(NamedTuple):
    """An inner module and its compiled forward pass."""

    module: nn.Module
    forward: Callable[..., Any]


def compiled(modules: Iterable[nn.Module]) -> list[Part]:
    """Returns modules with forward passes that compile themselves at the first call.

    One compilation serves all batches of more than one image.
    """
    # Graphs of earlier networks count against those that one function may have.
    torch.compiler.reset()
    return [Part(one, torch.compile(one.forward, dynamic=True)) for one in modules]


def parts_of(module: nn.Module, watched: Set[nn.Module]) -> Iterator[nn.Module]:
    """Yields the largest inner modules of several layers, such as stages of a ResNet.

    Hooks run outside of a forward pass, so a watched module may be such a part, but may
    not lie inside of one.

    Args:
        module: The whole.
        watched: The modules that hooks look at.
    """
    if isinstance(module, torch.jit.ScriptModule):  # is compiled already
        return
    no_forward = nn.ModuleList, nn.ModuleDict, torch.jit.ScriptModule
    for child in module.children():
        inside = set(child.modules()) - {child}
        if inside and not isinstance(child, no_forward) and not inside & watched:
            yield child
        else:
            yield from parts_of(child, watched)


@contextmanager
def in_place(parts: Sequence[Part]) -> Iterator[None]:
    """Runs the compiled forward passes in the place of the modules' own.

    Raises:
        InputError: A part cannot be compiled.
    """
    if not parts:
        yield
        return
    own = [vars(part.module).get("forward") for part in parts]
    for part in parts:
        part.module.forward = part.forward
    try:
        with _limits(len(parts)), compiling("a part of the network"):
            yield
    finally:
        for part, before in zip(parts, own, strict=True):
            if before is None:
                del part.module.forward
            else:
                part.module.forward = before


def _limits(parts: int) -> AbstractContextManager[None]:
    """Returns the context of the compiler's limits, and of hooks that are looked at."""
    # Imported here, since it loads the compiler.
    from torch._dynamo import config

    most = GRAPHS * parts
    return config.patch(
        recompile_limit=most,
        accumulated_recompile_limit=most,
        skip_nnmodule_hook_guards=False,
    )


@contextmanager
def compiling(what: str) -> Iterator[None]:
    """Runs compiled code, which compiles itself at its first call.

    Args:
        what: What it computes, for the message.

    Raises:
        InputError: torch.compile cannot compile it.
    """
    # Imported here, since it loads the compiler.
    from torch._dynamo.exc import FailOnRecompileLimitHit, TorchDynamoException

    try:
        yield
    except (TorchDynamoException, FailOnRecompileLimitHit) as error:
        cause = reason(getattr(error, "inner_exception", error))
        raise InputError(
            f"torch.compile cannot compile {what} ({cause}). Leave out --compile."
        ) from error

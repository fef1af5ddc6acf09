"""Finds the weights in what a checkpoint holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeAlias

from torch import Tensor

from oodbench.base.errors import InputError

StateDict: TypeAlias = Mapping[str, object]
"""Tensors by name. The extra state of a layer may be anything."""

# Averaged weights come first: where a file has them, they are the ones to evaluate.
_AVERAGED = ("state_dict_ema", "model_ema", "ema_state_dict", "params_ema", "ema")
_PLAIN = (
    *("state_dict", "model_state_dict", "model", "net"),
    *("network", "weights", "params", "logp_net"),
)
_KEYS = (*_AVERAGED, *_PLAIN)
_BARE = "bare state dict"
_DEEPEST = 4  # dictionaries in dictionaries
EXTRA = "_extra_state"
"""How PyTorch names the extra state of a layer."""


class Found(NamedTuple):
    """A state dict, and where it was found."""

    tensors: StateDict
    how: str
    """The keys that lead to it, as in `"checkpoint > state_dict"`."""
    others: list[str]
    """The other state dicts of the file."""


def find_state_dict(content: object, choice: str | None = None) -> Found:
    """Finds a state dict in the dictionaries around it.

    Args:
        content: What the checkpoint holds.
        choice: Which weights to take: the keys that lead to them, `ema` for averaged
            ones, `model` for those without average, or the beginning of the tensors'
            names. By default averaged weights, or else those under a usual key.

    Raises:
        InputError: There is none, or none of this choice.
    """
    if not isinstance(content, Mapping):
        raise InputError(
            f"The checkpoint holds a {type(content).__name__}, not a dictionary of "
            "weights; save model.state_dict()."
        )
    sets = _sets(content)
    if choice is not None:
        return _chosen(sets, choice)
    ranks = {how: rank for how in sets if (rank := _rank(how)) is not None}
    if not ranks:
        raise InputError(_nothing_in(content, sets))
    how = min(ranks, key=ranks.__getitem__)
    return Found(sets[how], how or _BARE, [each for each in ranks if each != how])


def some(texts: Iterable[str]) -> str:
    """Returns the first five texts, shortened, for a message; "none" for no text."""
    texts = [text[:80] for text in texts]
    return ", ".join(texts[:5]) + (", …" if len(texts) > 5 else "") or "none"


def _sets(content: StateDict) -> dict[str, StateDict]:
    """Returns all state dicts by the keys that lead to them."""
    found: dict[str, StateDict] = {}
    pending: list[tuple[tuple[str, ...], StateDict]] = [((), content)]
    seen = set()
    for keys, each in pending:
        if id(each) in seen:
            continue
        seen.add(id(each))
        if _is_state_dict(each):
            found[" > ".join(keys)] = each
        elif len(keys) < _DEEPEST:
            pending += [
                ((*keys, key), inner)
                for key, inner in each.items()
                if isinstance(key, str) and isinstance(inner, Mapping)
            ]
    return found


def _is_state_dict(content: StateDict) -> bool:
    """Returns whether all is tensors, but for extra states and plain numbers."""
    if not all(isinstance(key, str) for key in content):
        return False
    others = [
        value
        for key, value in content.items()
        if not isinstance(value, Tensor) and key.rpartition(".")[2] != EXTRA
    ]
    few = len(others) < len(content) and 2 * len(others) <= len(content)
    return few and all(isinstance(each, int | float | str | None) for each in others)


def _rank(how: str) -> tuple[int, ...] | None:
    """Returns the place in the order of preference; None for an unusual key."""
    keys = how.split(" > ") if how else []
    return tuple(map(_KEYS.index, keys)) if set(keys) <= set(_KEYS) else None


def _chosen(sets: Mapping[str, StateDict], choice: str) -> Found:
    def found(how: str) -> Found:
        return Found(sets[how], how or _BARE, [each for each in sets if each != how])

    kinds = {"ema": _AVERAGED, "model": _PLAIN}
    exact = [how for how in sets if how == choice]
    inside = [how for how in sets if choice in how.split(" > ")]
    of_kind = [
        how for how in sets if set(how.split(" > ")) & set(kinds.get(choice, ()))
    ]
    if choice == "model":
        of_kind = [how for how in of_kind if not set(how.split(" > ")) & set(_AVERAGED)]
    for hows in (exact, inside, of_kind):
        if hows:
            return found(hows[0])
    prefix = f"{choice.rstrip('.')}."
    for how, state in sets.items():
        if below := {k: v for k, v in state.items() if k.startswith(prefix)}:
            return Found(below, f"{how or _BARE}; only {prefix}*", [])
    raise InputError(
        f"The checkpoint has no weights {choice!r}; choose one of: "
        f"{some(how or _BARE for how in sets)}."
    )


def _nothing_in(content: StateDict, sets: Mapping[str, StateDict]) -> str:
    keys = some(map(repr, content))
    if sets:
        return (
            f"The checkpoint has no weights under a usual key (its keys are {keys}); "
            f"choose with --weights one of: {some(sets)}."
        )
    return (
        f"The checkpoint holds no state dict: its keys are {keys}. "
        "Save model.state_dict(), bare or under the key 'state_dict'."
    )

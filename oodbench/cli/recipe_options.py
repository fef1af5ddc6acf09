"""Turns every field of a training recipe into an option."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, get_args, get_origin, get_type_hints

import click

from oodbench.cli.options import numbers
from oodbench.jem.training.presets import PRESETS
from oodbench.jem.training.recipe import Recipe

NONE = {"sgld_noise": "coupled"}
"""The word for None where it is not none."""


def recipe_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds `--recipe` and an option for each field.

    The command gets the name as `recipe`, and the given fields as `changes`.
    """
    kinds = get_type_hints(Recipe, include_extras=True)

    @wraps(command)
    def wrapped(**given: Any) -> None:
        options = {name: given.pop(name) for name in kinds}
        values = {name: value for name, value in options.items() if value is not None}
        changes = {name: _value(name, value) for name, value in values.items()}
        command(changes=changes, **given)

    for name in reversed(kinds):
        wrapped = _option(name, kinds[name])(wrapped)
    return click.option(
        "--recipe",
        default="jem",
        show_default=True,
        metavar="NAME or CARD",
        help=f"Settings that the options below change: {', '.join(PRESETS)}, or the "
        ".json card of a model, which also names set and network.",
    )(wrapped)


def _option(name: str, kind: Any) -> Callable[[Any], Any]:
    plain, text = get_args(kind)
    flag = "--" + name.replace("_", "-")
    if plain is bool:
        return click.option(f"{flag}/--no-{flag[2:]}", name, default=None, help=text)
    return click.option(flag, name, default=None, help=text, **_type(name, plain))


def _type(name: str, plain: Any) -> dict[str, Any]:
    """Returns the keywords by which click reads a value."""
    choices = get_args(plain)
    if get_origin(plain) is tuple:
        return {"metavar": "N,…"}
    if type(None) in choices:
        return {"metavar": f"FLOAT or {NONE.get(name, 'none')}"}
    if choices:
        return {"type": click.Choice(choices)}
    return {"type": plain}


def _value(name: str, value: Any) -> Any:
    """Returns an option's value in the type of its field."""
    plain, _ = get_args(get_type_hints(Recipe, include_extras=True)[name])
    flag = "--" + name.replace("_", "-")
    if get_origin(plain) is tuple:
        return numbers(flag, value)
    if type(None) in get_args(plain):
        if value == NONE.get(name, "none"):
            return None
        (number,) = numbers(flag, value) or (None,)
        return number
    return value

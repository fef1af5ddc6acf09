"""Offers every field of a training recipe as an option."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import click

from oodbench.base.errors import InputError
from oodbench.base.registry import unknown
from oodbench.cli.options import numbers
from oodbench.jem.training.recipe import PRESETS, Recipe, read

NONE = {"sgld_noise": "coupled"}
"""Words for a value that is not given; others say none."""


def recipe_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds `--recipe` and an option for each field.

    The command gets `recipe`, and `card`, the card that --recipe named, or {}.
    """
    kinds = get_type_hints(Recipe, include_extras=True)

    @wraps(command)
    def wrapped(*, recipe: str, **given: Any) -> None:
        base, card = _base(recipe)
        said = {name: given.pop(name) for name in kinds}
        values = {name: value for name, value in said.items() if value is not None}
        changed = {name: _value(name, value) for name, value in values.items()}
        command(recipe=dataclasses.replace(base, **changed), card=card, **given)

    for name in reversed(kinds):
        wrapped = _option(name, kinds[name])(wrapped)
    return click.option(
        "--recipe",
        default="jem",
        show_default=True,
        metavar="NAME or CARD",
        help=f"What the options below change: {', '.join(PRESETS)}, or the .json card "
        "of a model, which also names set and network.",
    )(wrapped)


def _base(recipe: str) -> tuple[Recipe, Mapping[str, Any]]:
    """Returns a preset, or what a card says."""
    if recipe in PRESETS:
        return PRESETS[recipe], {}
    path = Path(recipe)
    if path.suffix != ".json":
        raise InputError(f"{unknown('recipe', recipe, PRESETS)} A card ends in .json.")
    try:
        card = json.loads(path.read_bytes())
        if not isinstance(card["architecture"], dict):
            raise TypeError("no network")
        if not isinstance(card["trained_on"]["spec"], str):
            raise TypeError("no set")
        return read(card["recipe"]), card
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is no card of `oodbench train`.") from error


def _option(name: str, kind: Any) -> Callable[[Any], Any]:
    plain, say = get_args(kind)
    flag = "--" + name.replace("_", "-")
    if plain is bool:
        return click.option(f"{flag}/--no-{flag[2:]}", name, default=None, help=say)
    return click.option(flag, name, default=None, help=say, **_type(name, plain))


def _type(name: str, plain: Any) -> dict[str, Any]:
    """Returns how click shall read a value."""
    choices = get_args(plain)
    if get_origin(plain) is tuple:
        return {"metavar": "N,…"}
    if type(None) in choices:
        return {"metavar": f"FLOAT or {NONE.get(name, 'none')}"}
    if choices:
        return {"type": click.Choice(choices)}
    return {"type": plain}


def _value(name: str, value: Any) -> Any:
    """Returns an option's value as the recipe holds it."""
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

"""The options of an SGLD sampler."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from oodbench.base.errors import InputError

COUPLED = "coupled"
_OPTIONS = (
    click.option(
        "--step-size",
        type=float,
        default=1.0,
        show_default=True,
        help="Factor of the gradient of log p(x), for pixels in [-1, 1].",
    ),
    click.option(
        "--noise",
        default="0.01",
        show_default=True,
        metavar=f"NUMBER or {COUPLED}",
        help=f"Standard deviation per step; {COUPLED}: Langevin dynamics at "
        "--temperature.",
    ),
    click.option("--temperature", type=float, default=1.0, show_default=True),
    click.option("--clip", type=float, help="Clip gradient entries to this magnitude."),
    click.option(
        "--clamp",
        type=float,
        help="Clamp pixels to this magnitude; 1 keeps images in [-1, 1].",
    ),
)


def sampler_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options; the command gets coupled noise as None."""

    @wraps(command)
    def wrapped(*, noise: str, **others: Any) -> None:
        command(noise=_noise(noise), **others)

    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped


def _noise(text: str) -> float | None:
    if text == COUPLED:
        return None
    try:
        return float(text)
    except ValueError:
        raise InputError(
            f"--noise must be a number or {COUPLED}, not {text!r}."
        ) from None

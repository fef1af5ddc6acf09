"""Options that several commands share, and what turns their texts into values."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import click

from oodbench.errors import InputError

device_option = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda", "mps"]),
    default="auto",
    show_default=True,
)

results_argument = click.argument(
    "results", type=click.Path(path_type=Path), default=Path("results/runs")
)


def split_commas(values: Iterable[str]) -> list[str]:
    """Returns the parts of comma lists, in order, without the empty ones."""
    parts = (part.strip() for value in values for part in value.split(","))
    return [part for part in parts if part]


def settings(values: Iterable[str]) -> dict[str, str]:
    """Returns `KEY=VALUE` texts as a mapping."""
    pairs = [value.partition("=") for value in values]
    for key, equals, _ in pairs:
        if not (key and equals):
            raise InputError(f"--arg {key}{equals} sets nothing; write KEY=VALUE.")
    return {key: value for key, _, value in pairs}


def numbers(option: str, text: str | None) -> tuple[float, ...] | None:
    """Returns a comma list of numbers; None for none."""
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise InputError(
            f"{option} must be numbers with commas between, not {text!r}."
        ) from None


def height_and_width(text: str | None) -> tuple[int, int] | None:
    """Returns `N` or `HxW` as two sides; None for none."""
    if text is None:
        return None
    match = re.fullmatch(r"([1-9]\d*)(?:x([1-9]\d*))?", text)
    if match is None:
        raise InputError(f"--size must be N or HxW in pixels, not {text!r}.")
    return int(match[1]), int(match[2] or match[1])

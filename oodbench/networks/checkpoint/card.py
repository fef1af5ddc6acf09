"""The card of a model: a JSON file that describes its network and its training."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch
import torch
from torch import nn

from oodbench.base.errors import InputError, reason
from oodbench.base.files import Record, write_atomically
from oodbench.data.dataset import Shape
from oodbench.networks.checkpoint.weights_file import WeightsFile

KEY = "oodbench"
"""The metadata key of a safetensors file under which its card stands."""
_LARGEST_SIDE = 4096
_LARGEST_SETTING = 10**6


class Card(NamedTuple):
    """The part of a card that a network is built from."""

    name: str
    """Of `architectures`; empty where the user's code built the network."""
    settings: dict[str, Any]
    """The arguments that build it."""
    factory: str
    """The call of the user's code that built it; empty for a name."""
    shape: Shape
    """Of one image."""
    mean: tuple[float, ...]
    """Of the normalisation, for pixels in [0, 1]."""
    std: tuple[float, ...]
    class_names: tuple[str, ...] = ()
    """In the order of the logits, if they are known."""
    assumed: str = ""
    """What was assumed when the file was converted."""


def find_card(file: WeightsFile) -> Card | None:
    """Returns the card in a file of weights, or in a checkpoint of `oodbench train`.

    Raises:
        InputError: The card is damaged.
    """
    content = file.content
    text = file.metadata.get(KEY)
    if text is None and isinstance(content, Mapping):
        text = content.get("card")
    return parse(text) if isinstance(text, str) else None


def parse(text: str) -> Card:
    """Reads the text of a card.

    Raises:
        InputError: Something that builds the network is missing or out of range.
    """
    with _one_sentence():
        card = json.loads(text)
        settings = dict(card["architecture"])
        factory = settings.pop("factory", "")
        name = "" if factory else settings.pop("name")
        if not all(isinstance(each, str) for each in (name, factory)):
            raise TypeError("the architecture has no name")
        _refuse_huge(settings)
        shape = Shape(*card["shape"])
        if not all(type(side) is int and 0 < side <= _LARGEST_SIDE for side in shape):
            raise ValueError(f"shape {shape}")
        mean, std = (tuple(map(float, card[key])) for key in ("mean", "std"))
        classes, assumed = tuple(card.get("class_names", ())), card.get("assumed", "")
        if not all(isinstance(each, str) for each in (*classes, assumed)):
            raise TypeError("a class name or assumption is no text")
        return Card(name, settings, factory, shape, mean, std, classes, assumed)


def write(path: Path, module: nn.Module, card: Record) -> None:
    """Writes a module's weights with the card inside, and the card next to them.

    Raises:
        InputError: The file cannot be written, or must not be.
    """
    check_place(path)
    text = json.dumps(card, indent=1, sort_keys=True)
    # Copies, since tied weights share their memory.
    weights = {
        name: weight.cpu().clone(memory_format=torch.contiguous_format)
        for name, weight in module.state_dict().items()
    }
    write_atomically(path, safetensors.torch.save(weights, {KEY: text}))
    write_atomically(path.with_suffix(".json"), f"{text}\n".encode())


def check_place(path: Path) -> None:
    """Checks that an export may be written to a path, before hours are spent on it.

    Raises:
        InputError: It has another ending, or a file that is no card would be
            overwritten.
    """
    if path.suffix != ".safetensors":
        raise InputError(f"The file of weights must end in .safetensors, got {path}.")
    card = path.with_suffix(".json")
    try:
        is_card = not card.exists() or "architecture" in json.loads(card.read_bytes())
    except (OSError, ValueError, TypeError):
        is_card = False
    if not is_card:
        raise InputError(
            f"{card} is not a card of a model, and would be overwritten; name another "
            f"file than {path}."
        )


def _refuse_huge(settings: Mapping[str, Any]) -> None:
    """Refuses settings whose network would take all memory even without weights."""
    for key, value in settings.items():
        values = value if isinstance(value, list) else [value]
        numbers = [each for each in values if isinstance(each, int | float)]
        if len(values) > 1000 or any(not abs(n) <= _LARGEST_SETTING for n in numbers):
            raise ValueError(f"{key} of {len(values)} values up to {max(numbers)}")


@contextmanager
def _one_sentence() -> Iterator[None]:
    """Turns any error that the content of a card causes into one sentence."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"its card is damaged ({reason(error)}).") from error

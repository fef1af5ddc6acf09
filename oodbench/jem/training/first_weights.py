"""The weights that a training begins at, where another training has made them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from oodbench.base.errors import InputError
from oodbench.base.files import Record
from oodbench.jem.training.images import CENTRE
from oodbench.networks.build import Built
from oodbench.networks.checkpoint import weights_file
from oodbench.networks.checkpoint.card import Card, find_card
from oodbench.networks.checkpoint.matching import fill
from oodbench.networks.checkpoint.state_dict import find_state_dict

logger = logging.getLogger(__name__)


def first_weights(
    built: Built, path: str | Path | None, made: Mapping[str, Any]
) -> Record:
    """Puts the weights of a file into a network, and returns what the card says of it.

    Averaged weights are taken where the file has them. Optimiser, buffer and iteration
    of the earlier training are not.

    Args:
        built: The network, with fresh weights.
        path: The file; None leaves the fresh weights.
        made: The card that the recipe comes from, or {}.

    Raises:
        InputError: The file cannot be read, or is of another network.
    """
    if path is None:
        if before := made.get("started_from"):
            logger.warning(
                "The card's training began at the weights of %s, and this one begins "
                "at random weights; --start-from names others.",
                before["first_weights"],
            )
        return {}
    file = weights_file.read(Path(path))
    try:
        if card := find_card(file):
            _check(card, built)
        found = find_state_dict(file.content)
        fill(built.module, found.tensors, name="the network to train")
    except InputError as error:
        raise InputError(f"Cannot start from {path}: {error}") from error
    return {"first_weights": Path(path).name, "sha256": file.sha256}


def _check(card: Card, built: Built) -> None:
    """Refuses what fits by shape and means something else."""
    own = {key: value for key, value in built.card.items() if key != "name"}
    if card.name and (card.name, card.settings) != (built.card.get("name"), own):
        raise InputError(
            f"it is of {_text(card.name, card.settings)}, and this training has "
            f"{_text(built.card.get('name', 'a factory'), own)}; name the same network "
            "with --arch and --arg."
        )
    if {*card.mean, *card.std} != {CENTRE}:
        raise InputError(
            f"its images have mean {card.mean} and deviation {card.std}, and training "
            f"has {CENTRE} for both; take weights of images in [-1, 1]."
        )


def _text(name: str, settings: Mapping[str, Any]) -> str:
    return f"{name} ({', '.join(f'{key} {settings[key]}' for key in settings)})"

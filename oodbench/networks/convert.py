"""Writes a network to safetensors with a card that describes it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from oodbench.base.errors import InputError
from oodbench.networks.checkpoint import card
from oodbench.networks.libraries.onnx_module import OnnxModule
from oodbench.networks.load import as_network
from oodbench.networks.zero_shot.classifier import ZeroShot


def convert(
    model: str | Path,
    to: str | Path,
    *,
    class_names: Sequence[str] = (),
    source: str = "",
    licence: str = "",
    **checkpoint: Any,
) -> dict[str, Any]:
    """Writes a checkpoint's weights with its architecture and preprocessing.

    Args:
        model: The file.
        to: The new file, `.safetensors`; the card lies inside and beside it as JSON.
        class_names: In the order of the logits.
        source: Where the weights come from, for the card.
        licence: Of the weights, for the card.
        checkpoint: The keywords of `load_network`.

    Returns:
        The card.

    Raises:
        InputError: The model cannot be loaded, or the file not written.
    """
    if checkpoint.get("head") or checkpoint.get("blocks"):
        raise InputError("--head and --blocks are no part of a card; give them to run.")
    target = Path(to)
    card.check_place(target)
    network = as_network(Path(model), **checkpoint)
    if isinstance(network.module, ZeroShot | OnnxModule):
        raise InputError(
            "Zero-shot classifiers and ONNX files cannot be written as safetensors; "
            "keep their own files."
        )
    names = list(class_names or network.class_names)
    if names and len(names) != network.classes:
        raise InputError(
            f"There are {len(names)} class names, and the network has "
            f"{network.classes} classes."
        )
    kept = ("recognised", "norm", "kind", "file", "sha256")
    written = {
        "architecture": _architecture(str(network.source.get("architecture", ""))),
        "shape": list(network.shape),
        "mean": list(network.mean),
        "std": list(network.std),
        "assumed": network.source.get("assumed", ""),
        "class_names": names,
        "source": source,
        "licence": licence,
        "converted_from": {k: network.source[k] for k in kept if k in network.source},
    }
    card.write(target, network.module, written)
    return written


def _architecture(text: str) -> dict[str, Any]:
    """Returns what builds the network again: settings, or the call of a factory."""
    if not text:
        raise InputError("The model is no file of weights; convert a checkpoint.")
    return json.loads(text) if text.startswith("{") else {"factory": text}

"""Networks in ONNX files: loading and explaining them (`oodbench[onnx]`)."""

from __future__ import annotations

import logging
import shlex
from pathlib import Path
from typing import Any

from oodbench.base.errors import InputError
from oodbench.data.dataset import Shape
from oodbench.networks.libraries.onnx_module import FEATURES, LOG_PX, OnnxModule
from oodbench.networks.network import Network

logger = logging.getLogger(__name__)

SUFFIX = ".onnx"
_ASSUMED = "mean 0 or std 1 where none is given (an ONNX file does not show them)"


def network(
    path: Path,
    mean: tuple[float, ...] | None,
    std: tuple[float, ...] | None,
    inside: Shape | None,
) -> Network:
    """Returns the network of an ONNX file.

    Args:
        path: The file.
        mean: Of the normalisation that comes before the graph; None for pixels in
            [0, 1] as they are.
        std: Likewise.
        inside: The shape of images where the file leaves it free.

    Raises:
        InputError: The file cannot be read, or is no network of images.
    """
    module = OnnxModule(path)
    source = {
        "file": path.name,
        "sha256": module.sha256,
        "architecture": module.title,
    }
    if module.card and (mean, std) != (None, None):
        raise InputError(f"{path} normalises its images itself; leave --mean out.")
    if not module.card and None in (mean, std):
        source["assumed"] = _ASSUMED
        logger.warning("%s: %s. Assumed: %s.", path, module.title, _ASSUMED)
    found = Network(
        module,
        _shape(path, module, inside),
        path.stem,
        mean or (0.0,),
        std or (1.0,),
        source=source,
        head_layer=FEATURES if module.has_features else "",
    )
    names = tuple(module.card.get("class_names", ()))
    if names and len(names) != found.classes:
        raise InputError(
            f"{path} names {len(names)} classes, and its network has {found.classes}."
        )
    found.class_names = names
    return found


def facts(path: Path) -> dict[str, Any]:
    """Returns facts about an ONNX file by name, fit for JSON.

    Raises:
        InputError: The file cannot be read, or is no network of images.
    """
    module = OnnxModule(path)
    first = next(iter(module.outputs))
    read = {FEATURES: "features", LOG_PX: "log p(x)", first: "logits"}
    options = "" if module.card else "--mean R,G,B --std R,G,B "
    call = f"oodbench run --model {shlex.quote(str(path))}"
    return {
        "file": str(path),
        "sha256": module.sha256,
        "container": module.title,
        "images": _sizes(module.shape),
        "outputs": {
            name: f"{_sizes(shape)}, {read.get(name, 'not read')}"
            for name, shape in module.outputs.items()
        },
        "gives": "logits and features, and no gradients"
        if module.has_features
        else f"logits, and no gradients; features from an output named {FEATURES!r}",
        "missing": "nothing" if module.card else "the normalisation (--mean, --std)",
        "command": f"{call} {options}--in SET --out SET",
    }


def _shape(path: Path, module: OnnxModule, inside: Shape | None) -> Shape:
    """Returns the shape of an image; sizes that the file leaves free are given."""
    given = inside or (None, None, None)
    own = module.shape[1:]
    sizes = [a if isinstance(a, int) else b for a, b in zip(own, given, strict=True)]
    known = [size for size in sizes if size is not None]
    if len(known) < 3:
        raise InputError(f"{path}: the size of its images is free; give a shape.")
    return Shape(*known)


def _sizes(shape: list[int | str | None]) -> str:
    return "x".join(str(size) if isinstance(size, int) else "N" for size in shape)

"""Writes a network, and the score of its logits, for programs without oodbench."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from oodbench.base import extras
from oodbench.base.errors import InputError, reason
from oodbench.base.files import writing
from oodbench.networks.libraries.onnx_module import CARD, OnnxModule
from oodbench.networks.network import Network
from oodbench.scoring.detector import Detector
from oodbench.scoring.program import Program, program

_CLOSE = 1e-4
"""By which outputs under onnxruntime may differ from torch's, absolute or relative."""


def export(
    network: Network,
    to: Path,
    detector: Detector | None = None,
    threshold: float | None = None,
    card: Mapping[str, Any] | None = None,
) -> tuple[str, ...]:
    """Writes a network as ONNX, or as a program of `torch.export`.

    Both map `pixels` `[N, *shape]` in [0, 1], float32, to the outputs.

    Args:
        network: The network.
        to: A file that ends in `.onnx` or `.pt2`.
        detector: Its scores become an output; it reads logits and log p(x) alone.
        threshold: Whether scores reach it becomes an output, too.
        card: What an ONNX file is to say of itself besides.

    Returns:
        The names of the outputs, in order.

    Raises:
        InputError: The file has another ending or cannot be written, the network or the
            detector cannot be exported, or onnxruntime gives other numbers.
    """
    if to.suffix not in (".onnx", ".pt2"):
        raise InputError(f"{to} must end in .onnx or .pt2.")
    if isinstance(network.module, OnnxModule):
        raise InputError(f"{network.name} is an ONNX file already.")
    made = program(network, detector, threshold)
    if to.suffix == ".pt2":
        with writing(to) as file:
            torch.export.save(made.exported, file)
        return made.names
    described = {"class_names": list(network.class_names), **(card or {})}
    content = _onnx(made, json.dumps(described), f"{network.name} as ONNX")
    with writing(to) as file:
        file.write(content)
    return made.names


def _onnx(made: Program, card: str, what: str) -> bytes:
    """Returns a program as ONNX, tried in onnxruntime."""
    extras.library("onnxscript", "onnx")
    runtime = extras.library("onnxruntime", "onnx")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            graph = torch.onnx.export(
                made.exported,
                dynamo=True,
                verbose=False,
                input_names=["pixels"],
                output_names=list(made.names),
            )
        assert graph is not None
        graph.model.metadata_props[CARD] = card
        content = graph.model_proto.SerializeToString()
        session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
        found = session.run(None, {"pixels": made.pixels.cpu().numpy()})
        for one, expected in zip(found, made.expected, strict=True):
            if expected.is_floating_point():
                torch.testing.assert_close(
                    torch.from_numpy(one), expected.cpu(), rtol=_CLOSE, atol=_CLOSE
                )
    except Exception as error:  # other people's code
        raise InputError(f"{what} does not work ({reason(error)}).") from error
    return content

"""The graph of an ONNX file as a module (`oodbench[onnx]`)."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from oodbench.base import extras
from oodbench.base.errors import InputError, reason
from oodbench.networks.result import Joint

FEATURES = "features"
"""The name of the output that is the features."""
LOG_PX = "log_px"
"""The name of the output that is log p(x), where that has a head of its own."""
CARD = "oodbench"
"""The entry of a file's metadata in which oodbench describes a network."""


class OnnxModule(nn.Module):
    """Images `[N, C, H, W]` to the first output of an ONNX file, the logits `[N, K]`.

    An output named `features`, `[N, D]` or a map `[N, D, H, W]`, passes through the
    layer `features`. An output named `log_px`, `[N]`, is log p(x). The graph runs on
    the CPU and gives no gradients.

    Args:
        path: The file; files beside it that hold its weights are read, too.

    Raises:
        InputError: onnxruntime is not installed or does not take the file, or its input
            is no batch of images.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        onnx, runtime = (
            extras.library(name, "onnx") for name in ("onnx", "onnxruntime")
        )
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        try:
            model = onnx.load(path)
            data = model.SerializeToString(deterministic=True)
            self._session = runtime.InferenceSession(
                data, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # other people's code and files
            raise InputError(
                f"{path} cannot be read as ONNX ({reason(error)})."
            ) from error
        self.sha256 = hashlib.sha256(data).hexdigest()
        """Of the graph and all weights, which it stands for in the network's key."""
        opset = max(one.version for one in model.opset_import)
        maker = f"{model.producer_name} {model.producer_version}".strip()
        self.title = f"ONNX graph of opset {opset}{maker and f' by {maker}'}"
        entries = {entry.key: entry.value for entry in model.metadata_props}
        self.card = _card(path, entries.get(CARD, "{}"))
        """What oodbench wrote into a file of its own; empty for others."""
        taken = [(one.name, one.type, one.shape) for one in self._session.get_inputs()]
        _check(path, taken)
        ((self._input, _, self.shape),) = taken
        """Of the input; texts and None stand for free sizes."""
        self.outputs = {one.name: one.shape for one in self._session.get_outputs()}
        first, *others = self.outputs
        self._read = [first, *(one for one in (FEATURES, LOG_PX) if one in others)]
        if self.has_features:
            self.features = nn.Identity()

    @property
    def has_features(self) -> bool:
        """Whether an output behind the first one is called `features`."""
        return FEATURES in self._read[1:]

    def forward(self, pixels: Tensor) -> Tensor | Joint:
        """Returns logits `[N, K]`, with log p(x) where that is an output.

        Raises:
            InputError: Gradients, or bf16, are wanted.
        """
        if pixels.requires_grad and torch.is_grad_enabled():
            raise InputError("An ONNX file gives no gradients; take its checkpoint.")
        if torch.is_autocast_enabled(pixels.device.type):
            raise InputError("An ONNX file has a precision of its own; leave bf16 out.")
        images = pixels.cpu().numpy()
        step = len(images) if self.shape[0] != 1 else 1
        parts = [
            self._session.run(self._read, {self._input: images[start : start + step]})
            for start in range(0, len(images), step)
        ]
        logits, *others = (
            torch.cat([torch.from_numpy(each) for each in outputs])
            for outputs in zip(*parts, strict=True)
        )
        found = dict(zip(self._read[1:], others, strict=True))
        if (one := found.get(FEATURES)) is not None:
            self.features(one.mean((2, 3)) if one.ndim == 4 else one)
        log_px = found.get(LOG_PX)
        return logits if log_px is None else Joint(logits, log_px.reshape(-1))


def _card(path: Path, text: str) -> dict[str, Any]:
    try:
        return dict(json.loads(text))
    except (ValueError, TypeError) as error:
        raise InputError(f"The card in {path} is damaged; write it again.") from error


def _check(path: Path, taken: list[tuple[str, str, list[int | str | None]]]) -> None:
    is_image = len(taken) == 1 and len(taken[0][2]) == 4
    if not is_image or taken[0][1] != "tensor(float)":
        found = ", ".join(f"{kind} {shape}" for _, kind, shape in taken)
        raise InputError(
            f"{path} takes {found}; a network takes float images [N, C, H, W]."
        )
    count = taken[0][2][0]
    if isinstance(count, int) and count > 1:
        raise InputError(
            f"{path} takes {count} images at once; export it with a free number."
        )

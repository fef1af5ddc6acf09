"""Precisions that a module runs in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Literal

import torch
from torch import nn

Precision = Literal["fp32", "tf32", "bf16"]

NATIVE = ("amx_bf16", "avx512_bf16", "bf16")
"""The capabilities by which CPUs, of x86 and of ARM, multiply bf16."""


def autocast(
    device: torch.device, precision: Precision
) -> AbstractContextManager[object]:
    """Returns the context that a module runs in: bf16 autocast, or none."""
    wanted = precision == "bf16"
    if not wanted and not torch.is_autocast_enabled(device.type):
        return nullcontext()  # entering it takes longer than a small layer
    return torch.autocast(device.type, torch.bfloat16, enabled=wanted)


def fastest(device: torch.device) -> Literal["fp32", "bf16"]:
    """Returns bf16 for a device that multiplies it natively, else fp32."""
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        # Old releases of torch do not say what the processor has.
        able = getattr(torch.cpu, "get_capabilities", dict[str, Any])()
        native = device.type == "cpu" and any(map(able.get, NATIVE))
    return "bf16" if native else "fp32"


@contextmanager
def products(device: torch.device, precision: Precision) -> Iterator[None]:
    """Has a GPU multiply float32 numbers in full, or in TF32.

    PyTorch's own choice is TF32 for convolutions and float32 for other products.
    """
    if device.type != "cuda":
        yield
        return
    declared: Any = torch.backends  # torch declares no types for some of them
    backends = declared.cuda.matmul, declared.cudnn.conv
    before = [backend.fp32_precision for backend in backends]
    for backend in backends:
        backend.fp32_precision = "tf32" if precision == "tf32" else "ieee"
    try:
        yield
    finally:
        for backend, own in zip(backends, before, strict=True):
            backend.fp32_precision = own


def make_float32(module: nn.Module) -> str:
    """Converts a half or double module, since pixels and scores are float32.

    Returns:
        What was done, for the record; empty for nothing.
    """
    tensors = [*module.parameters(), *module.buffers()]
    found = {each.dtype for each in tensors if each.is_floating_point()}
    if not found - {torch.float32}:
        return ""
    module.float()
    return f"{', '.join(sorted(map(str, found)))} to float32"

"""Writes figures as PNG and SVG."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from oodbench.base.files import write_atomically
from oodbench.output.plots.sheet import style

OPTIONS: dict[str, dict[str, Any]] = {
    # The lower level takes less time, and files of drawings get no larger.
    "png": {"metadata": {"Software": None}, "pil_kwargs": {"compress_level": 3}},
    "svg": {"metadata": {"Date": None}},
}
"""How each format is written."""


def save(figure: Figure, stem: Path) -> list[Path]:
    """Writes a figure as PNG and SVG; equal figures give equal bytes.

    Args:
        figure: What to write.
        stem: The files' path without its ending.
    """
    written = []
    for ending in OPTIONS:
        written.append(stem.with_name(f"{stem.name}.{ending}"))
        write_atomically(written[-1], encoded(figure, ending))
    return written


def encoded(figure: Figure, ending: str) -> bytes:
    """Returns the file of a figure, one of `OPTIONS`."""
    buffer = io.BytesIO()
    with style():
        figure.savefig(buffer, format=ending, dpi=150, **OPTIONS[ending])
    return buffer.getvalue()

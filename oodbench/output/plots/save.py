"""Writes figures as PNG and SVG."""

from __future__ import annotations

import io
from pathlib import Path

from matplotlib.figure import Figure

from oodbench.base.files import write_atomically
from oodbench.output.plots.sheet import style


def save(figure: Figure, stem: Path) -> list[Path]:
    """Writes a figure as PNG and SVG; equal figures give equal bytes.

    Args:
        figure: What to write.
        stem: The files' path without its ending.
    """
    written = []
    for ending, metadata in {"png": {"Software": None}, "svg": {"Date": None}}.items():
        buffer = io.BytesIO()
        with style():
            figure.savefig(buffer, format=ending, dpi=150, metadata=metadata)
        written.append(stem.with_name(f"{stem.name}.{ending}"))
        write_atomically(written[-1], buffer.getvalue())
    return written

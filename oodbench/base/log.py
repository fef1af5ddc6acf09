"""The log of the package: lines on stderr, and a file in the folder of results."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LOG = logging.getLogger("oodbench")
NAME = "oodbench.log"

quiet = False
"""Whether this process shows neither progress nor remarks, because of `--quiet`."""


SHOWN = {"is_shown": True}
"""The `extra` of a line that the command shows itself: only the log file takes it."""


class Lines(logging.Handler):
    """Writes to what is stderr at the time: progress bars then stay below the lines."""

    def emit(self, record: logging.LogRecord) -> None:
        """Writes one line, if the command does not show it itself."""
        if not hasattr(record, "is_shown"):
            sys.stderr.write(f"{self.format(record)}\n")


class _InFolder(logging.Handler):
    """Appends lines to the log file of a folder as soon as the folder is there."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        self._folder, self._waiting = folder, ""

    def emit(self, record: logging.LogRecord) -> None:
        """Appends one line; none where the file cannot be written."""
        self._waiting += f"{self.format(record)}\n"
        if self._folder.is_dir():
            path, text = self._folder / NAME, self._waiting
            with suppress(OSError), path.open("a", encoding="utf-8") as file:
                file.write(text)
            self._waiting = ""


@contextmanager
def logged_in(folder: Path) -> Iterator[None]:
    """Appends what the package logs, from INFO on, to `oodbench.log` in a folder."""
    handler, level = _InFolder(folder), LOG.level
    LOG.addHandler(handler)
    LOG.setLevel(min(logging.INFO, level or logging.INFO))
    try:
        yield
    finally:
        LOG.setLevel(level)
        LOG.removeHandler(handler)

"""Counts the files and calls that oodbench needs for each of its four main paths.

    python benchmarks/walks.py

A path is run once to load what is loaded lazily, and once under `sys.setprofile`.
`files` counts the files of oodbench and its built-in plug-ins that are entered;
`calls` counts calls from one of these files to another.

Two more counts are of the default run, its plots included, in an empty folder: how
often the metrics of a group and of a row are computed, and how many files below the
results one `oodbench table` opens afterwards. The script also runs on former versions.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import oodbench
from oodbench import cli

PACKAGE = Path(oodbench.__file__).parent
OWN = [
    str(PACKAGE),
    *(str(PACKAGE.parent / name) for name in ("detectors", "datasets")),
]
CHECKPOINT = next(PACKAGE.rglob("jem-digits.safetensors"))
MEASURING = [
    (stem, name) for stem in ("rows", "measures") for name in ("measure", "_row")
]
"""Functions that compute the metrics of a group or a row, by file and name."""


class Trace:
    """Counts entered files, calls between files, and calls by function name."""

    def __init__(self) -> None:
        self.files: set[str] = set()
        self.functions: Counter[tuple[str, str]] = Counter()
        self.calls = 0

    def __call__(self, frame, event, _) -> None:
        if event != "call" or not is_own(name := frame.f_code.co_filename):
            return
        self.files.add(name)
        self.functions[Path(name).stem, frame.f_code.co_name] += 1
        before = frame.f_back
        if before and is_own(caller := before.f_code.co_filename) and caller != name:
            self.calls += 1


def is_own(name: str) -> bool:
    return name.startswith(tuple(OWN))


def trace(path: Callable[[], object]) -> Trace:
    found = Trace()
    sys.setprofile(found)
    try:
        path()
    finally:
        sys.setprofile(None)
    return found


def command(*arguments: str) -> None:
    sys.argv = ["oodbench", *arguments]
    quiet = io.StringIO()
    with (
        contextlib.redirect_stdout(quiet),
        contextlib.redirect_stderr(quiet),
        contextlib.suppress(SystemExit),
    ):
        cli.main()


def paths(folder: Path) -> dict[str, Callable[[int], object]]:
    def run(turn: int) -> None:
        command(
            *("run", "--no-plots", "--model", str(CHECKPOINT), "--out", "digits:8-9"),
            *("--detectors", "energy", "--results", str(folder / f"runs{turn}")),
        )

    return {
        "model file to network": lambda turn: oodbench.load_network(CHECKPOINT),
        "set name to stored score": run,
        "stored score to table": lambda turn: command("table", str(folder / "runs0")),
        "training image to JEM": lambda turn: command(
            *("train", "--in", "digits:0-7", "--to", str(folder / f"jem{turn}")),
            *("--epochs", "1"),
        ),
    }


def opened(folder: Path, path: Callable[[], object]) -> list[str]:
    """Returns the files below a folder that are opened, once per opening."""
    found: list[str] = []
    is_on = True

    def hear(event: str, arguments: tuple[object, ...]) -> None:
        # An audit hook cannot be removed again.
        if is_on and event == "open" and isinstance(arguments[0], str | os.PathLike):
            found.append(str(Path(arguments[0]).absolute()))

    sys.addaudithook(hear)
    path()
    is_on = False
    below = str(folder.resolve()) + os.sep
    return [name for name in found if name.startswith(below)]


def default_run(folder: Path) -> None:
    """Prints how often the default run measures, and what a table opens."""
    with contextlib.chdir(folder):
        found = trace(lambda: command("run"))
        files = opened(folder / "results", lambda: command("table"))
    counts = {name: found.functions[name] for name in MEASURING}
    calls = (f"{'.'.join(name)} {count}" for name, count in counts.items() if count)
    print(f"default run with plots, calls: {', '.join(calls)}")
    print(f"one table: {len(files)} openings of {len(set(files))} files")


def main() -> None:
    print(f"{'path':<26}{'files':>6}{'calls':>9}")
    with tempfile.TemporaryDirectory() as folder:
        for name, path in paths(Path(folder)).items():
            path(0)
            found = trace(lambda path=path: path(1))
            print(f"{name:<26}{len(found.files):>6}{found.calls:>9}", flush=True)
        default_run(Path(folder))


if __name__ == "__main__":
    main()

"""Checks libraries, devices, threads, folders, data sets and plug-ins."""

from __future__ import annotations

import os
import platform
import re
import shutil
import time
import warnings
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal, NamedTuple

from oodbench.base import registry
from oodbench.base.errors import InputError
from oodbench.data.sources.folder import data_folder
from oodbench.data.sources.presence import check_present, is_present, origins, presence
from oodbench.data.sources.source import Origin
from oodbench.runs.folder import writable_parent

Level = Literal["ok", "warning", "fault"]

ROOM = 1 << 30
"""Free bytes; a folder with less gives a warning."""
SIDE = 1024
"""Rows of the square matrices that a device multiplies."""


class Finding(NamedTuple):
    """One thing that was checked."""

    topic: str
    level: Level
    text: str
    fix: str = ""
    """What to do about it; empty if there is nothing to do."""


def examine(results: Path) -> Iterator[Finding]:
    """Yields the findings one by one; nothing is downloaded or stored.

    Args:
        results: The folder of stored scores.
    """
    for check in (_versions, _devices, _threads, _data, _plugins):
        for finding in check():
            yield _masked(finding)
    yield _masked(_folder("results", results, "name another folder with --results"))


def _versions() -> Iterator[Finding]:
    found = [f"oodbench {version('oodbench')}", f"Python {platform.python_version()}"]
    for requirement in requires("oodbench") or []:
        name, _, least = re.split(r"(>=|;)", requirement + ";")[:3]
        if "extra ==" in requirement:
            continue
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            yield Finding(
                "versions",
                "fault",
                f"{name} is missing",
                f"pip install '{requirement}'",
            )
            continue
        if _numbers(version(name)) < _numbers(least):
            yield Finding(
                "versions",
                "fault",
                f"{name} {version(name)} is older than {least}",
                f"pip install '{requirement}'",
            )
    yield Finding("versions", "ok", ", ".join(found))


def _numbers(text: str) -> list[int]:
    """Returns the release numbers of a version: 2.15.0+cu130 is [2, 15, 0]."""
    return [int(number) for number in re.findall(r"\d+", text.partition("+")[0])]


def _devices() -> Iterator[Finding]:
    try:
        import torch
        import torchvision  # noqa: F401 - built for another torch, it fails here
    except Exception as error:  # noqa: BLE001 - broken libraries raise anything
        yield Finding(
            "devices",
            "fault",
            f"torch or torchvision cannot be imported: {error}",
            "pip install --force-reinstall torch torchvision",
        )
        return
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        devices = {"cpu": f"{os.cpu_count()} cores"}
        for index in range(
            torch.cuda.device_count() if torch.cuda.is_available() else 0
        ):
            card = torch.cuda.get_device_properties(index)
            memory = f"{card.total_memory / 1e9:.0f} GB"
            devices[f"cuda:{index}"] = (
                f"{card.name}, {memory}, CUDA {torch.version.cuda}"
            )
    for warning in caught:
        yield Finding(
            "devices",
            "warning",
            str(warning.message).partition("\n")[0],
            "update the driver, or install a torch made for it (pytorch.org)",
        )
    for device, what in devices.items():
        yield _exercise(device, what)


def _exercise(device: str, what: str) -> Finding:
    import torch

    def multiply() -> float:
        began = time.perf_counter()
        matrix = torch.ones(SIDE, SIDE, device=device, requires_grad=True)
        (matrix @ matrix).sum().backward()
        assert matrix.grad is not None
        wrong = (matrix.grad != 2 * SIDE).any().item()  # waits for the device, too
        if wrong:
            raise ArithmeticError("it multiplies wrongly")
        return time.perf_counter() - began

    try:
        first, second = multiply(), multiply()
    except Exception as error:  # noqa: BLE001 - drivers raise anything
        reason = str(error).partition("\n")[0]
        fix = "run with --device cpu, or repair the driver"
        return Finding("devices", "fault", f"{device} ({what}): {reason}", fix)
    took = (
        f"first product and gradient {1e3 * first:.0f} ms, then {1e3 * second:.0f} ms"
    )
    return Finding("devices", "ok", f"{device} ({what}): {took}")


def _threads() -> Iterator[Finding]:
    import torch

    threads = torch.get_num_threads()
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    text = f"torch uses {threads} threads; this process may use {cores} cores"
    if threads > cores:
        fix = f"set the environment variable OMP_NUM_THREADS to {cores}"
        yield Finding("threads", "warning", text, fix)
    else:
        yield Finding("threads", "ok", text)


def _data() -> Iterator[Finding]:
    fix = "name another folder in the environment variable OODBENCH_DATA"
    yield _folder("data", data_folder(), fix)
    for name, origin in origins():
        if any(map(is_present, origin.sources)):
            yield _files(name, origin)


def _files(name: str, origin: Origin) -> Finding:
    for source in origin.sources:
        try:
            check_present(source)
        except InputError as error:
            fix = "remove the file; the next use downloads it"
            return Finding(name, "warning", str(error).rstrip("."), fix)
    return Finding(name, "ok", f"{presence(origin)}, checksums right")


def _plugins() -> Iterator[Finding]:
    for kind in registry.KINDS:
        found = registry.listings(kind, loaded=True)
        sound = [one for one in found if not one.fault]
        foreign = sorted({one.package for one in sound} - {"oodbench"})
        others = f", some from {', '.join(foreign)}" if foreign else ""
        yield Finding(kind, "ok", f"{len(sound)} of {len(found)} load{others}")
        for one in found:
            if one.fault:
                fix = f"ask the authors of {one.package}, or pip uninstall it"
                yield Finding(kind, "fault", one.fault.rstrip("."), fix)


def _folder(topic: str, folder: Path, fix: str) -> Finding:
    """Checks whether a folder, or the one it would be made in, can be written to."""
    try:
        nearest = writable_parent(folder)
    except InputError as error:
        return Finding(topic, "fault", str(error).rpartition(". ")[0], fix)
    free = shutil.disk_usage(nearest).free
    exists = "" if nearest == folder.absolute() else "made when needed, "
    text = f"{folder}: {exists}{free / 1e9:.1f} GB free"
    if free < ROOM:
        return Finding(topic, "warning", text, f"make room, or {fix}")
    return Finding(topic, "ok", text)


def _masked(finding: Finding) -> Finding:
    """Replaces the home folder by ~, since findings are shown to others."""
    home = os.path.expanduser("~")  # noqa: PTH111 - pathlib's raises where there is none
    if len(home) < 2:
        return finding
    name = re.compile(re.escape(home) + r"(?![\w.-])")
    return finding._replace(
        text=name.sub("~", finding.text), fix=name.sub("~", finding.fix)
    )

"""Settings that a process has once, put back after code of a plug-in has run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import torch


class _Setting(NamedTuple):
    change: str
    """What code does that changes it."""
    read: Callable[[], Any]
    write: Callable[[Any], object]
    is_quick: bool = False


class Settings:
    """The settings of the process at the time when this object is made.

    The states of random number generators are not among them.
    """

    def __init__(self) -> None:
        self._before = [setting.read() for setting in _SETTINGS]

    def restore(self, *, quick: bool = False) -> list[str]:
        """Puts the settings back; returns what had been changed, in words.

        With `quick` it looks only at those that are read in less than a microsecond.
        """
        changes = []
        for setting, before in zip(_SETTINGS, self._before, strict=True):
            if (setting.is_quick or not quick) and setting.read() != before:
                setting.write(before)
                changes.append(setting.change)
        return changes


@contextmanager
def kept() -> Iterator[None]:
    """Runs code, for instance an import, and puts the settings back afterwards."""
    settings = Settings()
    try:
        yield
    finally:
        settings.restore()


def _set_default_device(device: torch.device) -> None:
    # Naming the CPU would send every call through a mode that None leaves out.
    torch.set_default_device(None if device.type == "cpu" else device)


_DEVICES = ("cpu", "cuda")


class _Autocast(NamedTuple):
    enabled: tuple[bool, ...]
    nested: int
    """How many autocast contexts are open: torch keeps cast weights until all close."""


def _autocast() -> _Autocast:
    nested = torch.autocast_increment_nesting() - 1
    torch.autocast_decrement_nesting()
    return _Autocast(tuple(map(torch.is_autocast_enabled, _DEVICES)), nested)


def _set_autocast(before: _Autocast) -> None:
    for device, enabled in zip(_DEVICES, before.enabled, strict=True):
        torch.set_autocast_enabled(device, enabled)
    for _ in range(_autocast().nested - before.nested):
        torch.autocast_decrement_nesting()
    torch.clear_autocast_cache()


_BACKENDS: Any = torch.backends  # torch declares no types for some of them
_PRODUCTS = (
    _BACKENDS,
    _BACKENDS.cuda.matmul,
    _BACKENDS.cudnn.conv,
    _BACKENDS.mkldnn.matmul,
    _BACKENDS.mkldnn.conv,
)


def _precision() -> tuple[str, ...]:
    general = ""
    # It raises an error where code has set the precision of one backend alone.
    with suppress(RuntimeError):
        general = torch.get_float32_matmul_precision()
    return (general, *(part.fp32_precision for part in _PRODUCTS))


def _set_precision(before: tuple[str, ...]) -> None:
    if before[0]:
        torch.set_float32_matmul_precision(before[0])
    for part, value in zip(_PRODUCTS, before[1:], strict=True):
        part.fp32_precision = value


def _algorithms() -> tuple[bool, bool, bool, bool]:
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.backends.cudnn.deterministic,
        torch.backends.cudnn.benchmark,
    )


def _set_algorithms(before: tuple[bool, bool, bool, bool]) -> None:
    torch.use_deterministic_algorithms(before[0], warn_only=before[1])
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = before[2:]


def _folder() -> str | None:
    with suppress(OSError):  # it may have been removed
        return os.getcwd()  # noqa: PTH109 - a Path takes five times as long
    return None


def _set_folder(before: str | None) -> None:
    if before is not None:
        with suppress(OSError):
            os.chdir(before)


_SETTINGS = (
    _Setting(
        "leaves gradients switched on or off",
        torch.is_grad_enabled,
        torch.set_grad_enabled,
        is_quick=True,
    ),
    _Setting(
        "changes torch's default dtype",
        torch.get_default_dtype,
        torch.set_default_dtype,
        is_quick=True,
    ),
    _Setting(
        "changes torch's default device", torch.get_default_device, _set_default_device
    ),
    _Setting(
        "leaves autocast switched on or off", _autocast, _set_autocast, is_quick=True
    ),
    _Setting("changes the precision of matrix products", _precision, _set_precision),
    _Setting("changes whether torch is deterministic", _algorithms, _set_algorithms),
    _Setting(
        "changes the number of torch's threads",
        torch.get_num_threads,
        torch.set_num_threads,
        is_quick=True,
    ),
    _Setting("changes the current folder", _folder, _set_folder),
)

"""Keeps what a detector does to the process from reaching anybody else."""

from __future__ import annotations

import operator
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.modules import module as hooks


class Containment:
    """Remembers the state that all code of a process shares, and holds others to it.

    Shared are the global random numbers, torch's modes and the hooks on every module.
    Remembering takes longest, and serves any number of `watch` until others change it.
    """

    def __init__(self) -> None:
        self._before = [setting.read() for setting in _SETTINGS]

    @contextmanager
    def watch(self, who: str) -> Iterator[None]:
        """Runs foreign code; then all is as before, and what it prints is on stderr.

        Raises:
            RuntimeError: It changed what is shared, or tried to end the process.
        """
        try:
            with redirect_stdout(sys.stderr):
                yield
        except (Exception, KeyboardInterrupt):
            self.restore()
            raise
        except BaseException as error:
            self.restore()
            deed = f"raises {type(error).__name__}({error}) to end the process"
            raise RuntimeError(f"{who} {deed}") from error
        if deeds := self.restore():
            raise RuntimeError(f"{who} {' and '.join(deeds)}")

    def restore(self) -> list[str]:
        """Puts everything back; returns what somebody did who had changed it."""
        deeds = []
        for setting, before in zip(_SETTINGS, self._before, strict=True):
            if not setting.same(before, setting.read()):
                setting.write(before)
                deeds.append(setting.deed)
        return deeds


class _Setting(NamedTuple):
    """Something that a process has one of."""

    deed: str
    """What somebody does who changes it."""
    read: Callable[[], Any]
    write: Callable[[Any], object]
    same: Callable[[Any, Any], bool] = operator.eq


class _NumpyRandom(NamedTuple):
    generator: Any
    state: dict[str, Any]


def _numpy_random() -> _NumpyRandom:
    generator = np.random.mtrand.get_bit_generator()
    return _NumpyRandom(generator, np.random.get_state(legacy=False))  # noqa: NPY002


def _set_numpy_random(before: _NumpyRandom) -> None:
    np.random.mtrand.set_bit_generator(before.generator)
    np.random.set_state(before.state)  # noqa: NPY002


def _same_numpy(one: _NumpyRandom, other: _NumpyRandom) -> bool:
    if one.generator is not other.generator:
        return False
    mine, others = one.state["state"], other.state["state"]  # == refuses their arrays
    return {**one.state, "state": 0} == {**other.state, "state": 0} and all(
        map(np.array_equal, mine.values(), others.values())
    )


def _cuda_random() -> Tensor | None:
    return torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None


def _same_cuda(before: Tensor | None, after: Tensor | None) -> bool:
    # Who is the first to use CUDA has drawn nothing from what was there before.
    return before is None or after is None or torch.equal(before, after)


def _set_default_device(device: torch.device) -> None:
    # Naming the CPU would send every call through a mode that None leaves out.
    torch.set_default_device(None if device.type == "cpu" else device)


def _deterministic() -> tuple[bool, bool, bool, bool]:
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.backends.cudnn.deterministic,
        torch.backends.cudnn.benchmark,
    )


def _set_deterministic(flags: tuple[bool, bool, bool, bool]) -> None:
    torch.use_deterministic_algorithms(flags[0], warn_only=flags[1])
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = flags[2:]


_ON_EVERY_MODULE = (
    hooks._global_forward_pre_hooks,
    hooks._global_forward_hooks,
    hooks._global_backward_pre_hooks,
    hooks._global_backward_hooks,
)


def _set_hooks(before: list[dict[int, Any]]) -> None:
    for place, held in zip(_ON_EVERY_MODULE, before, strict=True):
        place.clear()
        place.update(held)


_OWN_GENERATOR = "draws from or seeds {}, and should take a generator of its own"
_SETTINGS = (
    _Setting(
        _OWN_GENERATOR.format("torch's global random numbers"),
        torch.get_rng_state,
        torch.set_rng_state,
        torch.equal,
    ),
    _Setting(
        _OWN_GENERATOR.format("CUDA's global random numbers"),
        _cuda_random,
        torch.cuda.set_rng_state,
        _same_cuda,
    ),
    _Setting(
        _OWN_GENERATOR.format("NumPy's global random numbers"),
        _numpy_random,
        _set_numpy_random,
        _same_numpy,
    ),
    _Setting(
        _OWN_GENERATOR.format("Python's global random numbers"),
        random.getstate,
        random.setstate,
    ),
    _Setting(
        "leaves gradients switched on or off",
        torch.is_grad_enabled,
        torch.set_grad_enabled,
    ),
    _Setting(
        "changes torch's default dtype",
        torch.get_default_dtype,
        torch.set_default_dtype,
    ),
    _Setting(
        "changes torch's default device",
        torch.get_default_device,
        _set_default_device,
    ),
    _Setting(
        "changes the number of torch's threads",
        torch.get_num_threads,
        torch.set_num_threads,
    ),
    _Setting(
        "changes whether torch is deterministic", _deterministic, _set_deterministic
    ),
    _Setting(
        "changes the precision of matrix products",
        torch.get_float32_matmul_precision,
        torch.set_float32_matmul_precision,
    ),
    _Setting(
        "leaves a hook on every module",
        lambda: [dict(place) for place in _ON_EVERY_MODULE],
        _set_hooks,
    ),
)

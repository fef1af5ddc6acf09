"""Runs code of plug-ins so that it changes nothing for others."""

from __future__ import annotations

import random
import sys
from collections.abc import Hashable, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

import numpy as np
import torch

from oodbench.base.settings import Settings


class Containment:
    """Watches code of plug-ins during one pass over a set.

    All settings and random numbers are compared the first time that a key is watched;
    later only the settings that take no time. After an error, all settings are put back
    every time.
    """

    def __init__(self) -> None:
        self._settings: dict[Hashable, Settings] = {}

    @contextmanager
    def watch(self, who: str, key: Hashable = None) -> Iterator[None]:
        """Runs code of a plug-in; its output goes to stderr.

        Args:
            who: The name that messages use.
            key: Of the code, in this pass; None compares everything every time.

        Raises:
            RuntimeError: It changed a setting or the global random numbers, or tried to
                end the process.
        """
        earlier = self._settings.get(key)
        settings = earlier or Settings()
        numbers = None if earlier else RandomNumbers()
        if key is not None:
            self._settings[key] = settings

        def restore(*, quick: bool = False) -> list[str]:
            changes = numbers.restore() if numbers else []
            return changes + settings.restore(quick=quick)

        try:
            with redirect_stdout(sys.stderr):
                yield
        except (Exception, KeyboardInterrupt):
            restore()
            raise
        except BaseException as error:
            restore()
            raise RuntimeError(
                f"{who} raises {type(error).__name__}({error}) to end the process"
            ) from error
        if changes := restore(quick=earlier is not None):
            raise RuntimeError(f"{who} {' and '.join(changes)}")


class Trust(Containment):
    """Watches nothing, where other threads may change settings meanwhile."""

    @contextmanager
    def watch(self, who: str, key: Hashable = None) -> Iterator[None]:
        """Runs code of a plug-in."""
        yield


class RandomNumbers:
    """The states of all global random number generators when this object is made."""

    def __init__(self) -> None:
        self._torch = torch.get_rng_state()
        self._cuda = _cuda_state()
        self._numpy = np.random.mtrand.get_bit_generator()
        self._numpy_state = np.random.get_state(legacy=False)  # noqa: NPY002
        self._python = random.getstate()

    def restore(self) -> list[str]:
        """Puts all states back; returns what had been changed, in words."""
        changed = []
        if not torch.equal(self._torch, torch.get_rng_state()):
            torch.set_rng_state(self._torch)
            changed.append("torch's")
        cuda = _cuda_state()
        # Code that uses CUDA first has changed no state that was there before.
        is_same = self._cuda is None or cuda is None or torch.equal(self._cuda, cuda)
        if self._cuda is not None and not is_same:
            torch.cuda.set_rng_state(self._cuda)
            changed.append("CUDA's")
        if not self._is_same_numpy():
            np.random.mtrand.set_bit_generator(self._numpy)
            np.random.set_state(self._numpy_state)  # noqa: NPY002
            changed.append("NumPy's")
        if random.getstate() != self._python:
            random.setstate(self._python)
            changed.append("Python's")
        return [
            f"draws from or seeds {whose} global random numbers, and should take a "
            "generator of its own"
            for whose in changed
        ]

    def _is_same_numpy(self) -> bool:
        if np.random.mtrand.get_bit_generator() is not self._numpy:
            return False
        state = np.random.get_state(legacy=False)  # noqa: NPY002
        return _plain(state) == _plain(self._numpy_state)


def _cuda_state() -> torch.Tensor | None:
    return torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None


def _plain(state: Any) -> Any:
    """Returns a generator's state with bytes for arrays, which == can compare."""
    if isinstance(state, dict):
        return {name: _plain(value) for name, value in state.items()}
    return state.tobytes() if isinstance(state, np.ndarray) else state

"""Measures how long work takes on a device, without waiting for the device."""

from __future__ import annotations

import time

import torch


class Stopwatch:
    """Measures from its making until `stop`.

    Args:
        device: Where the work is done. A GPU is measured from when it begins the work,
            so that what it does before does not count.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._began = self._now()
        self._ended = self._began

    def stop(self) -> None:
        """Ends the measurement."""
        self._ended = self._now()

    def seconds(self) -> float:
        """Returns what was measured; waits until a GPU has done the work."""
        if isinstance(self._began, float):
            assert isinstance(self._ended, float)
            return self._ended - self._began
        assert not isinstance(self._ended, float)
        self._ended.synchronize()
        return self._began.elapsed_time(self._ended) / 1000

    def _now(self) -> float | torch.cuda.Event:
        if self._device.type != "cuda":
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self._device))
        return event

"""Builds modules whose weights take no memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode


class without_weights(TorchFunctionMode):  # noqa: N801 - a context, named as one
    """Puts on the meta device what `torch.empty`, `zeros` and `ones` make in it.

    These are the parameters and the statistics of norms, which a file replaces. All
    else is computed: a module may derive its sizes and index tables from numbers.
    """

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Calls a function of torch."""
        kwargs = kwargs or {}
        if function in (torch.empty, torch.zeros, torch.ones):
            kwargs = {**kwargs, "device": "meta"}
        return function(*args, **kwargs)

"""What a check finds, and how it is reported."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TypeVar

Plugin = TypeVar("Plugin", bound=str | type)


class FaultError(Exception):
    """What a plug-in does wrong; the message also says what to do."""


def check(function: Callable[[Plugin], None]) -> Callable[[Plugin], None]:
    """Returns a check that raises AssertionError, with all names, for a FaultError."""

    @functools.wraps(function)
    def named(plugin: Plugin) -> None:
        try:
            function(plugin)
        except FaultError as fault:
            who = plugin if isinstance(plugin, str) else plugin.__name__
            raise AssertionError(f"{who} fails {function.__name__}: {fault}") from None

    return named

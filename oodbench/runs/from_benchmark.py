"""What a run takes from a benchmark."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from oodbench.base.defaults import INSIDE
from oodbench.base.errors import InputError
from oodbench.benchmarks.benchmark import Benchmark, read
from oodbench.data.dataset import Dataset

FROM_FILE = {
    "detectors": (str, list),
    "limit": (int,),
    "input-noise": (int, float),
    "size": (str,),
}
"""Options that a benchmark's file may set beside sets and preprocessing, and types."""


def checked(
    benchmark: str | Benchmark,
    replaced: Mapping[str, str],
    inside: str | Dataset,
    out: object,
) -> Benchmark:
    """Returns a benchmark whose sets nothing contradicts.

    Raises:
        InputError: Other sets are named, or there is no such benchmark.
    """
    if inside != INSIDE or out is not None:
        raise InputError(
            "A benchmark has its own sets: leave inside and out out; `replaced` takes "
            "another set in place of one."
        )
    if not isinstance(benchmark, str):
        return benchmark
    return read(benchmark, [f"{label}={spec}" for label, spec in replaced.items()])


def options_of(benchmark: Benchmark) -> dict[str, Any]:
    """Returns the arguments that a benchmark's file sets, by the names of options.

    Raises:
        InputError: It sets another option.
    """
    found = benchmark.others
    if others := [key for key in found if key not in FROM_FILE]:
        raise InputError(
            f"{benchmark.name} sets {', '.join(others)}, which the command line alone "
            "reads; take that out of the file and pass it to `run`."
        )
    for key, value in found.items():
        is_size = key != "size" or re.fullmatch(r"\d+(x\d+)?", str(value))
        if type(value) not in FROM_FILE[key] or not is_size:
            raise InputError(f"{benchmark.name}: {key} cannot be {value!r}.")
    if "size" in found:
        sides = [int(side) for side in found["size"].split("x")]
        found["size"] = (sides[0], sides[-1])
    return found

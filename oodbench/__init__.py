"""Out-of-distribution detection benchmark for classifiers and JEMs.

    import oodbench
    oodbench.run(models=["jem.pt"], inside="cifar10", out=["svhn", "cifar100"])
    oodbench.rows("results/runs")     # a pandas DataFrame

`Detector` and `Dataset`, for plug-ins, are in `oodbench.detector` and
`oodbench.dataset`. What is heavy is imported when first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oodbench.benchmark import run as run
    from oodbench.frame import rows as rows
    from oodbench.loading import load_network as load_network

_HOMES = {"load_network": "loading", "rows": "frame", "run": "benchmark"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)

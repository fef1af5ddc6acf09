"""Out-of-distribution detection benchmark for classifiers and JEMs.

    import oodbench
    oodbench.run(models=["jem.pt"], inside="cifar10", out=["svhn", "cifar100"])
    oodbench.rows("results/runs")     # a pandas DataFrame

Everything that a user or a plug-in needs is here; the modules within are not public.
What is heavy is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oodbench.benchmark import run as run
    from oodbench.dataset import Dataset as Dataset
    from oodbench.dataset import Role as Role
    from oodbench.dataset import Shape as Shape
    from oodbench.dataset import Split as Split
    from oodbench.dataset import SplitName as SplitName
    from oodbench.detector import Detector as Detector
    from oodbench.detector import Known as Known
    from oodbench.detector import Need as Need
    from oodbench.detector import Outputs as Outputs
    from oodbench.errors import InputError as InputError
    from oodbench.frame import rows as rows
    from oodbench.loading import load_network as load_network
    from oodbench.network import Joint as Joint
    from oodbench.network import Network as Network

    __version__: str

_HOMES = {
    "Dataset": "oodbench.dataset",
    "Detector": "oodbench.detector",
    "InputError": "oodbench.errors",
    "Joint": "oodbench.network",
    "Known": "oodbench.detector",
    "Need": "oodbench.detector",
    "Network": "oodbench.network",
    "Outputs": "oodbench.detector",
    "Role": "oodbench.dataset",
    "Shape": "oodbench.dataset",
    "Split": "oodbench.dataset",
    "SplitName": "oodbench.dataset",
    "load_network": "oodbench.loading",
    "rows": "oodbench.frame",
    "run": "oodbench.benchmark",
}
__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("oodbench")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)

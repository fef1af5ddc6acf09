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
    from oodbench.base.errors import InputError as InputError
    from oodbench.data.dataset import Dataset as Dataset
    from oodbench.data.dataset import Role as Role
    from oodbench.data.dataset import Shape as Shape
    from oodbench.data.dataset import Split as Split
    from oodbench.data.dataset import SplitName as SplitName
    from oodbench.networks.load import load_network as load_network
    from oodbench.networks.network import Joint as Joint
    from oodbench.networks.network import Network as Network
    from oodbench.results.frame import rows as rows
    from oodbench.runs.run import run as run
    from oodbench.scoring.detector import Detector as Detector
    from oodbench.scoring.outputs import Known as Known
    from oodbench.scoring.outputs import Need as Need
    from oodbench.scoring.outputs import Outputs as Outputs

    __version__: str

_HOMES = {
    "Dataset": "oodbench.data.dataset",
    "Detector": "oodbench.scoring.detector",
    "InputError": "oodbench.base.errors",
    "Joint": "oodbench.networks.network",
    "Known": "oodbench.scoring.outputs",
    "Need": "oodbench.scoring.outputs",
    "Network": "oodbench.networks.network",
    "Outputs": "oodbench.scoring.outputs",
    "Role": "oodbench.data.dataset",
    "Shape": "oodbench.data.dataset",
    "Split": "oodbench.data.dataset",
    "SplitName": "oodbench.data.dataset",
    "load_network": "oodbench.networks.load",
    "rows": "oodbench.results.frame",
    "run": "oodbench.runs.run",
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

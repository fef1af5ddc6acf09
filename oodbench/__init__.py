"""Benchmarks out-of-distribution detection for classifiers and JEMs.

    import oodbench

    result = oodbench.run(models="jem.pt", inside="cifar10", out="svhn,cifar100")
    result.rows()                     # a pandas DataFrame of all metrics
    oodbench.rows("results/runs")     # the same of all stored runs

Scores:       run, tune, attack, calibrate, evaluate
Results:      select, rows, table, compare, rank, costs, plot, report, Neighbours
Benchmarks:   benchmark_figures, verify
Production:   threshold, score, Scorer
Exchange:     import_scores, image_scores, export, check_results, board
Data:         fetch, overlap
Training:     train, sample, diagnose
Networks:     load_network, Network, Joint, ZeroShot
Plug-ins:     Detector, Shaping, Need, Outputs, Known, Result;
              Dataset, Split, SplitName, Shape, Role, Grade

Each function does what the command of the same name does. Wrong input raises
InputError. Other modules are not public. Heavy imports happen at first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oodbench.attacks.attack import attack as attack
    from oodbench.base.errors import InputError as InputError
    from oodbench.benchmarks.frame import benchmark_figures as benchmark_figures
    from oodbench.benchmarks.verify import verify as verify
    from oodbench.data.dataset import Dataset as Dataset
    from oodbench.data.dataset import Grade as Grade
    from oodbench.data.dataset import Role as Role
    from oodbench.data.dataset import Shape as Shape
    from oodbench.data.dataset import Split as Split
    from oodbench.data.dataset import SplitName as SplitName
    from oodbench.data.overlap import overlap as overlap
    from oodbench.data.sources.fetch import fetch as fetch
    from oodbench.jem.diagnostics.run import diagnose as diagnose
    from oodbench.jem.samples.run import sample as sample
    from oodbench.jem.training.run import train as train
    from oodbench.networks.load import load_network as load_network
    from oodbench.networks.network import Network as Network
    from oodbench.networks.result import Joint as Joint
    from oodbench.networks.result import Result as Result
    from oodbench.networks.zero_shot.classifier import ZeroShot as ZeroShot
    from oodbench.output.board import board as board
    from oodbench.output.comparison import compare as compare
    from oodbench.output.export import export as export
    from oodbench.output.image_scores import image_scores as image_scores
    from oodbench.output.plots.plot import plot as plot
    from oodbench.output.ranking import rank as rank
    from oodbench.output.report.page import report as report
    from oodbench.output.tables import table as table
    from oodbench.results.costs import costs as costs
    from oodbench.results.exchange.imports import import_scores as import_scores
    from oodbench.results.exchange.validate import check_results as check_results
    from oodbench.results.frame import rows as rows
    from oodbench.results.selection import select as select
    from oodbench.runs.deployment.accept import score as score
    from oodbench.runs.deployment.deployed import Scorer as Scorer
    from oodbench.runs.deployment.threshold import threshold as threshold
    from oodbench.runs.evaluate import evaluate as evaluate
    from oodbench.runs.neighbours import Neighbours as Neighbours
    from oodbench.runs.run import run as run
    from oodbench.runs.tuning.calibrate import calibrate as calibrate
    from oodbench.runs.tuning.tune import tune as tune
    from oodbench.scoring.batch import Need as Need
    from oodbench.scoring.detector import Detector as Detector
    from oodbench.scoring.fitting.known import Known as Known
    from oodbench.scoring.outputs import Outputs as Outputs
    from oodbench.scoring.shaping import Shaping as Shaping

    __version__: str

_HOMES = {
    "Dataset": "oodbench.data.dataset",
    "Detector": "oodbench.scoring.detector",
    "Grade": "oodbench.data.dataset",
    "InputError": "oodbench.base.errors",
    "Joint": "oodbench.networks.result",
    "Known": "oodbench.scoring.fitting.known",
    "Need": "oodbench.scoring.batch",
    "Neighbours": "oodbench.runs.neighbours",
    "Network": "oodbench.networks.network",
    "Outputs": "oodbench.scoring.outputs",
    "Result": "oodbench.networks.result",
    "Role": "oodbench.data.dataset",
    "Scorer": "oodbench.runs.deployment.deployed",
    "Shape": "oodbench.data.dataset",
    "Shaping": "oodbench.scoring.shaping",
    "Split": "oodbench.data.dataset",
    "SplitName": "oodbench.data.dataset",
    "ZeroShot": "oodbench.networks.zero_shot.classifier",
    "attack": "oodbench.attacks.attack",
    "benchmark_figures": "oodbench.benchmarks.frame",
    "board": "oodbench.output.board",
    "calibrate": "oodbench.runs.tuning.calibrate",
    "check_results": "oodbench.results.exchange.validate",
    "compare": "oodbench.output.comparison",
    "costs": "oodbench.results.costs",
    "diagnose": "oodbench.jem.diagnostics.run",
    "evaluate": "oodbench.runs.evaluate",
    "export": "oodbench.output.export",
    "fetch": "oodbench.data.sources.fetch",
    "import_scores": "oodbench.results.exchange.imports",
    "load_network": "oodbench.networks.load",
    "overlap": "oodbench.data.overlap",
    "plot": "oodbench.output.plots.plot",
    "rank": "oodbench.output.ranking",
    "report": "oodbench.output.report.page",
    "rows": "oodbench.results.frame",
    "run": "oodbench.runs.run",
    "sample": "oodbench.jem.samples.run",
    "image_scores": "oodbench.output.image_scores",
    "score": "oodbench.runs.deployment.accept",
    "select": "oodbench.results.selection",
    "table": "oodbench.output.tables",
    "threshold": "oodbench.runs.deployment.threshold",
    "train": "oodbench.jem.training.run",
    "tune": "oodbench.runs.tuning.tune",
    "verify": "oodbench.benchmarks.verify",
}
"""Where each public name is defined; imported when it is first used."""

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

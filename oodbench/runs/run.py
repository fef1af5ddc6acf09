"""Scores models on pairs of sets by detectors, and stores every score."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Mapping
from functools import partial
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from oodbench.base import registry
from oodbench.base.defaults import INSIDE, MODELS, RESULTS
from oodbench.base.errors import InputError
from oodbench.base.log import SHOWN, logged_in
from oodbench.base.names import listed
from oodbench.base.processes import exits_raise, join
from oodbench.base.progress import Progress, Watch
from oodbench.base.settings import Settings
from oodbench.data.dataset import Dataset
from oodbench.data.device_cache import Resident
from oodbench.data.image_set import native_shape
from oodbench.data.spec import open_dataset
from oodbench.networks.hardware import pick_device
from oodbench.networks.load import Model, as_network
from oodbench.networks.network import Network
from oodbench.networks.precision import Precision
from oodbench.results.store import Store
from oodbench.runs.execution import Execution, Overwrite
from oodbench.runs.folder import writable_parent
from oodbench.runs.from_benchmark import checked, options_of
from oodbench.runs.result import RunResult
from oodbench.runs.sets import pair
from oodbench.runs.stale import remove_stale
from oodbench.runs.task import Task
from oodbench.scoring.detector import Detector
from oodbench.scoring.spec import Tuned, expanded

if TYPE_CHECKING:
    from oodbench.benchmarks.benchmark import Benchmark

logger = logging.getLogger(__name__)

DETECTORS = (
    "msp",
    "max_logit",
    "energy",
    "entropy",
    "log_px",
    "jem_grad_norm",
    "pixel_knn",
    "pixel_stats",
)


def run(
    models: Model | Iterable[Model] = MODELS,
    inside: str | Dataset = INSIDE,
    out: str | Dataset | Iterable[str | Dataset] | None = None,
    *,
    benchmark: str | Benchmark | None = None,
    replaced: Mapping[str, str] = MappingProxyType({}),
    detectors: str | Detector | Tuned | Iterable[str | Detector | Tuned] = DETECTORS,
    fit: str | Dataset | None = None,
    limit: int | None = None,
    size: tuple[int, int] | None = None,
    checkpoint: Mapping[str, Any] = MappingProxyType({}),
    precision: Precision = "fp32",
    compiled: bool = False,
    input_noise: float = 0.0,
    skip_unreadable: bool = False,
    skip_missing: bool = False,
    batch_size: int | None = None,
    workers: int | None = None,
    device: str = "auto",
    results: str | Path = RESULTS,
    overwrite: Overwrite = "missing",
    dry_run: bool = False,
    quiet: bool = False,
    watch: Watch | None = None,
) -> RunResult:
    """Scores models on pairs of sets by detectors; computes only what is missing.

    A string stands for a list of one, and may be a comma list.

    Args:
        models: Bundled names, files, `NAME=FILE`, or networks.
        inside: The in-distribution set, such as `digits:0-7`.
        out: The other sets; None for those that need no download.
        benchmark: A benchmark by its name or file. It brings the sets, the usual
            preprocessing of its networks, and `detectors`, `limit`, `input_noise` and
            `size` where it has them and they are not given.
        replaced: Sets to open in place of some of the benchmark, by their labels.
        detectors: Names with parameters, such as `energy:temperature=2`; `all`; a sweep
            over values, `knn:k=1|5`; shapings before a detector, `react+knn`; how the
            parameters were chosen, `knn:k=5@ood-validation`, as `tune` names them.
        fit: The set that detectors are fitted on; None for the train split of `inside`.
        limit: Take only this many images of every split, evenly spread.
        size: Height and width of the images that networks of files take; None for
            those of `inside`.
        checkpoint: Keywords of `load_network` for files: `arch`, `mean`, `std`, ….
        precision: Of the network, fp32, tf32 (faster on a GPU) or bf16; scores are
            computed from float32.
        compiled: Whether torch.compile runs the stages of networks. It takes a minute
            or more and pays where there are many images; last digits differ.
        input_noise: Standard deviation of Gaussian noise on evaluated images, for
            pixels in [-1, 1]; 0.03 in the JEM paper's evaluation.
        skip_unreadable: Whether to leave out image files that cannot be read.
        skip_missing: Whether to leave out sets that cannot be opened.
        batch_size: Images per pass of the network; None for a size that mostly fits.
            It is halved when memory runs out.
        workers: Processes that read images ahead; None for some where many files
            are decoded.
        device: auto, cpu or cuda.
        results: The folder to store in.
        overwrite: missing: compute absent cells. stale: also remove outdated ones.
            always: recompute everything.
        dry_run: Whether to compute and store nothing; `planned` of the result lists
            what is missing.
        quiet: Whether to print no progress, warnings and summary on stderr.
        watch: Receives the progress instead of stderr.

    Raises:
        InputError: An argument is wrong, or no model can be scored.
    """
    if benchmark is not None:
        chosen = checked(benchmark, replaced, inside, out)
        inside, out = chosen.inside.text, [each.text for each in chosen.outside]
        checkpoint = {"usual": chosen.usual, **checkpoint}
        # On the command line they have taken effect already.
        own = options_of(chosen) if isinstance(benchmark, str) else {}
        if detectors is DETECTORS:
            detectors = own.get("detectors", DETECTORS)
        limit = own.get("limit") if limit is None else limit
        size = own.get("size") if size is None else size
        input_noise = input_noise or own.get("input-noise", 0.0)
    elif replaced:
        raise InputError("`replaced` is for a benchmark, and there is none.")
    # Absolute from the start, since code of a plug-in may change the current folder.
    store = Store(Path(results).absolute())
    writable_parent(store.root)
    processes, place = join(pick_device(device))

    settings = Settings()
    with (
        exits_raise(),
        logged_in(store.root),
        Progress(quiet=quiet or not processes.is_first) as progress,
    ):
        opened = partial(open_dataset, skip_unreadable=skip_unreadable)
        inset, others, missing = pair(opened, inside, out, skip_missing)
        task = Task(
            inside=inset,
            out=[other.relative_to(inset) for other in others],
            detectors=_detectors(detectors),
            fit=None if fit is None else opened(fit),
            limit=limit,
            precision=precision,
            compiled=compiled,
            input_noise=input_noise,
            skip_missing=skip_missing,
            device=place,
            networks=len(networks := listed(models)),
            execution=Execution(
                store=store,
                batch_size=batch_size,
                workers=workers,
                overwrite=overwrite,
                processes=processes,
                # A single network reads no images again.
                resident=Resident(None if len(networks) > 1 else 0),
                is_dry=dry_run,
                watch=watch or progress,
            ),
        )
        task.result.skipped |= missing
        store.sweep()
        _log(task)
        described = {"shape": native_shape(inset), "size": size, **checkpoint}
        _undo(settings, "Opening the sets and detectors", task.result)
        _score_all(task, networks, described, settings)
        for line in task.result.summary():
            logger.info(line, extra=SHOWN)
    result = task.result
    result.is_first = processes.is_first
    if overwrite == "stale" and processes.is_first:
        remove_stale(store, result)
    if not quiet and processes.is_first:
        sys.stderr.write("".join(f"{line}\n" for line in result.summary()))
    return result


def _log(task: Task) -> None:
    """Notes in the log what the run is about."""
    logger.info(
        "oodbench %s: in %s; out %s; detectors %s",
        version("oodbench"),
        task.inside.name,
        ", ".join(other.name for other in task.out),
        ", ".join(map(str, task.detectors)),
    )


def _detectors(
    given: str | Detector | Tuned | Iterable[str | Detector | Tuned],
) -> list[Any]:
    chosen = listed(given)
    if chosen == ["all"]:
        return [*registry.names("detectors")]
    return [
        one
        for spec in chosen
        for one in (expanded(spec) if isinstance(spec, str) else [spec])
    ]


def _score_all(
    task: Task,
    models: Iterable[Model],
    checkpoint: Mapping[str, Any],
    settings: Settings,
) -> None:
    """Scores models one after another; one that fails does not stop the others."""
    faults: dict[str, InputError] = {}
    count = 0
    for count, model in enumerate(models, 1):
        title = model.name if isinstance(model, Network) else str(model)
        try:
            network = as_network(model, **checkpoint)
            _undo(settings, f"Opening the model {title}", task.result)
            task.score(network)
        except InputError as error:
            faults[f"{title} (model {count})"] = error
        _undo(settings, f"Running the model {title}", task.result)
    if not count:
        raise InputError("There is no model to score; name one with --model.")
    if len(faults) == count:
        raise next(iter(faults.values()))
    task.result.failed |= {name: str(error) for name, error in faults.items()}


def _undo(settings: Settings, cause: str, result: RunResult) -> None:
    """Puts settings of the process back that other code has changed."""
    for change in settings.restore():
        result.warnings.append(f"{cause} {change}; the run has put it back.")

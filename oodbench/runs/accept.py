"""Scores new images with the detector of a stored threshold, and accepts or rejects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from oodbench.base.errors import InputError
from oodbench.base.files import Record
from oodbench.base.progress import Progress, Watch, unwatched
from oodbench.data.checked_split import load_split
from oodbench.data.dataset import Dataset, Shape, Split
from oodbench.data.image_files import ImageFiles
from oodbench.data.image_set import ImageSet, open_images
from oodbench.data.spec import open_dataset
from oodbench.metrics.ranking import FloatArray
from oodbench.networks.hardware import pick_device
from oodbench.networks.load import Model, as_network
from oodbench.networks.network import Network
from oodbench.results import thresholds
from oodbench.scoring import provenance
from oodbench.scoring.engine import Engine
from oodbench.scoring.spec import open_detector


class Verdict(NamedTuple):
    """Whether one image is accepted as in-distribution."""

    path: Path
    score: float
    accepted: bool


def score(
    images: str | Path | Iterable[str | Path],
    *,
    model: Model,
    threshold: str | Path | Record,
    checkpoint: Mapping[str, Any] = MappingProxyType({}),
    batch_size: int = 32,
    device: str = "auto",
    quiet: bool = False,
) -> list[Verdict]:
    """Scores image files and accepts or rejects each one.

    Args:
        images: Image files.
        model: A bundled name, a file, or a network: that of the threshold.
        threshold: What `oodbench.threshold` returns, or the file that it wrote.
        checkpoint: Keywords of `load_network` for a file.
        batch_size: Images per pass of the network.
        device: auto, cpu, cuda or mps.
        quiet: Whether to print no progress on stderr.

    Raises:
        InputError: Network, detector or fitting images are not those of the threshold,
            or a file is no image.
    """
    known = (
        threshold if isinstance(threshold, dict) else thresholds.read(Path(threshold))
    )
    paths = [
        Path(each) for each in ([images] if isinstance(images, str | Path) else images)
    ]
    shape = Shape(*known["model"]["shape"])
    described = {"shape": shape, "size": shape[1:], **checkpoint}
    network = as_network(model, **described).to(pick_device(device))
    with Progress(quiet=quiet) as progress:
        scores = score_files(
            network, known, paths, batch_size=batch_size, watch=progress
        )
    return [
        Verdict(path, value, value >= known["threshold"])
        for path, value in zip(paths, scores.tolist(), strict=True)
    ]


def score_files(
    network: Network,
    threshold: Record,
    paths: Sequence[Path],
    *,
    batch_size: int = 32,
    watch: Watch = unwatched,
) -> FloatArray:
    """Returns the scores `[N]` of image files by the detector of a threshold.

    Images are decoded and adapted as those of `folder:PATH`. A detector that has to be
    fitted is fitted again, on the set that the threshold's record names.

    Args:
        network: On its device already.
        threshold: The record that `thresholds.read` returns.
        paths: Image files.
        batch_size: Images per pass of the network.
        watch: Receives the progress.

    Raises:
        InputError: Network, detector or fitting images are not those of the threshold,
            a file is no image, or a score is not finite.
    """
    _check_network(network, threshold["model"])
    label = threshold["detector"]["label"]
    network = as_network(network, **threshold["detector"].get("layers", {}))
    engine = _ready_engine(network, threshold["detector"], batch_size, watch)
    files = Dataset("images", lambda *_: Split(ImageFiles(paths)), "unstated")
    images = load_split(files, "test", network.shape)
    scored = engine.score(images, has_labels=False, tell=watch("score", len(paths)))
    _refuse(label, scored.failures)
    return scored.scores[label]


def _ready_engine(
    network: Network, detector: Record, batch_size: int, watch: Watch
) -> Engine:
    """Returns an engine whose detector is that of the threshold, fitted."""
    label = detector["label"]
    entry = open_detector(label)
    stage = entry.detector.fitted_on
    fits: dict[str, ImageSet] = {}
    if stage is not None:
        fits[stage] = _open_fit(network, detector)
    if provenance.method_key(entry, fits, network) != detector["key"]:
        raise InputError(
            f"The detector {label} has changed since the threshold was made; run "
            "`oodbench run` and `oodbench threshold` again."
        )
    engine = Engine(network, {label: entry.detector}, batch_size)
    for name, sample in fits.items():
        tell = watch(f"fit on {sample.dataset.name}", len(sample.split.images))
        _refuse(label, engine.fit(name, sample.split, tell=tell))
    return engine


def _check_network(network: Network, record: Record) -> None:
    network.precision = record["precision"]
    if network.fingerprint() == record["key"]:
        return
    found, wanted = (network.mean, network.std), (record["mean"], record["std"])
    if [list(part) for part in found] != list(wanted):
        raise InputError(
            f"The threshold is for --mean {wanted[0]} and --std {wanted[1]}, not "
            f"{list(found[0])} and {list(found[1])}."
        )
    raise InputError(
        f"The threshold was made for another network, {record['name']}; {network.name} "
        "has other weights or another architecture. Make one for it with "
        "`oodbench threshold`."
    )


def _open_fit(network: Network, detector: Record) -> ImageSet:
    """Opens the images that the detector was fitted on."""
    wanted = detector["fitted_on"]
    if not wanted["spec"]:
        raise InputError(
            f"{detector['label']} was fitted on {wanted['name']}, a set that cannot be "
            "opened by a name; make the threshold from a run of `oodbench run`."
        )
    dataset = open_dataset(wanted["spec"])
    sample = open_images(dataset, wanted["split"], network.shape, wanted["limit"])
    if sample.key != wanted["key"]:
        raise InputError(
            f"The {wanted['split']} images of {wanted['spec']} are not those that "
            f"{detector['label']} was fitted on; run `oodbench run` and "
            "`oodbench threshold` again."
        )
    return sample


def _refuse(label: str, failures: dict[str, str]) -> None:
    if label in failures:
        raise InputError(f"{label} cannot score these images: {failures[label]}.")

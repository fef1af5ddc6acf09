"""Trains a network on a data set, from its first iteration or from a checkpoint."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import distributed, nn

from oodbench.base.defaults import INSIDE
from oodbench.base.errors import InputError
from oodbench.base.files import Record
from oodbench.base.processes import Processes, join
from oodbench.base.progress import Watch, silent, unwatched
from oodbench.data.dataset import Dataset
from oodbench.jem.training.export import Trained
from oodbench.jem.training.first_weights import first_weights
from oodbench.jem.training.folder import TrainingFolder, locked
from oodbench.jem.training.guard import DivergedError
from oodbench.jem.training.images import CENTRE, Labelled, Material, gather
from oodbench.jem.training.journal import Journal, tensorboard_writer
from oodbench.jem.training.presets import read_recipe
from oodbench.jem.training.recipe import Recipe
from oodbench.jem.training.trainer import Trainer
from oodbench.networks.build import build
from oodbench.networks.checkpoint.card import check_place
from oodbench.networks.hardware import is_out_of_memory, pick_device, threads_for
from oodbench.networks.result import Joint
from oodbench.scoring.batches import Batches

ARCH = "mlp"
MEASURED_AT_ONCE = 500


def train(
    inside: str | Dataset | None = None,
    to: str | Path | None = "my-jem",
    *,
    recipe: str | Path | Recipe = "jem",
    arch: str | None = None,
    arch_args: Mapping[str, str] = MappingProxyType({}),
    test: str | Dataset | None = None,
    size: tuple[int, int] | None = None,
    start_from: str | Path | None = None,
    export: str | Path | None = None,
    overwrite: bool = False,
    minutes: float | None = None,
    device: str = "auto",
    compile: bool = False,
    tensorboard: bool = False,
    note: str = "",
    command: str = "",
    watch: Watch = unwatched,
    **changes: Any,
) -> Trained | None:
    """Trains a classifier, plain or as a JEM; returns None where time ran out.

    The same call again continues from the folder's checkpoint. On a CPU it comes to the
    same weights as a run without a break, bit for bit. Processes that torchrun started
    share the run.

    Args:
        inside: The labelled set; by default the one of the recipe's card, or
            `digits:0-7`.
        to: Folder for checkpoint, log, pictures of chains and weights; None writes
            nothing.
        recipe: A name, such as `jem` or `ce`, a `Recipe`, or the path of a model's
            .json card, which also names set and network.
        arch: `mlp`, `cnn`, `jem_wrn`, or a factory such as `file.py:factory`; by
            default the one of the recipe's card, or `mlp`.
        arch_args: Its arguments as text, such as `{"hidden": "256,256"}`.
        test: Another set to measure accuracy on.
        size: Height and width of the network's images; None for those of the set.
        start_from: File of weights to begin at instead of random ones, made by an
            earlier training of the same network, such as a classifier's.
        export: File for the weights, `*.safetensors`; by default in `to`.
        overwrite: Whether to start again if the folder has a checkpoint.
        minutes: Stop at the first checkpoint after this time.
        device: auto, cpu or cuda.
        compile: Whether torch.compile makes each SGLD step one graph.
        tensorboard: Whether to write for TensorBoard, too.
        note: Text for the card.
        command: The shell command of this run, for the card.
        watch: Receives the progress.
        **changes: Fields of the recipe that differ, such as `epochs=20`.

    Raises:
        InputError: The set, the network or the folder cannot be used, or training
            diverges again and again.
    """
    if minutes is not None and not minutes > 0:
        raise InputError(f"The minutes must be positive, got {minutes}.")
    settings, made = read_recipe(recipe, changes)
    inside = inside or (made["trained_on"]["spec"] if made else INSIDE)
    arch, arch_args = _network(arch, arch_args, made)
    folder = None if to is None else Path(to)
    target = _target(export, folder)
    processes, place = join(pick_device(device))
    material = gather(inside, test=test, size=size, held_out=settings.held_out)
    built = build(arch, arch_args, material.shape, material.classes, settings.seed)
    card = _card(built.card, material, settings)
    card["started_from"] = first_weights(built, start_from, made)
    card |= {"command": command, "note": note, "compiled": compile}
    card |= {"processes": processes.count}
    with ExitStack() as stack:
        stack.enter_context(_faults_in_words(settings, processes))
        trainer = Trainer(
            built.module.to(place),
            material.train.images.to(place),
            material.train.labels.to(place),
            settings,
            processes=processes,
            compiled=compile,
        )
        stack.enter_context(locked(folder, processes))
        if target is not None:
            _check_writable(target)
        kept = _resumed(trainer, folder, card, overwrite)
        with threads_for(trainer.module, material.shape):
            journal = _journal(trainer, material, kept, tensorboard, watch)
            if not _run(trainer, journal, kept, minutes):
                return None
            card["accuracy"] = {
                stage: measure(trainer.trained, images)
                for stage, images in material.measured.items()
            }
        card["faults"] = trainer.guard.faults
        card["recipe"] |= {"precision": trainer.precision}
        trained = Trained(trainer.trained, card, target)
        if target is not None and processes.is_first:
            trained.write(target)
    return trained


def measure(module: nn.Module, data: Labelled) -> float:
    """Returns a module's accuracy in [0, 1]; puts it into evaluation mode."""
    module.eval()
    device = next(module.parameters()).device
    order = torch.contiguous_format  # which every module takes

    @torch.no_grad()
    def right(first: int, last: int) -> int:
        images = data.images[first:last].to(device, memory_format=order)
        logits = Joint.of(module(images)).logits
        return int((logits.argmax(1).cpu() == data.labels[first:last]).sum())

    found = Batches(MEASURED_AT_ONCE).run(right, len(data.labels))
    return sum(found) / len(data.labels)


def _target(export: str | Path | None, folder: Path | None) -> Path | None:
    """Returns the file for the weights, checked to be a place for them, or None."""
    if export is not None:
        target = Path(export)
    elif folder is not None:
        target = folder / f"{folder.resolve().name}.safetensors"
    else:
        return None
    check_place(target)
    return target


def _check_writable(path: Path) -> None:
    """Checks that a file can be written, before hours of training."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fault = "" if os.access(path.parent, os.W_OK) else "Permission denied"
    except OSError as error:
        fault = error.strerror or str(error)
    if path.is_dir():
        fault = "Is a directory"
    if fault:
        raise InputError(f"Cannot write {path}: {fault}. Name another --export.")


def _network(
    arch: str | None, arch_args: Mapping[str, str], card: Mapping[str, Any]
) -> tuple[str, Mapping[str, str]]:
    """Returns what builds the network: as given, else the card's, else the default."""
    if arch is not None or not card:
        return arch or ARCH, arch_args
    known = dict(card["architecture"])
    if "name" not in known:
        raise InputError(
            f"The card's network is built by {known.get('factory')}; name it again "
            "with --arch and --arg."
        )
    filled = {"name", "inputs", "channels", "classes"}  # by the set
    texts = {key: _text(value) for key, value in known.items() if key not in filled}
    return str(known["name"]), {**texts, **arch_args}


def _text(value: object) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value)) + ","
    return str(value)


@contextmanager
def _faults_in_words(recipe: Recipe, processes: Processes) -> Iterator[None]:
    """Turns errors of torch that the user can resolve into one sentence."""
    try:
        yield
    except Exception as error:
        if is_out_of_memory(error):
            raise InputError(
                f"Training with batches of {recipe.batch_size} does not fit in memory; "
                "lower --batch-size, or take a smaller network."
            ) from error
        # gloo raises a plain RuntimeError, NCCL a DistError.
        lost = isinstance(error, distributed.DistError) or "gloo" in str(error)
        if processes.count > 1 and lost:
            raise InputError(
                "Another process of this training has ended; the same command "
                "continues from the last checkpoint."
            ) from error
        raise


def _resumed(
    trainer: Trainer, path: Path | None, card: Record, overwrite: bool
) -> TrainingFolder | None:
    """Returns the folder after loading its checkpoint, if any, into the trainer."""
    if path is None:
        return None
    folder = TrainingFolder(path, card)
    if states := [] if overwrite else folder.read():
        trainer.resume(states)
    elif trainer.processes.is_first:
        folder.clear()
        folder.log(iteration=0, precision=trainer.precision)
    return folder


def _run(
    trainer: Trainer,
    journal: Journal,
    folder: TrainingFolder | None,
    minutes: float | None,
) -> bool:
    ends = float("inf") if minutes is None else time.monotonic() + 60 * minutes
    writer = folder if trainer.processes.is_first else None
    try:
        return trainer.run(
            journal.add,
            save=writer.save if writer else lambda states: None,
            stop=lambda: time.monotonic() > ends,
            report=journal.fault,
        )
    except DivergedError:
        if writer:
            writer.log(iteration=trainer.iteration, fault=trainer.guard.faults[-1])
        raise
    finally:  # also when it is interrupted
        if writer:
            writer.flush()


def _journal(
    trainer: Trainer,
    material: Material,
    folder: TrainingFolder | None,
    board: bool,
    watch: Watch,
) -> Journal:
    if not trainer.processes.is_first:
        return Journal(trainer, silent)
    if folder is not None:
        folder.cut_log(trainer.iteration)
    val = material.measured.get("val")
    return Journal(
        trainer,
        watch(f"training on {material.name}", trainer.iterations),
        None if val is None else partial(measure, trainer.trained, val),
        folder,
        tensorboard_writer(folder.path) if board and folder is not None else None,
    )


def _card(architecture: Record, material: Material, recipe: Recipe) -> Record:
    return {
        "architecture": architecture,
        "shape": list(material.shape),
        "mean": [CENTRE],
        "std": [CENTRE],
        "trained_on": material.record,
        **({"class_names": list(material.class_names)} if material.class_names else {}),
        "recipe": asdict(recipe),
        "versions": {name: version(name) for name in ("oodbench", "torch", "numpy")},
    }

"""Trains a network on a data set, from its first iteration or from where it was."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType

import torch
from torch import nn

from oodbench.base.errors import InputError
from oodbench.base.files import Record
from oodbench.base.processes import Processes, join
from oodbench.base.progress import Watch, unwatched
from oodbench.jem.training.architecture import build
from oodbench.jem.training.export import Trained
from oodbench.jem.training.folder import TrainingFolder
from oodbench.jem.training.images import CENTRE, Labelled, Material, gather
from oodbench.jem.training.journal import Journal, tensorboard
from oodbench.jem.training.recipe import Recipe
from oodbench.jem.training.trainer import Trainer
from oodbench.networks.hardware import pick_device, threads_for
from oodbench.networks.network import Joint

MEASURED_AT_ONCE = 500


def train(
    inside: str,
    recipe: Recipe,
    *,
    arch: str = "mlp",
    arch_args: Mapping[str, str] = MappingProxyType({}),
    test: str | None = None,
    size: tuple[int, int] | None = None,
    folder: Path | None = None,
    overwrite: bool = False,
    minutes: float | None = None,
    device: str = "auto",
    compiled: bool = False,
    board: bool = False,
    command: str = "",
    note: str = "",
    watch: Watch = unwatched,
) -> Trained | None:
    """Trains a network on a labelled set; returns None where time ran out.

    The same call again goes on from the folder's checkpoint; on a CPU it comes to the
    same weights, bit for bit, as a run without a break. Processes that torchrun started
    share the run.

    Args:
        inside: The set, such as `digits:0-7`.
        recipe: How to train.
        arch: `mlp`, `cnn`, `jem_wrn`, or a factory such as `file.py:factory`.
        arch_args: Its arguments, read as literals.
        test: Another set to measure accuracy on.
        size: Height and width of the images that the network takes; None for those of
            the set.
        folder: Where checkpoint and log are kept; None keeps none.
        overwrite: Whether to begin anew where the folder has a checkpoint.
        minutes: Stop at the next checkpoint after so many.
        device: auto, cpu, cuda or mps.
        compiled: Whether torch.compile makes the gradient of log p(x).
        board: Whether to write for TensorBoard, too.
        command: What to type for the same again, for the card.
        note: What else the card shall say.
        watch: Is told of the iterations.

    Raises:
        InputError: The set, the network or the folder cannot be used, or training
            diverges again and again.
    """
    if minutes is not None and not minutes > 0:
        raise InputError(f"The minutes must be positive, got {minutes}.")
    processes, place = join(pick_device(device))
    material = gather(inside, test=test, size=size, held_out=recipe.held_out)
    built = build(arch, arch_args, material.shape, material.classes, recipe.seed)
    card = _card(
        built.card,
        material,
        recipe,
        command=command,
        note=note,
        processes=processes.count,
        compiled=compiled,
    )
    kept = TrainingFolder(folder, card) if folder is not None else None
    states = kept.read() if kept and not overwrite else []
    if kept and not states and processes.is_first:
        kept.clear()
    trainer = Trainer(
        built.module.to(place),
        material.train.images.to(place),
        material.train.labels.to(place),
        recipe,
        processes=processes,
        compiled=compiled,
    )
    if states:
        trainer.resume(states)
    with threads_for(trainer.module, material.shape):
        journal = _journal(trainer, material, kept, board, processes, inside, watch)
        if not _run(trainer, journal, kept, minutes):
            return None
        accuracy = {
            stage: measure(trainer.trained, images)
            for stage, images in material.measured.items()
        }
    card |= {"accuracy": accuracy, "faults": trainer.guard.faults}
    return Trained(trainer.trained, card)


@torch.no_grad()
def measure(module: nn.Module, data: Labelled) -> float:
    """Returns a module's accuracy, from 0 to 1; leaves it in evaluation mode."""
    module.eval()
    device = next(module.parameters()).device
    right = 0
    for images, labels in zip(
        data.images.split(MEASURED_AT_ONCE),
        data.labels.split(MEASURED_AT_ONCE),
        strict=True,
    ):
        logits = Joint.of(module(images.to(device))).logits
        right += int((logits.argmax(1).cpu() == labels).sum())
    return right / len(data.labels)


def _unheard(iteration: int, fault: str) -> None:
    """Says nothing: the first process speaks."""


def _run(
    trainer: Trainer,
    journal: Journal,
    folder: TrainingFolder | None,
    minutes: float | None,
) -> bool:
    ends = float("inf") if minutes is None else time.monotonic() + 60 * minutes
    writes = folder is not None and trainer.processes.is_first
    save = folder.save if folder is not None and writes else lambda states: None
    try:
        done = trainer.run(
            journal.add,
            save=save,
            stop=lambda: time.monotonic() > ends,
            report=journal.fault if trainer.processes.is_first else _unheard,
        )
    finally:  # also when it is interrupted, or diverges
        if folder is not None and writes:
            folder.flush()
    return done


def _journal(
    trainer: Trainer,
    material: Material,
    folder: TrainingFolder | None,
    board: bool,
    processes: Processes,
    inside: str,
    watch: Watch,
) -> Journal:
    show = watch if processes.is_first else unwatched
    tell = show(f"training on {inside}", trainer.iterations)
    if not processes.is_first:
        return Journal(trainer, tell)
    if folder is not None:
        folder.cut_log(trainer.iteration)
    val = material.measured.get("val")
    return Journal(
        trainer,
        tell,
        None if val is None else partial(measure, trainer.trained, val),
        folder,
        tensorboard(folder.path) if board and folder is not None else None,
    )


def _card(
    architecture: Record,
    material: Material,
    recipe: Recipe,
    **others: str | int,
) -> Record:
    return {
        "architecture": architecture,
        "shape": list(material.shape),
        "mean": [CENTRE],
        "std": [CENTRE],
        "trained_on": material.record,
        "recipe": asdict(recipe),
        "versions": {name: version(name) for name in ("oodbench", "torch", "numpy")},
        **others,
    }

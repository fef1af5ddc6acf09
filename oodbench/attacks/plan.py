"""What is attacked, one network after another."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from oodbench.attacks.fitting import fitted
from oodbench.attacks.images import Images
from oodbench.attacks.robust_accuracy import Robustness, attack_target
from oodbench.attacks.rounding import Rounded, rounded
from oodbench.attacks.scores import RaiseScore
from oodbench.attacks.suite import Suite
from oodbench.attacks.targets import Classifier, Refined, Target
from oodbench.attacks.worst_case import WorstCase, worst_case
from oodbench.base.errors import InputError, reason
from oodbench.base.files import Record
from oodbench.base.progress import Watch, unwatched
from oodbench.data.dataset import Dataset
from oodbench.data.image_set import ImageSet, open_images
from oodbench.jem.sampler import SGLD
from oodbench.networks.hardware import (
    first_batch_size,
    fitting_threads,
    is_out_of_memory,
)
from oodbench.networks.network import Network
from oodbench.scoring import provenance
from oodbench.scoring.spec import open_detector

DETECTORS = ("msp", "max_logit", "energy", "entropy", "log_px", "jem_grad_norm")
"""Whose scores are attacked where nobody names any."""


@dataclass(frozen=True)
class Attacked:
    """All that attacks on one network came to."""

    model: Record
    """What the record says of the network."""
    inside: Record
    """What it says of the in-set."""
    outside: Sequence[Record]
    """What it says of the sets that were attacked to pass for it."""
    run: Record
    """What is recorded of how it went, and decides nothing."""
    robustness: Sequence[Robustness]
    """By target; none where the in-set has no labels."""
    rounded: Mapping[str, Sequence[Rounded]]
    """Adversarial images by target, where they were asked for."""
    worst_cases: Sequence[WorstCase]
    skipped: Sequence[str]
    """What could not be attacked, and why, in sentences."""

    def notes(self) -> list[str]:
        """Returns what a reader of the numbers must know, in sentences."""
        masked = [
            *(one.masked() for one in self.robustness),
            *(one.masked() for one in self.worst_cases),
        ]
        faults = [
            f"{one.detector} on {one.outside} was attacked without gradients alone, "
            f"for it has none ({one.fault})."
            for one in self.worst_cases
            if one.fault
        ]
        return [*filter(None, masked), *faults, *self.skipped]


@dataclass(frozen=True)
class Plan:
    """What every network goes through.

    Raises:
        InputError: A name or a number is wrong.
    """

    inside: Dataset
    out: Sequence[Dataset] = ()
    """Sets whose images are attacked to pass for in-distribution."""
    suite: Suite = field(default_factory=Suite)
    refine: Sequence[int] = ()
    """Steps k of the refining JEMs that are attacked besides the classifier."""
    detectors: Sequence[str] = DETECTORS
    count: int | None = None
    """Attack only this many images of each set, drawn by the seed; None for all."""
    keeps_images: bool = False
    watch: Watch = unwatched

    def __post_init__(self) -> None:
        for spec in self.detectors:
            open_detector(spec)

    def attack(self, network: Network) -> Attacked:
        """Attacks one network on its device.

        Raises:
            InputError: The in-set does not fit the network.
        """
        began = time.monotonic()
        inside = open_images(self.inside, "test", network.shape)
        outside = [open_images(each, "test", network.shape) for each in self.out]
        images = self._images(inside, network)
        self._check(inside, network)
        with fitting_threads(network):
            robustness = list(self._robustness(network, images))
            kept = {
                one.target.title: rounded(self.suite, one, images)
                for one in robustness
                if self.keeps_images
            }
            worst_cases, skipped = self._worst_cases(network, inside, outside)
        size = self.suite.batch_size or first_batch_size(network.shape, network.device)
        return Attacked(
            model=provenance.of_model(network, network.fingerprint()),
            inside=inside.record(),
            outside=[sample.record() for sample in outside],
            run=provenance.of_run(network, size, time.monotonic() - began),
            robustness=robustness,
            rounded=kept,
            worst_cases=worst_cases,
            skipped=skipped,
        )

    def _targets(self, network: Network) -> Iterator[Target]:
        """Yields the network, and the refining JEMs that it makes."""
        yield Classifier(network)
        for steps in self.refine:
            yield Refined(network, SGLD(steps))

    def _robustness(self, network: Network, images: Images) -> Iterator[Robustness]:
        if images.labels is None:
            return
        for target in self._targets(network):
            rounds = len(self.suite.against(target)) * len(self.suite.balls)
            what = f"{network.name}, {target.title}"
            tell = self.watch(what, rounds * len(images))
            yield attack_target(self.suite, target, images, tell)

    def _worst_cases(
        self, network: Network, inside: ImageSet, outside: Sequence[ImageSet]
    ) -> tuple[list[WorstCase], list[str]]:
        if not outside:
            return [], []
        detectors, faults = fitted(network, self.detectors, self.inside, self.watch)
        known = Images.of(inside.split, network.shape, device=network.device)
        found = []
        for sample in outside:
            images, name = self._images(sample, network), sample.dataset.name
            for label, detector in detectors.items():
                what = f"{label} on {name}"
                attacks = 1 + (self.suite.square is not None)
                rounds = attacks * len(self.suite.balls)
                tell = self.watch(f"{network.name}, {what}", rounds * len(images))
                goal, names = RaiseScore(network, detector), (name, label)
                try:
                    found.append(
                        worst_case(self.suite, goal, names, known, images, tell)
                    )
                except InputError as error:
                    faults[what] = str(error).rstrip(".")
                except Exception as error:  # one plug-in must not stop others
                    if is_out_of_memory(error):
                        raise
                    faults[what] = reason(error)
        return found, [f"{what} was not attacked: {faults[what]}." for what in faults]

    def _images(self, sample: ImageSet, network: Network) -> Images:
        return Images.of(
            sample.split,
            network.shape,
            count=self.count,
            seed=self.suite.seed,
            device=network.device,
        )

    def _check(self, inside: ImageSet, network: Network) -> None:
        if inside.split.labels is None and not self.out:
            raise InputError(
                f"{self.inside.name} has no labels to attack; name another --in, or "
                "--out for attacks on scores."
            )
        inside.check_classes(network.name, network.classes)

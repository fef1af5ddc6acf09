"""What is attacked: the sets, targets and detectors that every network goes through."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache, cached_property
from pathlib import Path

from oodbench.attacks.images import Images
from oodbench.attacks.record import SCHEMA, Attacked
from oodbench.attacks.robust_accuracy import (
    RobustAccuracy,
    Rounded,
    attack_target,
    rounded,
)
from oodbench.attacks.suite import Suite
from oodbench.attacks.targets import Classifier, Refined, Target
from oodbench.attacks.trial import masking_notes
from oodbench.attacks.worst_case import RaiseScore, WorstCase, fitted, worst_case
from oodbench.base.errors import InputError, reason
from oodbench.base.files import Record, folder_name, key_of
from oodbench.base.progress import Watch, unwatched
from oodbench.base.sources import sources_key
from oodbench.data.dataset import Dataset, Shape, SplitName
from oodbench.data.image_set import ImageSet, open_images
from oodbench.jem.sampler import SGLD
from oodbench.networks.hardware import first_batch_size, fitting_threads
from oodbench.networks.network import Network
from oodbench.scoring import provenance
from oodbench.scoring.spec import Entry, open_detector

DETECTORS = ("msp", "max_logit", "energy", "entropy", "log_px", "jem_grad_norm")
"""The detectors that are attacked by default."""


@dataclass(frozen=True, eq=False)
class Plan:
    """What every network goes through.

    Raises:
        InputError: A name or a number is wrong.
    """

    inside: Dataset
    out: Sequence[Dataset] = ()
    """Sets whose images are attacked to score as in-distribution."""
    suite: Suite = field(default_factory=Suite)
    refine: Sequence[int] = ()
    """Steps k of the refining JEMs that are attacked after the classifier."""
    detectors: Sequence[str] = DETECTORS
    count: int | None = None
    """Attack only this many images of each set, drawn by the seed; None for all."""
    keeps_images: bool = False
    watch: Watch = unwatched
    open: Callable[[Dataset, SplitName, Shape], ImageSet] = field(
        init=False, default_factory=lambda: cache(open_images)
    )
    """Opens a split once for all networks of the same image shape."""

    def __post_init__(self) -> None:
        if self.count is not None and self.count < 1:
            raise InputError(
                f"The number of images must be at least 1, got {self.count}."
            )
        for steps in self.refine:
            SGLD(steps)
        for spec in self.detectors:
            open_detector(spec)


@dataclass(frozen=True, eq=False)
class Task:
    """The attacks of a plan on one network.

    Raises:
        InputError: The sets do not fit the network or one another.
    """

    plan: Plan
    network: Network

    def __post_init__(self) -> None:
        inside = self.inside
        if inside.split.labels is None and not self.plan.out:
            raise InputError(
                f"{inside.dataset.name} has no labels to attack; name another --in, or "
                "--out for attacks on scores."
            )
        inside.check_classes(self.network.name, self.network.classes)
        for one in self.outside:
            one.check_differs_from(inside)

    @cached_property
    def inside(self) -> ImageSet:
        """The in-distribution test images."""
        found = self.plan.open(self.plan.inside, "test", self.network.shape)
        return found.numbered_by(self.network.class_names)

    @cached_property
    def outside(self) -> list[ImageSet]:
        """The test images of the other sets."""
        shape = self.network.shape
        return [self.plan.open(each, "test", shape) for each in self.plan.out]

    @cached_property
    def entries(self) -> list[Entry]:
        """Fresh detectors; none where no set is attacked for them."""
        specs = self.plan.detectors if self.plan.out else ()
        return list({e.label: e for e in map(open_detector, specs)}.values())

    @cached_property
    def fits(self) -> dict[str, ImageSet]:
        """The in-distribution images that detectors are fitted on, by stage."""
        stages = dict.fromkeys(entry.detector.fitted_on for entry in self.entries)
        inside, shape = self.plan.inside, self.network.shape
        return {
            stage: self.plan.open(inside, stage, shape)
            for stage in stages
            if stage in inside.splits
        }

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the network."""
        return self.network.fingerprint()

    @cached_property
    def key(self) -> str:
        """A hash of everything that decides the results."""
        plan = self.plan
        fits = {stage: images.key for stage, images in self.fits.items()}
        methods = [
            provenance.method_key(entry, fits, self.network)
            for entry in self.entries
            if entry.detector.fitted_on in (None, *self.fits)
        ]
        return key_of(
            SCHEMA,
            sources_key(Task),
            asdict(plan.suite),
            (list(plan.refine), list(plan.detectors), plan.count, plan.keeps_images),
            (self.fingerprint, self.inside.key),
            [(one.dataset.name, one.key) for one in self.outside],
            methods,
        )

    def run(self, images_to: Path | None = None) -> Attacked:
        """Attacks the network on its device.

        Args:
            images_to: The folder for adversarial images; None if none are kept.
        """
        began = time.monotonic()
        network, suite = self.network, self.plan.suite
        with fitting_threads(network):
            robust = list(self._robust_accuracies(images_to))
            worst, skipped = self._worst_cases()
        size = suite.batch_size or first_batch_size(network.shape, network.device)
        tests = {
            **{one.target["title"]: one.masking for one in robust},
            **{f"{one.detector} on {one.outside}": one.masking for one in worst},
        }
        return Attacked(
            key=self.key,
            norm=suite.norm,
            model=provenance.of_model(network, self.fingerprint),
            inside=self.inside.record(),
            outside=[one.record() for one in self.outside],
            run=provenance.of_run(network, size, time.monotonic() - began),
            robust_accuracy=robust,
            worst_case_auroc=worst,
            notes=[*masking_notes(tests), *self._notes(worst), *skipped],
        )

    def _notes(self, worst: Sequence[WorstCase]) -> Iterator[str]:
        for one in worst:
            if one.fault:
                yield (
                    f"{one.detector} on {one.outside} was attacked without gradients "
                    f"only, because its score has none ({one.fault})."
                )
        wanted = self.plan.count or 0
        labelled = [] if self.inside.split.labels is None else [self.inside]
        for images in [*labelled, *self.outside]:
            if images.count < wanted:
                yield (
                    f"{images.dataset.name} has only {images.count} images, fewer than "
                    f"the {wanted} that --images asks for; all were attacked."
                )

    def _targets(self) -> Iterator[Target]:
        yield Classifier(self.network)
        for steps in dict.fromkeys(self.plan.refine):
            yield Refined(self.network, SGLD(steps))

    def _robust_accuracies(self, images_to: Path | None) -> Iterator[RobustAccuracy]:
        if self.inside.split.labels is None:
            return
        suite, images = self.plan.suite, self._images(self.inside)
        for target in self._targets():
            rounds = len(suite.against(target)) * len(suite.balls)
            what = f"{self.network.name}, {target.title}"
            tell = self.plan.watch(what, rounds * len(images))
            levels = attack_target(suite, target, images, tell)
            saved: list[Record] = []
            if images_to is not None:
                kept = rounded(suite, target, levels, images)
                saved = [self._save(one, target.title, images_to) for one in kept]
            yield RobustAccuracy.of(target, levels, saved)

    def _save(self, one: Rounded, title: str, folder: Path) -> Record:
        """Writes adversarial images and returns what the record says of them."""
        radius = self.plan.suite.eps_texts[one.eps]
        label = f"{self.network.title}-{title}-{radius}"
        name = f"{folder_name(label, self.fingerprint)}.npz"
        one.write(folder / name)
        return {
            "eps": one.eps,
            "accuracy": one.accuracy,
            "farthest": one.farthest,
            "file": name,
        }

    def _worst_cases(self) -> tuple[list[WorstCase], list[str]]:
        if not self.outside:
            return [], []
        network, suite = self.network, self.plan.suite
        detectors, faults = fitted(network, self.entries, self.fits, self.plan.watch)
        known = Images.of(self.inside.split, network.shape, device=network.device)
        found = []
        for sample in self.outside:
            images, name = self._images(sample), sample.dataset.name
            for label, detector in detectors.items():
                what = f"{label} on {name}"
                rounds = (1 + (suite.square is not None)) * len(suite.balls)
                tell = self.plan.watch(f"{network.name}, {what}", rounds * len(images))
                goal, names = RaiseScore(network, detector), (name, label)
                try:
                    found.append(worst_case(suite, goal, names, known, images, tell))
                except InputError as error:
                    faults[what] = str(error).rstrip(".")
                except Exception as error:  # noqa: BLE001 - one plug-in must not stop others
                    faults[what] = reason(error)
        return found, [f"{what} was not attacked: {faults[what]}." for what in faults]

    def _images(self, sample: ImageSet) -> Images:
        return Images.of(
            sample.split,
            self.network.shape,
            count=self.plan.count,
            seed=self.plan.suite.seed,
            device=self.network.device,
        )

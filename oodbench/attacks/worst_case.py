"""The worst-case AUROC of a detector: OOD images are attacked to score high."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from oodbench.attacks.images import Images
from oodbench.attacks.objective import Aim, climb
from oodbench.attacks.suite import Suite
from oodbench.attacks.trial import Attempt, Level, PairedTest, paired_tests
from oodbench.base.errors import InputError, reason
from oodbench.base.progress import Tell, Watch, silent
from oodbench.data.image_set import ImageSet
from oodbench.jem.sampler import Noise
from oodbench.metrics.ranking import auroc
from oodbench.networks.hardware import is_out_of_memory
from oodbench.networks.network import Network
from oodbench.scoring.batch import Need
from oodbench.scoring.containment import Containment
from oodbench.scoring.detector import Detector
from oodbench.scoring.engine import Engine, lacks
from oodbench.scoring.forward import run_network
from oodbench.scoring.outputs import Outputs
from oodbench.scoring.spec import Entry


@dataclass(frozen=True)
class WorstCase:
    """A detector's AUROC where every OOD image is attacked, by eps from 0 on."""

    outside: str
    """Name of the set that was attacked."""
    detector: str
    images: int
    """Number of attacked images."""
    eps: list[float]
    auroc: list[float]
    """Against the strongest attack on each image; it never rises with eps."""
    by_attack: Mapping[str, list[float]]
    """Against each attack alone."""
    fault: str
    """Why the score has no gradient to attack by; empty if it has one."""
    masking: list[PairedTest]
    """Tests for masked gradients, on whose attack passes more clean ID images."""


@dataclass(frozen=True)
class RaiseScore:
    """The objective of an attacker who wants images to score high."""

    network: Network
    detector: Detector
    """Fitted, if it needs fitting."""
    enough: float = field(init=False, default=torch.inf)
    copies: int = field(init=False, default=1)
    _contained: Containment = field(
        init=False, repr=False, compare=False, default_factory=Containment
    )

    def __call__(self, pixels: Tensor, images: Images, noise: Noise) -> Aim:
        """Returns the scores `[N]` of perturbed pixels `[N, C, H, W]` of images.

        Raises:
            InputError: The detector returns anything but one score per image.
        """
        batch = run_network(
            self.network,
            pixels,
            self.detector.objectives,
            images.numbers,
            self._contained,
            with_maps=Need.BLOCKS in self.detector.needs,
            attached=pixels.requires_grad,
        )
        # The same code runs with and without gradients, which is a setting too.
        key = torch.is_grad_enabled()
        with self._contained.watch(type(self.detector).__name__, key):
            scores = self.detector.score(Outputs(batch, self.detector))
        if not isinstance(scores, Tensor) or scores.shape != (len(pixels),):
            what = list(scores.shape) if isinstance(scores, Tensor) else type(scores)
            raise InputError(
                f"it returns {what} for {len(pixels)} images, not one score each"
            )
        return Aim(scores, scores.detach())


def fitted(
    network: Network,
    entries: Iterable[Entry],
    fits: Mapping[str, ImageSet],
    watch: Watch,
) -> tuple[dict[str, Detector], dict[str, str]]:
    """Returns the detectors by label, fitted, and why others cannot be used.

    Args:
        network: The network that they score.
        entries: Fresh detectors.
        fits: The images to fit on, by stage (train, val).
        watch: Shows the progress.
    """
    found: dict[str, Detector] = {}
    faults: dict[str, str] = {}
    for entry in entries:
        wanted = entry.detector.fitted_on
        if fault := lacks(network, entry.detector):
            faults[entry.label] = fault
        elif wanted and wanted not in fits:
            faults[entry.label] = f"it is fitted on {wanted} images, and --in has none"
        else:
            found[entry.label] = entry.detector
    engine = Engine(network, found)
    for stage, images in fits.items():
        tell = watch(f"fit on {stage} of {images.dataset.name}", images.count)
        faults.update(engine.fit(stage, images.split, tell=tell))
    return {k: found[k] for k in found if k not in faults}, faults


def worst_case(
    suite: Suite,
    goal: RaiseScore,
    names: tuple[str, str],
    inside: Images,
    outside: Images,
    tell: Tell = silent,
) -> WorstCase:
    """Attacks OOD images so that a detector scores them high.

    In-distribution images stay clean. Every OOD image keeps the highest score of all
    perturbations, the clean image included.

    Args:
        suite: The attacks.
        goal: The detector's score.
        names: The names of the set and of the detector.
        inside: The in-distribution images.
        outside: The images to attack.
        tell: Receives the number of images done, per attack and ball.

    Raises:
        InputError: The score cannot be attacked, or is not finite.
    """
    (level,) = suite.trial(goal, {}).run(inside, suite.balls[:1])
    clean = level.strongest.gain
    fault = gradient_fault(goal, outside)
    attempts = {} if fault else {"PGD": Attempt(suite.pgd, goal)}
    if suite.square:
        attempts["square"] = Attempt(suite.square, goal)
    if not attempts:
        raise InputError(f"its score has no gradient ({fault})")
    levels = suite.trial(goal, attempts).run(outside, suite.balls, tell)
    eps = [level.eps for level in levels]
    return WorstCase(
        *names,
        images=len(outside),
        eps=eps,
        auroc=[auroc(clean, level.strongest.gain) for level in levels],
        by_attack={
            name: [auroc(clean, level.gains[name]) for level in levels]
            for name in attempts
        },
        fault=fault,
        masking=list(paired_tests(eps, _passed(clean, levels))),
    )


def _passed(clean: Tensor, levels: Sequence[Level]) -> dict[str, list[Tensor]]:
    """Returns how many clean ID images each OOD image passes, ties half, doubled."""
    ordered = clean.double().sort().values
    return {
        name: [
            sum(
                (
                    torch.searchsorted(ordered, level.gains[name].double(), right=right)
                    for right in (False, True)
                ),
                torch.zeros(()),
            )
            for level in levels
        ]
        for name in levels[0].gains
    }


def gradient_fault(goal: RaiseScore, images: Images) -> str:
    """Returns why a score has no gradient by the pixels; empty if it has one."""
    first = images[torch.zeros(1, dtype=torch.int64, device=images.pixels.device)]
    try:
        climb(goal, first.pixels, first, first.noise(0, "probe"))
    except Exception as error:
        if isinstance(error, InputError) or is_out_of_memory(error):
            raise
        return reason(error)
    return ""

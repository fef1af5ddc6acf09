"""The targets of attacks: a classifier, or a JEM that refines images first."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol, get_args

import torch
from torch import Tensor

from oodbench.attacks.images import Images
from oodbench.attacks.objective import Aim
from oodbench.base.errors import InputError
from oodbench.jem.energy import log_density, of_class, to_pixels, to_states
from oodbench.jem.sampler import SGLD, Noise
from oodbench.networks.network import Network

Gradient = Literal["straight-through", "through"]
"""The gradient of a refining JEM that an attacker uses.

straight-through: the gradient at the refined image, as if the chain were the identity,
as in the JEM paper's code. through: the true gradient, through every step of the chain.
"""
GRADIENTS: tuple[Gradient, ...] = get_args(Gradient)


class Target(Protocol):
    """A network that maps images to logits, perhaps with random numbers."""

    @property
    def network(self) -> Network:
        """The network that is attacked."""

    @property
    def title(self) -> str:
        """Its name in tables."""

    @property
    def copies(self) -> int:
        """Images in the network's memory for each attacked image."""

    def logits(self, pixels: Tensor, noise: Noise) -> Tensor:
        """Returns logits `[N, K]` of pixels `[N, C, H, W]` in [0, 1]."""


@dataclass(frozen=True)
class Classifier:
    """The network as it is."""

    network: Network
    title: str = field(init=False, default="classifier")
    copies: int = field(init=False, default=1)

    def logits(self, pixels: Tensor, noise: Noise) -> Tensor:
        """Returns the network's logits `[N, K]`; no noise is drawn."""
        return self.network(pixels).logits


@dataclass(frozen=True)
class Refined:
    """JEM-k of the paper's code: k SGLD steps up log p(x), then the classifier.

    Each image has several noisy duplicates. Each duplicate is refined by its own chain,
    and the logits of the duplicates are averaged.

    Grathwohl, Wang, Jacobsen, Duvenaud, Norouzi and Swersky, Your Classifier is
    Secretly an Energy Based Model and You Should Treat it Like One, ICLR 2020,
    arXiv 1912.03263.

    Raises:
        InputError: A number is out of its range.
    """

    network: Network
    sampler: SGLD = field(default_factory=lambda: SGLD(10))
    """The chain, on pixels in [-1, 1]."""
    duplicates: int = 5
    input_noise: float = 0.03
    """Standard deviation of the noise before the chain, on pixels in [-1, 1]."""
    gradient: Gradient = "straight-through"
    """The gradient that an attacker uses; it changes no logits."""

    def __post_init__(self) -> None:
        if self.duplicates < 1:
            raise InputError(
                f"A refining JEM needs at least 1 duplicate, got {self.duplicates}."
            )
        if self.input_noise < 0:
            raise InputError(f"The noise {self.input_noise:g} must be at least 0.")

    @property
    def title(self) -> str:
        """Its name in tables, with the number of steps."""
        return f"refined-{self.sampler.steps}"

    @property
    def copies(self) -> int:
        """Images in the network's memory for each attacked image."""
        steps = self.sampler.steps if self.gradient == "through" else 0
        return self.duplicates * (1 + steps)

    def logits(self, pixels: Tensor, noise: Noise) -> Tensor:
        """Returns the duplicates' mean logits `[N, K]`."""
        drawn = for_copies(noise, self.duplicates)
        states = to_states(pixels).repeat_interleave(self.duplicates, 0)
        if self.input_noise:
            states = states + self.input_noise * drawn(states)
        logits = self.network(to_pixels(self._refine(states, drawn))).logits
        return logits.unflatten(0, (-1, self.duplicates)).mean(1)

    def _refine(self, states: Tensor, noise: Noise) -> Tensor:
        density = log_density(self.network)
        if self.gradient == "straight-through" or not states.requires_grad:
            # Adding zero passes the gradient on and changes no bit of the value.
            return self.sampler(density, states, noise) + (states - states.detach())
        for _ in range(self.sampler.steps):
            log_p = density(states).sum()
            (slope,) = torch.autograd.grad(log_p, states, create_graph=True)
            states = self.sampler.step(states, slope, noise)
        return states


@dataclass(frozen=True)
class Misclassify:
    """The objective of an attacker who wants images to be classified wrongly.

    The loss is the log odds of the wrong classes. Cross-entropy is log(1 + exp(loss));
    its gradient has the same direction but vanishes where the classifier is confident.
    The gain is the margin, below 0 for a correct classification. A tie is an error.
    """

    target: Target
    samples: int = 1
    """Draws of the target's noise; loss and gain are means over them. Expectation over
    transformation: Athalye, Engstrom, Ilyas and Kwok, Synthesizing Robust
    Adversarial Examples, ICML 2018, arXiv 1707.07397."""
    enough: float = field(init=False, default=0.0)

    @property
    def copies(self) -> int:
        """Images in the network's memory for each attacked image."""
        return self.samples * self.target.copies

    def __call__(self, pixels: Tensor, images: Images, noise: Noise) -> Aim:
        """Returns the aim `[N]` of perturbed pixels `[N, C, H, W]` of images."""
        labels = self.labels(images).repeat_interleave(self.samples)
        if self.samples > 1:
            pixels = pixels.repeat_interleave(self.samples, 0)
        logits = self.target.logits(pixels, for_copies(noise, self.samples))
        loss, gain = (
            lead.unflatten(0, (-1, self.samples)).mean(1)
            for lead in (log_odds(logits, labels), margin(logits.detach(), labels))
        )
        return Aim(loss, gain)

    @staticmethod
    def labels(images: Images) -> Tensor:
        """Returns the labels `[N]` of images.

        Raises:
            InputError: They have no labels.
        """
        if images.labels is None:
            raise InputError("Images without labels cannot be misclassified.")
        return images.labels


def log_odds(logits: Tensor, labels: Tensor) -> Tensor:
    """Returns log(1 − p(y|x)) − log p(y|x) of the correct class y, `[N]`."""
    return _wrong(logits, labels).logsumexp(1) - of_class(logits, labels)


def margin(logits: Tensor, labels: Tensor) -> Tensor:
    """Returns the highest wrong logit minus the correct one, `[N]`.

    It is infinite where logits `[N, K]` are NaN, which counts as an error.
    """
    lead = _wrong(logits, labels).amax(1) - of_class(logits, labels)
    return lead.nan_to_num(torch.inf, posinf=torch.inf, neginf=-torch.inf)


def _wrong(logits: Tensor, labels: Tensor) -> Tensor:
    """Returns the logits `[N, K]` with −∞ for the correct class."""
    return logits.scatter(1, labels[:, None], -torch.inf)


def for_copies(noise: Noise, copies: int) -> Noise:
    """Returns noise for batches with so many copies of each image in a row."""
    if copies == 1:
        return noise
    return lambda like: noise(like.unflatten(0, (-1, copies))).flatten(0, 1)

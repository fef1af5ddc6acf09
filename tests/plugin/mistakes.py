# ruff: noqa: NPY002 - these are the mistakes
"""Detectors, each with one mistake of the kind found in published code."""

import weakref
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from oodbench import Detector, Need, Result, Shaping
from oodbench.scoring.fitting.statistics import class_means, feature_mean


@dataclass
class Sound(Detector):
    """What the others differ from: the cosine to the nearest class mean."""

    needs = Need.FEATURES | Need.LABELS
    fitted_on = "train"

    _means: Tensor = field(init=False, repr=False)

    def fit(self, known):
        self._means = known.shared(class_means).means

    def score(self, batch):
        return self.cosines(batch.features.double()).amax(1)

    def cosines(self, features):
        return unit(features) @ unit(self._means).T


def unit(values):
    return values / values.norm(dim=1, keepdim=True).clamp(min=1e-12)


def bank_of(known):
    return unit(known.features)


@dataclass
class Energy(Detector):
    """Sound, and needs no fitting."""

    def score(self, batch):
        return batch.logits.double().logsumexp(1)


# --- what comes back


@dataclass
class ReturnsClasses(Detector):
    """Returns the predicted class."""

    def score(self, batch):
        return batch.logits.argmax(1)


@dataclass
class LogOfFeatures(Detector):
    """Takes logarithms of features that may be negative."""

    needs = Need.FEATURES

    def score(self, batch):
        return batch.features.log().sum(1)


@dataclass
class NoDefault(Energy):
    """Has a parameter without a default."""

    limit: float


# --- what it reads and writes


@dataclass
class WritesFeatures(Detector):
    """Clips the activations in place."""

    needs = Need.FEATURES

    def score(self, batch):
        return batch.features.clamp_(max=1).sum(1)


@dataclass
class PrunesHead(Detector):
    """Sets the small weights of the head to 0, in place."""

    needs = Need.FEATURES | Need.HEAD

    def score(self, batch):
        head = batch.head
        with torch.no_grad():
            head.weight[head.weight.abs() < 0.1] = 0
        return head(batch.features).logsumexp(1)


@dataclass
class PrunesNetwork(Detector):
    """Reaches for the network's own layer, and writes into it."""

    needs = Need.FEATURES

    def score(self, batch):
        with torch.no_grad():
            batch._batch.head.weight.mul_(0.5)
        return batch.features.norm(dim=1)


@dataclass
class WritesStatistic(Sound):
    """Scales the shared class means to length 1, in place."""

    def fit(self, known):
        super().fit(known)
        self._means /= self._means.norm(dim=1, keepdim=True)


@dataclass
class WritesStatisticAsArray(Detector):
    """Centres the shared bank through NumPy, where no guard of torch sees it."""

    needs = Need.FEATURES
    fitted_on = "train"

    _bank: Tensor = field(init=False, repr=False)

    def fit(self, known):
        bank = known.shared(bank_of)
        array = bank.numpy()
        array -= 0.1
        self._bank = bank

    def score(self, batch):
        return (unit(batch.features) @ self._bank.T).amax(1).double()


@dataclass
class Undeclared(Detector):
    """Reads features and declares nothing."""

    def score(self, batch):
        return batch.features.norm(dim=1)


@dataclass
class UndeclaredStatistic(Sound):
    """Reads class means, and does not declare labels."""

    needs = Need.FEATURES


def largest(result: Result):
    return result.logits.amax(1)


@dataclass
class UnreadGradient(Energy):
    """Has every image differentiated, and reads no gradient."""

    needs = Need.GRADIENT
    objectives = (largest,)


@dataclass
class UnreadFeatures(Energy):
    """Declares features that it does not read."""

    needs = Need.FEATURES


@dataclass
class NeverFitted(Shaping):
    """Forgets to say which split `fit` receives, and has a start value."""

    _limit: float = field(init=False, default=1.0)

    def fit(self, known):
        self._limit = float(known.features.quantile(0.9))

    def shape(self, batch):
        return batch.shaped(batch.features.clamp(max=self._limit))


@dataclass
class NoFit(Energy):
    """Says that it is fitted, and has nothing to fit."""

    fitted_on = "train"


@dataclass
class SilentBeforeFit(Sound):
    """Reads what it has not learnt, under a name that its class has."""

    _means: Tensor | None = field(init=False, default=None)


HOOKS = []
"""The hooks that LeavesHook has left, to be removed by the test."""


@dataclass
class LeavesHook(Detector):
    """Watches every module of the process, and does not stop."""

    needs = Need.FEATURES

    def score(self, batch):
        hook = torch.nn.modules.module.register_module_forward_hook
        HOOKS.append(hook(lambda *_: None))
        return batch.features.norm(dim=1)


@dataclass
class SwitchesAutocast(Energy):
    """Turns mixed precision on for everyone."""

    def score(self, batch):
        torch.autocast("cpu", torch.bfloat16).__enter__()
        return super().score(batch)


# --- what a score depends on


@dataclass
class DrawsNoise(Energy):
    """Draws from the global generator."""

    def score(self, batch):
        return super().score(batch) + torch.rand(len(batch))


@dataclass
class SeedsLateBatches(Energy):
    """Draws from the global generator for all batches but the first."""

    def score(self, batch):
        noise = 0 if batch._batch.numbers[0] == 0 else np.random.rand()
        return super().score(batch) + noise


@dataclass
class ReadsGlobalSeed(Energy):
    """Seeds its own generator with the global seed."""

    def score(self, batch):
        return super().score(batch) + torch.initial_seed() % 1000


@dataclass
class RandomBank(Detector):
    """Takes a random part of the bank, without a seed."""

    needs = Need.FEATURES
    fitted_on = "train"

    _bank: Tensor = field(init=False, repr=False)

    def fit(self, known):
        bank = unit(known.features)
        chosen = np.random.default_rng().permutation(len(bank))[:20]
        self._bank = bank[torch.from_numpy(chosen)]

    def score(self, batch):
        return (unit(batch.features) @ self._bank.T).amax(1)


@dataclass
class NewNoiseEveryBatch(Detector):
    """Disturbs the head anew at each call, since the kept noise is never read."""

    needs = Need.FEATURES | Need.HEAD

    _generator: torch.Generator = field(init=False, repr=False)

    def __post_init__(self):
        self._generator = torch.Generator().manual_seed(0)

    def score(self, batch):
        weight = batch.head.weight
        noise = torch.randn(weight.shape, generator=self._generator)
        return (batch.features @ (weight + noise).T).softmax(1).amax(1)


@dataclass
class RunningMean(Detector):
    """Goes on learning from the images that it scores."""

    needs = Need.FEATURES
    fitted_on = "train"

    _mean: Tensor = field(init=False, repr=False)

    def fit(self, known):
        self._mean = known.shared(feature_mean)

    def score(self, batch):
        features = batch.features.double()
        score = (features - self._mean).norm(dim=1)
        self._mean = 0.9 * self._mean + 0.1 * features.mean(0)
        return score


@dataclass
class GrowingBank(Detector):
    """Adds the bank of a second `fit` to that of the first."""

    needs = Need.FEATURES
    fitted_on = "train"

    _bank: list[Tensor] = field(init=False, default_factory=list, repr=False)

    def fit(self, known):
        self._bank.append(unit(known.features))

    def score(self, batch):
        if not self._bank:
            raise ValueError("fit it first")
        near = unit(batch.features) @ torch.cat(self._bank).T
        return near.topk(10).values[:, -1]


@dataclass
class RowAsPlace(Energy):
    """Takes the row of the batch for the image's place in its set."""

    def score(self, batch):
        return super().score(batch) + torch.arange(len(batch))


@dataclass
class PredictedInBatch(Sound):
    """Looks only at classes that some image of the batch is predicted as."""

    def score(self, batch):
        there = batch.logits.argmax(1).unique()
        return self.cosines(batch.features.double())[:, there].amin(1)


@dataclass
class SharedBackward(Detector):
    """Divides each gradient by the mean over the batch."""

    needs = Need.GRADIENT
    objectives = (largest,)

    def score(self, batch):
        norms = batch.gradient(largest).flatten(1).norm(dim=1)
        return -norms / norms.mean()


@dataclass
class CountsObjectives(Energy):
    """Depends on who else asks for a gradient."""

    def score(self, batch):
        return super().score(batch) + len(batch._batch.gradients)


@dataclass
class ForgottenField(Sound):
    """Keeps what it learns in an attribute that is no field."""

    def fit(self, known):
        super().fit(known)
        self.scale = float(known.features.norm(dim=1).mean())

    def score(self, batch):
        return super().score(batch) / self.scale


CENTRES = {}


@dataclass
class LearntElsewhere(Detector):
    """Keeps what it learns outside of itself, by its address."""

    needs = Need.FEATURES
    fitted_on = "train"

    def fit(self, known):
        CENTRES[id(self)] = weakref.ref(self), known.features.double().mean(0)

    def score(self, batch):
        owner, centre = CENTRES.get(id(self), (lambda: None, None))
        if owner() is not self:  # another one may have had this address
            return batch.log_px
        return -(batch.features.double() - centre).norm(dim=1)


@dataclass
class LearntFunction(Sound):
    """Keeps a function, which cannot be stored."""

    _near: object = field(init=False, repr=False)

    def fit(self, known):
        super().fit(known)
        means = unit(self._means)
        self._near = lambda features: unit(features) @ means.T

    def score(self, batch):
        return self._near(batch.features.double()).amax(1)


# --- signs and numbers


@dataclass
class WrongSign(Detector):
    """Returns the entropy, which is larger for unknown images."""

    def score(self, batch):
        logits = batch.logits.double()
        return torch.special.entr(logits.softmax(1)).sum(1)


@dataclass
class SquaredDistance(Sound):
    """Returns a distance, which is larger for unknown images."""

    def score(self, batch):
        return torch.cdist(unit(batch.features.double()), unit(self._means)).amin(1)


@dataclass
class ExponentThatVanishes(Sound):
    """Leaves log space: far images all have the same density 0."""

    def score(self, batch):
        away = torch.cdist(batch.features.double(), self._means).amin(1)
        return (-1e6 * away.square()).exp()


@dataclass
class GuardOutside(Detector):
    """Adds its guard behind the division, so that features of 0 give NaN."""

    needs = Need.FEATURES
    fitted_on = "train"

    _bank: Tensor = field(init=False, repr=False)

    def fit(self, known):
        self._bank = self.unit(known.features)

    def score(self, batch):
        return (self.unit(batch.features) @ self._bank.T).amax(1)

    def unit(self, features):
        return features / features.norm(dim=1, keepdim=True) + 1e-10


@dataclass
class EmptyClass(Detector):
    """Divides by the number of images of each class, which may be 0."""

    needs = Need.FEATURES | Need.LABELS
    fitted_on = "train"

    _means: Tensor = field(init=False, repr=False)

    def fit(self, known):
        labels, features = known.labels, known.features.double()
        count = known.logits.shape[1]
        hot = torch.nn.functional.one_hot(labels, count).double()
        self._means = (hot.T @ features) / hot.sum(0)[:, None]

    def score(self, batch):
        return (batch.features.double() @ self._means.T).amax(1)


@dataclass
class OneRowAClass(Detector):
    """Numbers only the classes that are there, and then reads by label."""

    needs = Need.FEATURES | Need.LABELS
    fitted_on = "train"

    _means: list[Tensor] = field(init=False, repr=False)

    def fit(self, known):
        there = known.labels.unique()
        self._means = [known.features[known.labels == k].mean(0) for k in there]

    def score(self, batch):
        own = torch.stack([self._means[k] for k in batch.logits.argmax(1)])
        return (batch.features * own).sum(1)


@dataclass
class Saturates(Detector):
    """Returns the probability itself: confident images are all 1."""

    def score(self, batch):
        return batch.logits.softmax(1).amax(1)


@dataclass
class Overflows(Detector):
    """Takes no maximum out before the exponential."""

    def score(self, batch):
        return batch.logits.exp().sum(1).log()

"""Checks that the same images get the same scores, whatever happens around them."""

from __future__ import annotations

import copy

import numpy as np
import torch

from oodbench.scoring.fitting.state import restore, state_of
from oodbench.scoring.spec import open_detector
from oodbench.testing import problem
from oodbench.testing.fault import FaultError, check
from oodbench.testing.trial import Kind, Trial, compare, fresh, usual_scores

GPU_SHARE = 0.01
"""Differences between devices that are allowed, as a share of the scores' range."""


@check
def gives_the_same_twice(kind: Kind) -> None:
    """Two instances, fitted on the same images, give equal scores, bit for bit."""
    first, second = (Trial(fresh(kind)).scores() for _ in range(2))
    remedy = "draw random numbers from a generator with a fixed seed"
    compare(first, second, "by a second instance", remedy, exact=True)


@check
def gives_the_same_again(kind: Kind) -> None:
    """Scoring other images in between changes no score."""
    trial = Trial(fresh(kind))
    first = trial.scores()
    trial.scores(problem.outside())
    remedy = "change nothing of the detector in `score`"
    compare(first, trial.scores(), "the next time", remedy, exact=True)


@check
def fits_again_to_the_same(kind: Kind) -> None:
    """Fitted a second time on the same images, it gives equal scores, bit for bit."""
    trial = Trial(fresh(kind))
    first = trial.scores()
    trial.fit()
    remedy = "begin `fit` anew, and add nothing to what an earlier `fit` has learnt"
    compare(first, trial.scores(), "after a second `fit`", remedy, exact=True)


@check
def follows_the_order_of_images(kind: Kind) -> None:
    """Images in another order, each with its number, get the same scores in it."""
    trial = Trial(fresh(kind))
    usual = trial.scores()
    order = np.random.default_rng(3).permutation(len(usual))
    moved = trial.scores_of(order).double().numpy()
    remedy = "take an image's place in its set from `batch.numbers`"
    compare(usual[order], moved, "among images in another order", remedy)


@check
def ignores_the_batch_size(kind: Kind) -> None:
    """An image's score does not depend on which images share its batch."""
    usual = usual_scores(kind)
    trial = Trial(fresh(kind), batch_size=16)
    remedy = "use nothing of the other images of a batch"
    compare(usual, trial.scores(), "in batches of 16", remedy)
    trial.batch_size = 1
    first = problem.inside()
    usual = usual[: len(first.images)]
    compare(usual, trial.scores(first), "in batches of 1", remedy)


@check
def ignores_other_detectors(kind: Kind) -> None:
    """Beside other detectors it gives the same scores as alone, bit for bit."""
    others = {
        name: open_detector(name).detector for name in ("energy", "jem_grad_norm")
    }
    found = Trial(fresh(kind), beside=others).scores()
    remedy = "read nothing but the outputs that `fit` and `score` receive"
    compare(usual_scores(kind), found, "beside others", remedy, exact=True)


@check
def leaves_shared_statistics_alone(kind: Kind) -> None:
    """Behind an equal detector, which shares its statistics, it scores as alone."""
    found = Trial(fresh(kind), beside={"equal": fresh(kind)}).scores()
    remedy = "copy what `known.shared` returns before writing into it"
    when = "behind an equal detector"
    compare(usual_scores(kind), found, when, remedy, exact=True)


@check
def can_be_stored(kind: Kind) -> None:
    """A copy, and another instance with what it has learnt, score as it does."""
    trial = Trial(fresh(kind))
    usual, one = trial.scores(), trial.detector
    remedy = "keep all that `fit` learns in fields with init=False"
    trial.detector = copy.deepcopy(one)
    compare(usual, trial.scores(), "by a copy", remedy, exact=True)
    trial.detector = fresh(kind)
    try:
        restore(trial.detector, state_of(one))
    except TypeError as error:
        why = f"what it has learnt cannot be stored, as {error}"
        raise FaultError(f"{why}; {remedy}") from error
    when = "when what it has learnt is given to another instance"
    compare(usual, trial.scores(), when, remedy, exact=True)


@check
def gives_the_same_on_a_gpu(kind: Kind) -> None:
    """Where there is a GPU, scores differ by 1 % of their range from those on the CPU.

    Without a GPU it passes.
    """
    if not torch.cuda.is_available():
        return
    usual = usual_scores(kind)
    found = Trial(fresh(kind), device="cuda").scores()
    away = np.abs(found - usual)
    if (away > GPU_SHARE * np.ptp(usual)).any():
        first = int(away.argmax())
        raise FaultError(
            f"image {first} scores {usual[first]:.9g} on the CPU and "
            f"{found[first]:.9g} on a GPU; compute in float64 what rounding changes"
        )

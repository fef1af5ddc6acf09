"""Checks that a detector does what it says, and touches nothing else."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from torch.nn.modules import module

from oodbench.base.progress import silent
from oodbench.networks.network import Network
from oodbench.scoring.batch import Need
from oodbench.scoring.containment import RandomNumbers
from oodbench.scoring.detector import Detector
from oodbench.scoring.engine import Engine
from oodbench.testing import problem
from oodbench.testing.fault import FaultError, check
from oodbench.testing.trial import (
    Kind,
    Scores,
    Trial,
    compare,
    fresh,
    network_for,
    usual_scores,
)

_ON_EVERY_MODULE = (
    module._global_forward_pre_hooks,
    module._global_forward_hooks,
    module._global_backward_pre_hooks,
    module._global_backward_hooks,
)


@check
def gives_one_finite_float_an_image(kind: Kind) -> None:
    """Scores are a float tensor `[N]` without NaN, and no guard of the engine acts.

    The engine refuses writing into what a detector receives, reading what it has not
    declared, changing settings and drawing global random numbers.
    """
    trial = Trial(fresh(kind))
    found = trial.scores_of(np.arange(len(trial.scores())))
    if not found.is_floating_point():
        raise FaultError(
            f"scores are {found.dtype}, not floats; return scores.double()"
        )


@check
def declares_what_it_reads(kind: Kind) -> None:
    """It reads all that it declares, and has `fit` if it is fitted on a split."""
    one = fresh(kind)
    for part in one.parts:
        has_fit = type(part).fit is not Detector.fit
        if has_fit != (part.fitted_on is not None):
            raise FaultError(
                "it has `fit`, which is never called; set `fitted_on`"
                if has_fit
                else f"it has no `fit` for {part.fitted_on} images; drop `fitted_on`"
            )
    usual = usual_scores(kind)
    # A shaping needs a head, but does not read it itself.
    for need in one.needs & ~Need.HEAD:
        if _scores_with(kind, needs=one.needs & ~need, usual=usual):
            raise FaultError(f"it does not read Need.{need.name}; drop it from `needs`")
    if one.objectives and _scores_with(kind, objectives=(), usual=usual):
        raise FaultError("it reads no gradient of its objectives; drop `objectives`")


def _scores_with(kind: Kind, *, usual: Scores, **declared: Any) -> bool:
    """Returns whether it scores as usual with other declarations."""
    one = fresh(kind)
    for name, value in declared.items():
        setattr(one, name, value)
    try:
        return np.array_equal(Trial(one).scores(), usual)
    except FaultError:
        return False


@check
def says_that_it_is_not_fitted(kind: Kind) -> None:
    """Without `fit` it scores anyway, or its error mentions fitting."""
    one = fresh(kind)
    engine = Engine(network_for(one), {"it": one})
    scored = engine.score(problem.inside(), has_labels=False, tell=silent)
    reason = scored.failures.get("it", "")
    if reason and "fit" not in reason.lower():
        raise FaultError(
            f"before `fit`, the error is {reason}; give fields with init=False no "
            "default, so that reading one says that fitting is missing"
        )


@check
def leaves_the_network_alone(kind: Kind) -> None:
    """Weights, training flags and hooks of the network stay as they are."""
    everywhere = [dict(hooks) for hooks in _ON_EVERY_MODULE]
    trial = Trial(fresh(kind))
    trial.scores()
    if _state(trial.network) != _state(network_for(trial.detector)):
        raise FaultError("it changes the network; work on a copy")
    if [dict(hooks) for hooks in _ON_EVERY_MODULE] != everywhere:
        for hooks, kept in zip(_ON_EVERY_MODULE, everywhere, strict=True):
            hooks.clear()
            hooks.update(kept)
        raise FaultError("it leaves a hook on every module of the process; remove it")


def _state(network: Network) -> object:
    layers = list(network.module.modules())
    hooks = [
        len(layer._forward_hooks) + len(layer._forward_pre_hooks) for layer in layers
    ]
    return network.fingerprint(), [layer.training for layer in layers], hooks


@check
def ignores_global_random_numbers(kind: Kind) -> None:
    """Global seeds change no score, and no global generator is drawn from."""
    remedy = "draw from a generator of your own"
    before, found = RandomNumbers(), []
    try:
        for seed in (0, 1):
            seed_everywhere(seed)
            seeded = RandomNumbers()
            found.append(Trial(fresh(kind), batch_size=16).scores())
            if changes := seeded.restore():
                raise FaultError(f"it {changes[0]}")
    finally:
        before.restore()
    compare(found[0], found[1], "after other global seeds", remedy, exact=True)


def seed_everywhere(seed: int) -> None:
    """Seeds the global generators of torch, Python and NumPy."""
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - what careless code would draw from

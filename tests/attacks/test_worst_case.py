"""Laws of attacks on detectors' scores."""

from dataclasses import dataclass

import pytest
import torch

from oodbench import Detector, InputError, Need, Network
from oodbench.attacks.images import Images
from oodbench.attacks.methods.pgd import PGD
from oodbench.attacks.methods.square import Square
from oodbench.attacks.objective import climb
from oodbench.attacks.suite import Suite
from oodbench.attacks.trial import masking_notes
from oodbench.attacks.worst_case import RaiseScore, worst_case
from oodbench.scoring.spec import open_detector

NAMES = ("msp", "max_logit", "energy", "entropy", "log_px", "jem_grad_norm")
REFINING = "jem_refine:steps=2:step_size=0.1"
SUITE = Suite("linf", (0.02, 0.1), PGD(5), Square(20))


@dataclass
class Cut(Detector):
    """Takes its logits off the graph, as a round trip through NumPy does."""

    def score(self, batch):
        return torch.from_numpy(batch.logits.amax(1).numpy(force=True))


@dataclass
class Failing(Detector):
    """Fails on every image."""

    def score(self, batch):
        raise RuntimeError("out of cheese")


@dataclass
class Dark(Detector):
    """Minus the mean pixel: the attacker's best is known."""

    needs = Need.INPUTS

    def score(self, batch):
        return -batch.inputs.flatten(1).mean(1)


@pytest.fixture
def outside(tiny):
    generator = torch.Generator().manual_seed(5)
    return Images(torch.rand(25, 1, 4, 4, generator=generator), torch.arange(25))


@pytest.fixture
def inside(tiny, images):
    return Images.of(images, tiny.shape)


def attacked(suite, network, detector, inside, outside):
    return worst_case(
        suite, RaiseScore(network, detector), ("out", "it"), inside, outside
    )


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("name", [*NAMES, REFINING])
def test_the_worst_case_is_never_above_the_clean_auroc(
    tiny, inside, outside, name, norm
):
    suite = Suite(norm, (0.1, 0.3), PGD(4), Square(10))
    found = attacked(suite, tiny, open_detector(name).detector, inside, outside)
    assert found.fault == ""
    assert found.auroc == sorted(found.auroc, reverse=True)
    assert found.auroc[-1] < found.auroc[0] - 0.02
    for place, rate in enumerate(found.auroc):
        assert rate <= min(rates[place] for rates in found.by_attack.values())
    for rates in found.by_attack.values():
        assert rates[0] == found.auroc[0] == max(rates)


@pytest.mark.parametrize("name", [*NAMES, REFINING])
def test_scores_with_a_graph_are_those_without_and_differences_agree(
    tiny, outside, name
):
    goal = RaiseScore(tiny, open_detector(name).detector)
    noise = outside.noise(0, "test")
    plain = goal(outside.pixels, outside, noise).gain
    slope, gain = climb(goal, outside.pixels, outside, noise)
    torch.testing.assert_close(gain, plain, atol=1e-5, rtol=1e-5)
    generator = torch.Generator().manual_seed(0)
    way = 5e-3 * torch.randn(outside.pixels.shape, generator=generator)
    ahead, behind = (
        goal(outside.pixels + sign * way, outside, noise).gain for sign in (1, -1)
    )
    expected = 2 * (slope * way).flatten(1).sum(1)
    scale = expected.abs().median().item()
    torch.testing.assert_close(
        (ahead - behind).float(), expected.float(), atol=0.05 * scale, rtol=0.05
    )


def test_a_score_that_is_linear_in_the_pixels_rises_as_far_as_the_ball_allows(
    tiny, inside, outside
):
    # Scores are minus means: each falls with its pixels to the edge of ball or box.
    goal = RaiseScore(tiny, Dark())
    trial = SUITE.trial(goal, {})
    (clean,) = trial.run(inside, SUITE.balls[:1])
    found = attacked(Suite("linf", (0.1,), PGD(20)), tiny, Dark(), inside, outside)
    best = -(outside.pixels - 0.1).clamp(min=0).flatten(1).mean(1)
    pairs = clean.strongest.gain[:, None] - best[None]
    expected = ((pairs > 0) + 0.5 * (pairs == 0)).double().mean().item()
    assert found.auroc[-1] == pytest.approx(expected)


def test_a_score_without_gradient_is_attacked_by_the_square_attack_alone(
    tiny, inside, outside
):
    found = attacked(SUITE, tiny, Cut(), inside, outside)
    assert list(found.by_attack) == ["square"]
    assert "does not require grad" in found.fault
    assert found.auroc[-1] < found.auroc[0]
    with pytest.raises(InputError, match="its score has no gradient"):
        attacked(Suite(pgd=PGD(2)), tiny, Cut(), inside, outside)


def test_a_flat_gradient_leaves_pgd_at_its_start_and_is_named(inside, outside):
    class Levels(torch.nn.Module):
        def forward(self, images):
            return 5 * (8 * images).round().flatten(1)[:, :2]

    network = Network(Levels(), (1, 4, 4), "levels")
    suite = Suite("linf", (0.3,), PGD(5), Square(300))
    detector = open_detector("max_logit").detector
    found = attacked(suite, network, detector, inside, outside)
    assert found.by_attack["square"][-1] < found.by_attack["PGD"][-1] - 0.01
    (note,) = masking_notes({"it on out": found.masking})
    assert note.startswith("Gradients of it on out are probably masked")


def test_a_detector_that_fails_says_so(tiny, inside, outside):
    with pytest.raises(RuntimeError, match="out of cheese"):
        attacked(SUITE, tiny, Failing(), inside, outside)


@dataclass
class Column(Detector):
    """Returns `[N, 1]` where `[N]` is due."""

    def score(self, batch):
        return batch.logits.amax(1, keepdim=True)


def test_scores_of_another_shape_are_refused(tiny, inside, outside):
    with pytest.raises(InputError, match=r"returns \[40, 1\] for 40 images"):
        attacked(SUITE, tiny, Column(), inside, outside)


@dataclass
class Constant(Detector):
    """The same score for all images, with a gradient of zero."""

    def score(self, batch):
        return 0 * batch.logits.amax(1)


def test_a_constant_score_stays_at_one_half_without_a_note(tiny, inside, outside):
    found = attacked(SUITE, tiny, Constant(), inside, outside)
    assert set(found.auroc) == {0.5}
    assert {(test.wins, test.losses) for test in found.masking} == {(0, 0)}


def test_batch_size_changes_no_worst_case(tiny, inside, outside):
    detector = open_detector(REFINING).detector
    rates = [
        attacked(
            Suite("linf", (0.1,), PGD(3), Square(5), batch_size=size),
            tiny,
            detector,
            inside,
            outside,
        ).auroc
        for size in (None, 7)
    ]
    assert rates[0] == pytest.approx(rates[1], abs=2e-3)

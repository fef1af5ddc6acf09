"""Laws of balls, PGD, the square attack and attacks in rising balls."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from oodbench import InputError, Network, Split
from oodbench.attacks.ball import NORMS, Ball
from oodbench.attacks.images import Images
from oodbench.attacks.methods.pgd import PGD
from oodbench.attacks.methods.square import Square
from oodbench.attacks.objective import Kept
from oodbench.attacks.robust_accuracy import (
    RobustAccuracy,
    attack_target,
    robust_accuracy,
)
from oodbench.attacks.suite import Suite
from oodbench.attacks.targets import Classifier, Misclassify, log_odds, margin
from oodbench.attacks.trial import Attempt, PairedTest, masking_notes, paired_tests

EPS = {"linf": (0.02, 0.1, 0.3), "l2": (0.1, 0.4, 1.0)}
norms = pytest.mark.parametrize("norm", NORMS)
attacks = pytest.mark.parametrize("attack", [PGD(8), Square(40)], ids=["PGD", "square"])


class Linear(torch.nn.Module):
    """Two classes on 1x4x4 images, w · x + b apart; its gradient can be forbidden."""

    def __init__(self, *, blind=False):
        super().__init__()
        self.blind = blind
        generator = torch.Generator().manual_seed(0)
        self.weight = torch.nn.Parameter(torch.randn(16, generator=generator))
        self.bias = torch.nn.Parameter(0.2 - self.weight.sum() / 2)

    def forward(self, images):
        lead = images.flatten(1) @ self.weight + self.bias
        if self.blind:
            lead = NoGradient.apply(lead)
        return torch.stack([torch.zeros_like(lead), lead], 1)


class NoGradient(torch.autograd.Function):
    @staticmethod
    def forward(context, values):
        return values.clone()

    @staticmethod
    def backward(context, gradient):
        raise AssertionError("somebody asked for a gradient")


def linear(**options):
    return Network(Linear(**options), (1, 4, 4), "linear")


def grey(network, count=12):
    """Images near grey, labelled as the network classifies them."""
    rng = np.random.default_rng(0)
    pixels = (0.5 + 0.05 * rng.standard_normal((count, 4, 4, 1))).astype(np.float32)
    images = Images.of(Split(pixels), network.shape)
    labels = network(images.pixels).logits.argmax(1)
    return Images(images.pixels, images.numbers, labels)


def margins(network, images, norm):
    """How far each image is from the border between the classes, by hand."""
    lead = network(images.pixels).logits.diff(dim=1).abs().squeeze(1)
    order = {"linf": 1, "l2": 2}[norm]
    return lead / network.module.weight.norm(order)


def attacked(suite, network, images):
    target = Classifier(network)
    return RobustAccuracy.of(target, attack_target(suite, target, images))


def read(split, network):
    return Images.of(split, network.shape)


@pytest.fixture
def labelled(tiny, images):
    """Forty random images, labelled as the tiny network classifies them."""
    seen = Images.of(images, tiny.shape)
    return Split(images.images, tiny(seen.pixels).logits.argmax(1).numpy())


@norms
@attacks
@given(eps=st.floats(0, 3), seed=st.integers(0, 99), side=st.integers(1, 5))
def test_an_attack_stays_in_ball_and_box(norm, attack, eps, seed, side):
    generator = torch.Generator().manual_seed(seed)
    # A third of the pixels lies on the border of the box.
    drawn = 3 * torch.rand(4, 3, side, 4, generator=generator) - 1
    images = Images(drawn.clamp(0, 1), torch.arange(4), torch.zeros(4).long())
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12 * side, 3))
    network = Network(module, (3, side, 4))
    ball = Ball(norm, eps)
    found = attack(Misclassify(Classifier(network)), images, ball, seed)
    assert found.shape == images.pixels.shape
    assert (ball.distance(found, images.pixels) <= eps * (1 + 1e-5) + 1e-6).all()
    assert ((found >= 0) & (found <= 1)).all()


@norms
@attacks
def test_eps_zero_is_the_identity_bit_for_bit(tiny, labelled, norm, attack):
    images = read(labelled, tiny)
    found = attack(Misclassify(Classifier(tiny)), images, Ball(norm, 0.0), 0)
    assert torch.equal(found, images.pixels)


@norms
def test_random_starts_fill_the_ball_evenly(norm):
    centre = torch.full((4000, 1, 1, 2), 0.5)
    images = Images(centre, torch.arange(4000))
    ball = Ball(norm, 0.4)
    found = ball.distance(ball.start(centre, images.noise(0, "start")), centre)
    # In two dimensions the share within r grows as r².
    assert (found <= 0.2).double().mean().item() == pytest.approx(1 / 4, abs=0.03)
    assert found.max() > 0.39


@norms
def test_pgd_finds_exactly_the_margin_of_a_linear_classifier(norm):
    network = linear()
    images = grey(network)
    goal = Misclassify(Classifier(network))
    for place, distance in enumerate(margins(network, images, norm).tolist()):
        one = images[torch.tensor([place])]
        for share, falls in ((0.999, False), (1.001, True)):
            ball = Ball(norm, share * distance)
            found = PGD(40, step_size=ball.eps)(goal, one, ball, 0)
            assert (network(found).logits.argmax(1) != one.labels).item() is falls


@norms
def test_square_needs_no_gradient_and_stops_short_of_the_margin(norm):
    network = linear(blind=True)
    images = grey(network, 3)
    distances = margins(network, images, norm)
    for share, falls in ((0.999, False), (3, True)):
        for place, distance in enumerate(distances.tolist()):
            one = images[torch.tensor([place])]
            ball = Ball(norm, share * distance)
            found = Square(200)(Misclassify(Classifier(network)), one, ball, 0)
            assert (network(found).logits.argmax(1) != one.labels).item() is falls
    with pytest.raises(AssertionError, match="asked for a gradient"):
        PGD(1)(Misclassify(Classifier(network)), images, Ball(norm, 0.1), 0)


@norms
def test_robust_accuracy_never_rises_with_eps_and_begins_clean(tiny, labelled, norm):
    found = robust_accuracy(tiny, labelled, EPS[norm][::-1], norm=norm, pgd=PGD(5))
    assert list(found) == [0.0, *EPS[norm]]
    rates = list(found.values())
    assert rates == sorted(rates, reverse=True)
    assert rates[0] == 1
    assert rates[-1] < 0.5


@norms
def test_more_restarts_never_raise_accuracy(tiny, labelled, norm):
    rates = []
    for restarts in (1, 2, 5):
        pgd = PGD(2, restarts=restarts)
        rates.append(robust_accuracy(tiny, labelled, EPS[norm], norm=norm, pgd=pgd))
    for fewer, more in pairwise(rates):
        assert all(more[eps] <= fewer[eps] for eps in fewer)


@norms
def test_results_depend_on_seed_and_number_alone(tiny, labelled, norm):
    images = read(labelled, tiny)

    def strongest(batch_size, chosen, seed=0):
        suite = Suite(
            norm, EPS[norm][:1], PGD(5), Square(30), seed=seed, batch_size=batch_size
        )
        return attack_target(suite, Classifier(tiny), chosen)[-1].strongest.pixels

    whole = strongest(None, images)
    torch.testing.assert_close(strongest(7, images), whole)
    some = torch.tensor([31, 3, 8])
    torch.testing.assert_close(strongest(2, images[some]), whole[some])
    assert not torch.equal(strongest(None, images, seed=1), whole)


def test_a_chosen_subset_follows_the_seed_and_keeps_its_numbers(tiny, images):
    first, again, other = (
        Images.of(images, tiny.shape, count=9, seed=seed) for seed in (0, 0, 1)
    )
    assert torch.equal(first.numbers, again.numbers)
    assert not torch.equal(first.numbers, other.numbers)
    assert first.numbers.tolist() == sorted(set(first.numbers.tolist()))
    assert torch.equal(first.pixels, read(images, tiny).pixels[first.numbers])
    assert first.labels.tolist() == images.labels[first.numbers.numpy()].tolist()


def test_every_image_falls_at_the_first_eps_that_its_margin_allows():
    network = linear()
    images = grey(network)
    distances = margins(network, images, "linf").tolist()
    eps = sorted(distances)[2::4]
    suite = Suite("linf", tuple(1.001 * each for each in eps), PGD(10))
    found = attacked(suite, network, images)
    for distance, fell in zip(distances, found.falls_at, strict=True):
        expected = [1.001 * each for each in eps if each >= distance]
        assert fell == (expected[0] if expected else None)
    assert found.accuracy == pytest.approx(
        [1.0, *(np.mean([each > end for each in distances]) for end in eps)]
    )


class Rounding(Linear):
    """The same on pixels of nine levels: its gradient is zero everywhere."""

    def forward(self, images):
        return super().forward((8 * images).round() / 8)


def test_masked_gradients_are_named_in_one_sentence():
    network = Network(Rounding(), (1, 4, 4), "rounding")
    images = grey(network)
    suite = Suite("linf", (0.1, 0.2), PGD(5), Square(200))
    found = attacked(suite, network, images)
    assert found.by_attack["square"][-1] < found.by_attack["PGD"][-1]
    (note,) = masking_notes({"classifier": found.masking})
    assert note.startswith("Gradients of classifier are probably masked, or PGD takes")
    plain = attacked(suite, linear(), grey(linear()))
    assert masking_notes({"classifier": plain.masking}) == []


@pytest.mark.parametrize(
    ("wins", "losses", "p"),
    [
        (0, 0, 1),
        (1, 0, 1 / 2),
        (0, 3, 1),
        (4, 0, 1 / 16),
        (5, 0, 1 / 32),
        (5, 1, 7 / 64),
        (8, 2, 56 / 1024),
        (9, 1, 11 / 1024),
        (20, 0, 2**-20),
        (3, 2, 1 / 2),
    ],
)
def test_p_values_are_binomial_sums(wins, losses, p):
    assert PairedTest.of(0.1, "square", wins, losses).p == pytest.approx(p)


def test_pairs_are_counted_against_the_best_attack_by_gradients():
    reached = {
        "PGD straight-through": [[0, 0, 0, 0, 0], [0, 0, 1, 0, 1]],
        "PGD through": [[0, 0, 0, 0, 0], [0, 0, 0, 1, 1]],
        "transfer": [[0, 0, 0, 0, 0], [1, 1, 0, 0, 1]],
        "square": [[0, 0, 0, 0, 0], [1, 0, 1, 0, 0]],
    }
    tensors = {k: [torch.tensor(r) > 0 for r in rows] for k, rows in reached.items()}
    found = list(paired_tests([0.0, 0.2], tensors))
    assert [(t.attack, t.eps, t.wins, t.losses) for t in found] == [
        ("transfer", 0.2, 2, 2),
        ("square", 0.2, 1, 2),
    ]
    assert not list(paired_tests([0.2], {"square": tensors["square"][1:]}))


@pytest.mark.parametrize(
    ("wins", "others", "named"),
    [
        (1, 0, False),  # p = 1/2: one image may fall by luck
        (4, 0, False),  # p = 1/16
        (5, 0, True),  # p = 1/32
        (5, 1, False),  # p = 2/32 after Holm's correction for two tests
        (6, 1, True),  # p = 2/64
        (6, 3, False),  # p = 4/64
    ],
)
def test_masking_is_named_at_5_percent_after_holm(wins, others, named):
    tests = {"it": [PairedTest.of(0.1, "square", wins, 0)]}
    tests["others"] = [PairedTest.of(0.1, "square", 1, 1)] * others
    notes = masking_notes(tests)
    assert len(notes) == named
    if named:
        p = (1 + others) * 2**-wins
        assert f"stronger on {wins} images and weaker on 0" in notes[0]
        assert f"p = {p:.2g} after Holm's correction for {1 + others} tests" in notes[0]


def test_log_odds_and_margin_by_hand():
    logits = torch.tensor([[0.0, math.log(3), 0.0]])
    label = torch.tensor([1])
    assert log_odds(logits, label).item() == pytest.approx(math.log(2 / 3))
    assert margin(logits, label).item() == pytest.approx(-math.log(3))
    assert margin(logits * math.nan, label).item() == math.inf
    # Where cross-entropy has no gradient left.
    far = torch.tensor([[0.0, 1000.0, 0.0]], requires_grad=True)
    (slope,) = torch.autograd.grad(log_odds(far, label).sum(), far)
    assert slope.tolist() == [[0.5, -1.0, 0.5]]


def test_nan_is_never_kept():
    kept = Kept.nothing(torch.zeros(2, 1, 1, 1))
    kept.offer(torch.ones(2, 1, 1, 1), torch.tensor([math.nan, 0.0]))
    assert kept.pixels.flatten().tolist() == [0, 1]


@norms
@given(
    eps=st.floats(0, 0.5),
    levels=st.lists(st.integers(0, 255), min_size=4, max_size=4),
    seed=st.integers(0, 99),
)
def test_rounding_to_8_bits_stays_in_the_ball(norm, eps, levels, seed):
    centre = torch.tensor(levels).view(1, 1, 2, 2) / 255
    images = Images(centre, torch.tensor([seed]))
    ball = Ball(norm, eps)
    found = ball.on_grid(ball.start(centre, images.noise(0, "start")), centre)
    assert found.dtype == torch.uint8
    assert ball.distance(found / 255, centre).item() <= eps + 1e-5


def test_rounding_loses_nothing_where_eps_is_a_level():
    centre = torch.tensor([0, 3, 100, 255]).view(1, 1, 2, 2) / 255
    ball = Ball("linf", 4 / 255)
    for sign, levels in ((-1, [0, 0, 96, 251]), (1, [4, 7, 104, 255])):
        corner = ball.project(centre + sign, centre)
        assert ball.on_grid(corner, centre).flatten().tolist() == levels


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Ball("l1", 0.1), "no norm 'l1'"),
        (lambda: Ball("l2", -0.1), "eps -0.1 must be"),
        (lambda: Ball("l2", math.nan), "eps nan must be"),
        (lambda: Suite("l0"), "no norm 'l0'"),
        (lambda: Suite(samples=0), "samples must be at least 1"),
        (lambda: Suite(batch_size=0), "batch size must be at least 1"),
        (lambda: Suite(eps=(8.0,)), "eps 8 is more than 1.* write 8/255"),
        (lambda: Suite("l2", (0.10001, 0.10002)), "both be shown as 0.1;"),
        (lambda: PGD(0), "steps of at least 1"),
        (lambda: PGD(restarts=0), "restarts of at least 1"),
        (lambda: PGD(step_size=0.0), "step size of PGD"),
        (lambda: Square(0), "at least 1 query"),
        (lambda: Square(share=0.0), r"share in \(0, 1\]"),
    ],
)
def test_bad_numbers_are_one_sentence(make, message):
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((3, 4, 4, 1), np.uint8), [0, 1, 2], "labels up to 2"),
        (np.zeros((3, 4, 4, 1), np.uint8), [0, -1, 1], "labels down to -1"),
        (np.full((3, 4, 4, 1), 2, np.float32), [0, 1, 0], r"must lie in \[0, 1\]"),
        (np.full((3, 4, 4, 1), np.nan, np.float32), [0, 1, 0], r"must lie in \[0, 1\]"),
        (np.zeros((0, 4, 4, 1), np.uint8), [], "no images to attack"),
    ],
)
def test_images_and_labels_that_do_not_fit_are_one_sentence(images, labels, message):
    split = Split(images, np.array(labels, np.int64))
    with pytest.raises(InputError, match=message):
        robust_accuracy(linear(), split, (0.1,), pgd=PGD(1))


def test_equal_radii_count_once_and_zero_is_the_clean_accuracy(tiny, labelled):
    found = robust_accuracy(tiny, labelled, (0.1, 0.0, 0.1, -0.0), pgd=PGD(2))
    assert list(found) == [0.0, 0.1]
    assert list(robust_accuracy(tiny, labelled, (0.0,))) == [0.0]


class Fickle:
    """An attack that succeeds in balls below 0.15 only."""

    def __call__(self, objective, images, ball, seed):
        moved = PGD(20)(objective, images, Ball(ball.norm, 0.1), seed)
        return moved if ball.eps < 0.15 else images.pixels


def test_a_success_at_a_smaller_eps_counts_at_larger_ones(tiny, labelled):
    images, target = read(labelled, tiny), Classifier(tiny)
    suite = Suite("linf", (0.1, 0.2, 0.3))
    trial = suite.trial(
        Misclassify(target), {"fickle": Attempt(Fickle(), Misclassify(target))}
    )
    found = RobustAccuracy.of(target, trial.run(images, suite.balls))
    assert found.accuracy[1] < found.accuracy[0]
    assert found.accuracy[1] == found.accuracy[2] == found.accuracy[3]

"""Laws of refining targets, of the gradients that attackers take, and of judging."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from oodbench import InputError, Split
from oodbench.attacks.images import Images
from oodbench.attacks.methods.pgd import PGD
from oodbench.attacks.methods.square import Square
from oodbench.attacks.objective import climb
from oodbench.attacks.robust_accuracy import (
    RobustAccuracy,
    attack_target,
    robust_accuracy,
)
from oodbench.attacks.suite import Suite
from oodbench.attacks.targets import GRADIENTS, Classifier, Misclassify, Refined
from oodbench.attacks.trial import Attempt, Trial
from oodbench.jem.sampler import SGLD
from oodbench.networks.result import Result


class Smooth:
    """Stands for a network in float64, smooth everywhere."""

    def __init__(self):
        generator = torch.Generator().manual_seed(0)
        self.first, self.second = (
            torch.randn(size, generator=generator, dtype=torch.float64)
            for size in ((4, 6), (6, 3))
        )

    def __call__(self, pixels):
        logits = (pixels.flatten(1) @ self.first).tanh() @ self.second
        return Result(logits, logits.logsumexp(1), None)


def attacked(suite, target, images):
    return RobustAccuracy.of(target, attack_target(suite, target, images))


def smooth_images():
    generator = torch.Generator().manual_seed(1)
    pixels = torch.rand(3, 1, 2, 2, generator=generator, dtype=torch.float64)
    return Images(pixels, torch.arange(3), torch.tensor([0, 1, 2]))


def draws(images):
    """The same noise at every call."""
    return images.noise(0, "test")


@pytest.fixture
def labelled(tiny, images):
    seen = Images.of(images, tiny.shape)
    return Images(seen.pixels, seen.numbers, tiny(seen.pixels).logits.argmax(1))


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_no_step_no_noise_and_one_duplicate_is_the_classifier(tiny, labelled, gradient):
    plain, noise = Classifier(tiny), draws(labelled)
    refined = Refined(tiny, SGLD(0), 1, 0.0, gradient)
    torch.testing.assert_close(
        refined.logits(labelled.pixels, noise), plain.logits(labelled.pixels, noise)
    )
    slopes = [
        climb(Misclassify(target), labelled.pixels, labelled, noise)
        for target in (plain, refined)
    ]
    torch.testing.assert_close(*slopes)


def test_logits_are_the_mean_over_noisy_duplicates(tiny, labelled):
    found = Refined(tiny, SGLD(0), 4, 0.6).logits(labelled.pixels, draws(labelled))
    drawn = draws(labelled)(labelled.pixels[:, None].expand(-1, 4, -1, -1, -1))
    # A deviation of 0.6 on pixels in [-1, 1] is one of 0.3 on pixels in [0, 1].
    noisy = [tiny(labelled.pixels + 0.3 * drawn[:, k]).logits for k in range(4)]
    assert torch.stack(noisy).std(0).min() > 0.01
    torch.testing.assert_close(found, sum(noisy) / 4)


def test_gradients_see_the_same_logits():
    images = smooth_images()
    pixels = images.pixels.requires_grad_(True)
    one, other = (
        Refined(Smooth(), SGLD(3), gradient=gradient).logits(pixels, draws(images))
        for gradient in GRADIENTS
    )
    torch.testing.assert_close(one, other)


def test_straight_through_is_the_gradient_of_an_identity_chain():
    images, network = smooth_images(), Smooth()
    target = Refined(network, SGLD(3), 1, 0.0)
    found, _ = climb(Misclassify(target), images.pixels, images, draws(images))
    end = SGLD(3)(
        lambda states: network((states + 1) / 2).log_px,
        2 * images.pixels - 1,
        draws(images),
    )
    there = Misclassify(Classifier(network))
    expected, _ = climb(there, (end + 1) / 2, images, draws(images))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("duplicates", [1, 3])
def test_through_is_the_gradient_that_differences_find(duplicates):
    images = smooth_images()
    sampler = SGLD(3, step_size=0.5, noise=0.05)
    target = Refined(Smooth(), sampler, duplicates, 0.1, "through")
    pixels = images.pixels.requires_grad_(True)
    assert torch.autograd.gradcheck(
        lambda x: target.logits(x, draws(images)), pixels, atol=1e-7
    )
    straight = Refined(Smooth(), sampler, duplicates, 0.1)
    slopes = [
        climb(Misclassify(each), pixels, images, draws(images))[0]
        for each in (target, straight)
    ]
    assert (slopes[0] - slopes[1]).abs().max() > 0.1


def test_samples_are_a_mean_over_draws_of_noise():
    images = smooth_images()
    target = Refined(Smooth(), SGLD(1, noise=0.3), 1, 0.3)
    mean, _ = climb(Misclassify(target, 4000), images.pixels, images, draws(images))
    halves = [
        climb(Misclassify(target, 2000), images.pixels, images, images.noise(k, ""))[0]
        for k in range(2)
    ]
    torch.testing.assert_close(mean, sum(halves) / 2, atol=0.1, rtol=0.1)


@dataclass
class Listening:
    """A target whose logits are its noise, and which remembers it."""

    title: str = "listening"
    copies: int = 1
    heard: list = field(default_factory=list)

    def logits(self, pixels, noise):
        self.heard.append(noise(pixels[:, 0, 0, :2]))
        return self.heard[-1] + 0 * pixels.sum()


def test_attackers_never_see_the_noise_that_they_are_judged_by(labelled):
    images = Images(labelled.pixels, labelled.numbers, labelled.labels % 2)
    judge, attacked = Listening(), Listening()
    suite = Suite("linf", (0.1, 0.2))
    attempts = {
        "PGD": Attempt(PGD(3), Misclassify(attacked)),
        "square": Attempt(Square(3), Misclassify(attacked)),
    }
    Trial(Misclassify(judge), attempts, suite.seed).run(images, suite.balls)
    by_image = {tuple(row) for row in judge.heard[0].tolist()}
    assert len(by_image) == len(images)
    for heard in judge.heard[1:]:
        assert {tuple(row) for row in heard.tolist()} <= by_image
    for heard in attacked.heard:
        assert not {tuple(row) for row in heard.tolist()} & by_image


def test_a_refining_target_is_attacked_by_both_gradients_and_by_transfer(
    tiny, labelled
):
    suite = Suite("linf", (0.05, 0.2), PGD(5), Square(20))
    found = attacked(suite, Refined(tiny, SGLD(2, noise=0.01)), labelled)
    names = {"PGD straight-through", "PGD through", "transfer", "square"}
    assert set(found.by_attack) == names
    for place, rate in enumerate(found.accuracy):
        assert rate <= min(rates[place] for rates in found.by_attack.values())
    plain = attacked(suite, Refined(tiny, SGLD(0)), labelled)
    assert set(plain.by_attack) == {"PGD", "transfer", "square"}
    assert plain.target["title"] == "refined-0"


def test_batch_size_changes_no_refining_target(tiny, labelled):
    rates = []
    for batch_size in (None, 10):
        suite = Suite("l2", (0.3,), PGD(3), Square(10), batch_size=batch_size)
        found = attacked(suite, Refined(tiny, SGLD(1)), labelled)
        rates.append((found.by_attack, found.falls_at))
    assert rates[0] == rates[1]


def test_memory_that_runs_out_halves_the_batches(tiny, labelled, caplog):
    class Greedy(Classifier):
        def logits(self, pixels, noise):
            if len(pixels) > 10:
                raise MemoryError
            return super().logits(pixels, noise)

    suite = Suite("linf", (0.1,), PGD(3))
    found, expected = (
        attacked(suite, kind(tiny), labelled) for kind in (Greedy, Classifier)
    )
    assert found.accuracy == expected.accuracy
    assert "batches of 10" in caplog.text


def test_attacks_leave_the_global_random_numbers_alone(tiny, labelled):
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    suite = Suite("linf", (0.1,), PGD(2), Square(5))
    attack_target(suite, Refined(tiny, SGLD(1)), labelled)
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002


def test_images_without_labels_and_bad_targets_are_one_sentence(tiny, images):
    with pytest.raises(InputError, match="without labels"):
        robust_accuracy(tiny, Split(images.images), (0.1,))
    with pytest.raises(InputError, match="at least 1 duplicate"):
        Refined(tiny, duplicates=0)
    with pytest.raises(InputError, match="must be at least 0"):
        Refined(tiny, input_noise=-1.0)

"""Identities of energies, in float64, and a mixture of Gaussians as the oracle."""

import math

import pytest
import torch
from torch.autograd.functional import jacobian

from oodbench import Joint
from oodbench.jem import energy
from oodbench.jem.energy import free_energy, gradient, of_class

EXACT = {"rtol": 0, "atol": 1e-12}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def random(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def conditional(x):
    """Logits of a small network in float64; log p(x) is their LogSumExp."""
    hidden = torch.tanh(x @ random(3, 5, seed=1))
    return Joint.of(hidden @ random(5, 4, seed=2))


def unconditional(x):
    """The same with a head of its own for log p(x)."""
    hidden = torch.tanh(x @ random(3, 5, seed=1))
    return Joint(hidden @ random(5, 4, seed=2), hidden @ random(5, seed=3))


class Mixture:
    """Logits log π_y − ‖x − μ_y‖² / 2σ²: a classifier whose density is known."""

    def __init__(self, sigma=0.5):
        self.means = torch.tensor([[-1.0, 0.0], [1.0, 0.5], [0.0, 2.0]]).double()
        self.weights = torch.tensor([0.5, 0.3, 0.2]).double()
        self.sigma = sigma

    def __call__(self, x):
        squares = torch.cdist(x, self.means).square()
        return Joint.of(self.weights.log() - squares / (2 * self.sigma**2))

    @property
    def components(self):
        scale = torch.full((3, 2), self.sigma, dtype=torch.float64)
        return torch.distributions.Independent(
            torch.distributions.Normal(self.means, scale), 1
        )

    @property
    def truth(self):
        return torch.distributions.MixtureSameFamily(
            torch.distributions.Categorical(self.weights), self.components
        )


@pytest.mark.parametrize("model", [conditional, unconditional])
def test_the_parts_of_the_joint_density_add_up(model):
    joint = model(random(20, 3))
    p_xy, p_x = energy.log_p_xy(joint), energy.log_p_x(joint)
    torch.testing.assert_close(p_xy.logsumexp(1), p_x, **EXACT)
    torch.testing.assert_close(
        p_xy - p_x[:, None], energy.log_p_y_given_x(joint), **EXACT
    )


def test_a_conditional_models_joint_density_is_its_logits():
    joint = conditional(random(20, 3))
    torch.testing.assert_close(energy.log_p_xy(joint), joint.logits, **EXACT)
    assert torch.equal(joint.log_px, joint.logits.logsumexp(1))


def test_class_shares_turn_the_joint_density_into_that_of_a_class():
    joint = conditional(random(20, 3))
    shares = torch.tensor([0.1, 0.2, 0.3, 0.4]).double()
    p_x_given_y = energy.log_p_x_given_y(joint, shares.log())
    whole = (p_x_given_y + shares.log()).logsumexp(1)
    torch.testing.assert_close(whole, joint.log_px, **EXACT)
    alike = energy.log_p_x_given_y(joint) - energy.log_p_xy(joint)
    torch.testing.assert_close(alike, torch.full_like(alike, math.log(4)), **EXACT)


@pytest.mark.parametrize("model", [conditional, unconditional])
def test_gradients_of_the_parts_add_up(model):
    x, labels = random(20, 3), torch.arange(20) % 4
    of_xy = gradient(lambda x: of_class(energy.log_p_xy(model(x)), labels), x)
    of_x = gradient(lambda x: energy.log_p_x(model(x)), x)
    of_y = gradient(lambda x: of_class(energy.log_p_y_given_x(model(x)), labels), x)
    torch.testing.assert_close(of_xy, of_x + of_y, **EXACT)


def test_gradient_of_log_px_is_the_expected_gradient_of_the_logits():
    x = random(5, 3)
    by_logit = [
        gradient(lambda x, y=y: conditional(x).logits[:, y], x) for y in (0, 1, 2, 3)
    ]
    p = conditional(x).logits.softmax(1)
    expected = sum(p[:, y, None] * by_logit[y] for y in range(4))
    found = gradient(lambda x: conditional(x).log_px, x)
    torch.testing.assert_close(found, expected, **EXACT)
    of_classes = [
        gradient(lambda x, y=y: energy.log_p_y_given_x(conditional(x))[:, y], x)
        for y in range(4)
    ]
    mean = sum(p[:, y, None] * of_classes[y] for y in range(4))
    torch.testing.assert_close(mean, torch.zeros_like(mean), **EXACT)


def test_a_gradient_row_depends_on_its_own_image_alone():
    x = random(6, 3)
    before = gradient(lambda x: conditional(x).log_px, x)
    x[2] += 1
    after = gradient(lambda x: conditional(x).log_px, x)
    changed = (before != after).any(dim=1)
    assert changed.tolist() == [False, False, True, False, False, False]
    assert (before != 0).any(dim=1).all()


def test_gradient_agrees_with_the_jacobian_and_leaves_images_alone():
    x = random(4, 3)
    full = jacobian(lambda x: conditional(x).log_px, x)
    found = gradient(lambda x: conditional(x).log_px, x)
    torch.testing.assert_close(found, full[range(4), range(4)], **EXACT)
    assert not x.requires_grad
    with torch.no_grad():
        assert torch.equal(gradient(lambda x: conditional(x).log_px, x), found)


def test_a_function_added_to_all_logits_moves_log_px_but_no_class():
    x = random(6, 3)
    plain, shifted = conditional(x), Joint.of(conditional(x).logits + x.sum(1)[:, None])
    same = [energy.log_p_y_given_x(joint) for joint in (plain, shifted)]
    torch.testing.assert_close(*same, **EXACT)
    torch.testing.assert_close(shifted.log_px - plain.log_px, x.sum(1), **EXACT)


def test_log_px_of_a_mixture_is_its_density_up_to_a_constant():
    mixture, x = Mixture(), random(50, 2)
    constant = energy.log_p_x(mixture(x)) - mixture.truth.log_prob(x)
    torch.testing.assert_close(constant, constant[:1].expand(50), **EXACT)
    area = math.log(2 * math.pi * mixture.sigma**2)
    assert constant[0].item() == pytest.approx(area)


def test_a_mixtures_posterior_is_that_of_bayes():
    mixture, x = Mixture(), random(50, 2)
    of_class_ = mixture.components.log_prob(x[:, None])
    bayes = (of_class_ + mixture.weights.log()).log_softmax(1)
    torch.testing.assert_close(energy.log_p_y_given_x(mixture(x)), bayes, **EXACT)
    conditional_ = energy.log_p_x_given_y(mixture(x), mixture.weights.log())
    constant = conditional_ - of_class_
    torch.testing.assert_close(constant, constant[:1, :1].expand(50, 3), **EXACT)


def test_gradient_of_a_mixture_is_its_score():
    mixture, x = Mixture(), random(50, 2)
    truth = gradient(mixture.truth.log_prob, x)
    found = gradient(lambda x: mixture(x).log_px, x)
    torch.testing.assert_close(found, truth, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_log_px_is_summed_up_in_float32_or_better(dtype):
    joint = Joint.of(torch.tensor([[100.0, 99.0]], dtype=dtype))
    assert joint.log_px.dtype == torch.promote_types(dtype, torch.float32)
    assert joint.log_px.item() == pytest.approx(100 + math.log1p(math.exp(-1)))


def test_free_energy_of_equal_logits_is_minus_log_of_their_number():
    assert free_energy(torch.zeros(1, 8)).item() == pytest.approx(-math.log(8))


def test_free_energy_lies_between_the_maximum_logit_and_log_k_above_it():
    logits = random(50, 7)
    score = -free_energy(logits)
    assert (score >= logits.amax(1)).all()
    assert (score <= logits.amax(1) + math.log(7)).all()


def test_free_energy_tends_to_the_maximum_logit_as_it_cools():
    logits = random(50, 7)
    for temperature in (1.0, 0.1, 0.001):
        rest = -free_energy(logits, temperature) - logits.amax(1)
        assert (rest >= -1e-12).all()
        assert (rest <= temperature * math.log(7)).all()

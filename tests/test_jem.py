"""Laws of energies, sampler, replay buffer and trainer."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from oodbench.errors import InputError
from oodbench.jem.buffer import ReplayBuffer
from oodbench.jem.energy import free_energy
from oodbench.jem.sampler import SGLD
from oodbench.jem.train import Recipe, Trainer


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def log_gaussian(variance):
    return lambda x: -x.square().flatten(1).sum(1) / (2 * variance)


def test_free_energy_of_equal_logits_is_minus_log_of_their_number():
    assert free_energy(torch.zeros(1, 8)).item() == pytest.approx(-math.log(8))


def test_free_energy_lies_between_the_maximum_logit_and_log_k_above_it():
    logits = torch.randn(50, 7, generator=generator(), dtype=torch.float64)
    score = -free_energy(logits)
    assert (score >= logits.amax(1)).all()
    assert (score <= logits.amax(1) + math.log(7)).all()


def test_chain_without_gradient_and_noise_stays():
    x = torch.randn(4, 3, generator=generator())
    sampler = SGLD(steps=5, step_size=0.0, noise=0.0)
    assert torch.equal(sampler(log_gaussian(1.0), x, generator()), x)


def test_chain_without_noise_climbs_log_px():
    x = torch.randn(4, 3, generator=generator())
    density = log_gaussian(1.0)
    moved = SGLD(steps=3, step_size=0.1, noise=0.0)(density, x, generator())
    assert (density(moved) > density(x)).all()


def test_chain_leaves_its_start_as_it_is():
    x = torch.randn(4, 3, generator=generator())
    before = x.clone()
    SGLD(steps=2)(log_gaussian(1.0), x, generator())
    assert torch.equal(x, before)
    assert not x.requires_grad


@pytest.mark.parametrize("variance", [1.0, 4.0])
def test_chain_on_a_gaussian_has_the_stationary_variance_of_the_recurrence(variance):
    # x ← (1 − a/σ²) x + s n has variance s²σ⁴ / (a (2σ² − a)).
    a, s = 0.5, 0.1
    expected = s**2 * variance**2 / (a * (2 * variance - a))
    sampler = SGLD(steps=150, step_size=a, noise=s)
    x = sampler(log_gaussian(variance), torch.zeros(2000, 10), generator())
    assert x.var().item() == pytest.approx(expected, rel=0.03)


def buffer(size=50, reinit=0.0):
    return ReplayBuffer(size, (1, 2, 2), reinit, generator())


def test_buffer_starts_uniform_between_minus_one_and_one():
    states = buffer(5000).states
    assert states.abs().max() <= 1
    assert states.mean().item() == pytest.approx(0, abs=0.02)
    assert states.var().item() == pytest.approx(1 / 3, rel=0.03)


def test_only_drawn_places_change():
    chains = buffer()
    before = chains.states.clone()
    drawn, places = chains.draw(8)
    assert torch.equal(drawn, before[places])
    chains.keep(torch.full_like(drawn, 9.0), places)
    untouched = torch.ones(50, dtype=torch.bool)
    untouched[places] = False
    assert torch.equal(chains.states[untouched], before[untouched])
    assert (chains.states[places] == 9).all()


@pytest.mark.parametrize(("reinit", "kept"), [(0.0, 64), (1.0, 0)])
def test_reinitialisation_never_and_always(reinit, kept):
    chains = buffer(reinit=reinit)
    chains.states[:] = 5.0
    drawn, _ = chains.draw(64)
    assert int((drawn == 5).all(dim=(1, 2, 3)).sum()) == kept


def test_reinitialisation_happens_as_often_as_said():
    chains = buffer(reinit=0.25)
    chains.states[:] = 5.0
    drawn, _ = chains.draw(4000)
    share = (drawn != 5).all(dim=(1, 2, 3)).double().mean().item()
    assert share == pytest.approx(0.25, abs=0.03)


def problem():
    """Two blobs that a line separates, with labels."""
    labels = torch.arange(200) % 2
    centres = torch.tensor([[-0.5, -0.5], [0.5, 0.5]])
    noise = 0.1 * torch.randn(200, 2, generator=generator())
    return centres[labels] + noise, labels


def trained(recipe):
    images, labels = problem()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        module = nn.Sequential(nn.Linear(2, 16), nn.SiLU(), nn.Linear(16, 2))
    seen = []
    Trainer(module, images, labels, recipe).run(seen.append)
    return module, seen


SHORT = Recipe(iterations=60, learning_rate=1e-2, warmup=5, buffer_size=100)


@pytest.mark.parametrize("objective", ["ce", "jem"])
def test_training_learns_a_problem_that_a_line_solves(objective):
    module, seen = trained(replace(SHORT, objective=objective))
    images, labels = problem()
    assert (module(images).argmax(1) == labels).double().mean() > 0.97
    assert [progress.iteration for progress in seen] == list(range(60))
    assert not module.training


def test_the_same_seed_gives_the_same_weights_and_another_gives_others():
    first, second, other = (
        torch.cat(
            [w.flatten() for w in trained(replace(SHORT, seed=seed))[0].parameters()]
        )
        for seed in (0, 0, 1)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_a_jem_prefers_data_to_uniform_noise():
    module, _ = trained(replace(SHORT, iterations=200))
    images, _ = problem()
    noise = torch.empty(200, 2).uniform_(-1, 1, generator=generator(1))
    log_px = [module(x).logsumexp(1).mean().item() for x in (images, noise)]
    assert log_px[0] > log_px[1]


def test_training_leaves_the_global_random_state_alone():
    images, labels = problem()
    trainer = Trainer(nn.Linear(2, 2), images, labels, replace(SHORT, iterations=3))
    before = torch.random.get_rng_state()
    trainer.run()
    assert torch.equal(torch.random.get_rng_state(), before)


def test_divergence_is_one_sentence():
    reckless = replace(SHORT, learning_rate=1e30, warmup=0)
    with pytest.raises(InputError, match=r"diverged at iteration \d+: the loss is"):
        trained(reckless)


def test_rate_warms_up_linearly_and_goes_to_zero():
    recipe = Recipe(iterations=100, warmup=10, learning_rate=1.0, decay="cosine")
    assert recipe.rate(0) == pytest.approx(0.1)
    assert recipe.rate(50) == pytest.approx(0.5)
    assert recipe.rate(99) == pytest.approx(0, abs=1e-3)
    assert replace(recipe, decay="none").rate(99) == 1.0

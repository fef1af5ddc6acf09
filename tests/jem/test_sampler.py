"""Laws of SGLD, of its noise, and of the replay buffer."""

import math

import pytest
import torch

from oodbench import InputError
from oodbench.jem.sampler import SGLD, ChainNoise, shared_noise
from oodbench.jem.training.chains import ReplayBuffer
from oodbench.jem.training.starts import Uniform


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def noise(seed=0):
    return shared_noise(generator(seed))


def log_gaussian(variance):
    return lambda x: -x.square().flatten(1).sum(1) / (2 * variance)


def test_chain_without_gradient_and_noise_stays():
    x = torch.randn(4, 3, generator=generator())
    sampler = SGLD(steps=5, step_size=0.0, noise=0.0)
    assert torch.equal(sampler(log_gaussian(1.0), x, noise()), x)


def test_chain_without_noise_climbs_log_px():
    x = torch.randn(4, 3, generator=generator())
    density = log_gaussian(1.0)
    moved = SGLD(steps=3, step_size=0.1, noise=0.0)(density, x, noise())
    assert (density(moved) > density(x)).all()


@pytest.mark.parametrize("steps", [0, 2])
def test_chain_leaves_its_start_as_it_is(steps):
    x = torch.randn(4, 3, generator=generator())
    before = x.clone()
    found = SGLD(steps=steps)(log_gaussian(1.0), x, noise())
    found += 1
    assert torch.equal(x, before)
    assert not x.requires_grad


def test_a_chain_shows_each_state_on_its_way():
    x = torch.randn(4, 3, generator=generator())
    sampler = SGLD(steps=6, step_size=0.1)
    states = list(sampler.chain(log_gaussian(1.0), x, noise()))
    assert len(states) == 6
    assert torch.equal(states[-1], sampler(log_gaussian(1.0), x, noise()))
    half = SGLD(steps=3, step_size=0.1)(log_gaussian(1.0), x, noise())
    assert torch.equal(states[2], half)


def test_normalised_steps_are_equally_long_and_point_up():
    x = torch.randn(4, 3, 2, generator=generator())
    sampler = SGLD(steps=1, step_size=0.2, noise=0.0, normalised=True)
    moved = sampler(log_gaussian(1.0), x, noise()) - x
    assert moved.flatten(1).norm(dim=1).tolist() == pytest.approx([0.2] * 4)
    for way, place in zip(moved, x, strict=True):
        torch.testing.assert_close(way / way.norm(), -place / place.norm())
    flat = sampler(lambda states: 0 * states.flatten(1).sum(1), x, noise())
    assert torch.equal(flat, x)


def settled(sampler, variance):
    x = torch.zeros(4000, 10)
    return sampler(log_gaussian(variance), x, noise()).var().item()


@pytest.mark.parametrize("variance", [1.0, 4.0])
def test_decoupled_chain_has_the_stationary_variance_of_the_recurrence(variance):
    # x ← (1 − a/σ²) x + s n has variance s²σ⁴ / (a (2σ² − a)).
    a, s = 0.5, 0.1
    expected = s**2 * variance**2 / (a * (2 * variance - a))
    sampler = SGLD(steps=150, step_size=a, noise=s)
    assert settled(sampler, variance) == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize(("alpha", "variance"), [(0.5, 1.0), (0.1, 1.0), (0.5, 0.25)])
def test_coupled_chain_has_the_stationary_variance_of_eq_3(alpha, variance):
    # x ← (1 − α/2σ²) x + √α n has variance σ² / (1 − α/4σ²).
    expected = variance / (1 - alpha / (4 * variance))
    sampler = SGLD(steps=250, step_size=alpha / 2, noise=None)
    assert settled(sampler, variance) == pytest.approx(expected, rel=0.03)


def test_temperature_widens_a_coupled_chain():
    cold, hot = (
        settled(SGLD(steps=250, step_size=0.01, noise=None, temperature=t), 0.25)
        for t in (1.0, 2.0)
    )
    assert hot == pytest.approx(2 * cold, rel=0.05)


def test_effective_temperature_of_the_papers_code_is_5e_5():
    assert SGLD().effective_temperature == pytest.approx(5e-5)
    coupled = SGLD(step_size=0.3, noise=None, temperature=0.7)
    assert coupled.deviation == pytest.approx(math.sqrt(0.42))
    assert coupled.effective_temperature == pytest.approx(0.7)


def test_clip_bounds_a_step_and_clamp_the_pixels():
    x = torch.full((1, 2), 10.0)
    steep = log_gaussian(1e-3)
    clipped = SGLD(steps=1, noise=0.0, clip=0.5)(steep, x, noise())
    assert torch.equal(clipped, torch.full((1, 2), 9.5))
    clamped = SGLD(steps=1, noise=0.0, clip=0.5, clamp=1.0)(steep, x, noise())
    assert torch.equal(clamped, torch.ones(1, 2))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": -1}, "takes 0 steps or more, not -1"),
        ({"step_size": -1.0}, "step size -1.0 must be at least 0"),
        ({"noise": math.nan}, "noise nan must be at least 0"),
        ({"noise": None, "temperature": 0.0}, "temperature 0.0 must be positive"),
        ({"temperature": 2.0}, "noise 0.01 already sets the temperature 5e-05"),
        ({"clamp": 0.0}, "clamp must be positive, got 0.0"),
        ({"clip": -1.0}, "clip must be positive, got -1.0"),
    ],
)
def test_numbers_out_of_range_are_one_sentence(options, message):
    with pytest.raises(InputError, match=message):
        SGLD(**options)


def test_a_chains_noise_depends_on_the_seed_and_its_number_alone(device):
    like = torch.empty(3, 2, 2, device=device)
    together, alone = ChainNoise(5, [7, 8, 9]), ChainNoise(5, [8])
    for _ in range(3):
        assert torch.equal(together(like)[1:2], alone(like[:1]))
    assert torch.equal(together.uniform(like)[1:2], alone.uniform(like[:1]))
    other = ChainNoise(6, [8])
    assert not torch.equal(other(like[:1]), ChainNoise(5, [8])(like[:1]))


def test_chain_noise_is_standard_normal_and_uniform():
    like = torch.empty(200, 50, dtype=torch.float64)
    drawn = ChainNoise(0, range(200))(like)
    assert drawn.dtype == torch.float64
    assert drawn.mean().item() == pytest.approx(0, abs=0.03)
    assert drawn.var().item() == pytest.approx(1, rel=0.03)
    flat = ChainNoise(0, range(200)).uniform(like)
    assert flat.abs().max() <= 1
    assert flat.var().item() == pytest.approx(1 / 3, rel=0.03)


def buffer(size=50, reinit=0.0, classes=1):
    return ReplayBuffer(size, Uniform((1, 2, 2)), reinit, generator(), classes)


def test_buffer_starts_uniform_between_minus_one_and_one():
    states = buffer(5000).states
    assert states.abs().max() <= 1
    assert states.mean().item() == pytest.approx(0, abs=0.02)
    assert states.var().item() == pytest.approx(1 / 3, rel=0.03)


def test_only_drawn_places_change():
    chains = buffer()
    before = chains.states.clone()
    drawn, places = chains.starts(8)
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
    drawn, _ = chains.starts(64)
    assert int((drawn == 5).all(dim=(1, 2, 3)).sum()) == kept


def test_reinitialisation_happens_as_often_as_said():
    chains = buffer(reinit=0.25)
    chains.states[:] = 5.0
    drawn, _ = chains.starts(4000)
    share = (drawn != 5).all(dim=(1, 2, 3)).double().mean().item()
    assert share == pytest.approx(0.25, abs=0.03)


def test_chains_of_a_class_stay_in_its_block():
    chains = buffer(size=43, classes=4)  # blocks of 10, three places unused
    labels = torch.arange(4).repeat(100)
    _, places = chains.starts(400, labels)
    assert torch.equal(places // 10, labels)
    assert set(places.tolist()) == set(range(40))


def test_a_buffer_smaller_than_its_classes_is_one_sentence():
    with pytest.raises(InputError, match="3 places for 4 classes"):
        buffer(size=3, classes=4)

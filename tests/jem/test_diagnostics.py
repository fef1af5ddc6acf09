"""Laws of the diagnostics of p(x), with values that are known exactly."""

import json
import math

import numpy as np
import pytest
import torch
from scipy.stats import norm

import oodbench
from oodbench import Dataset, InputError, Shape, Split
from oodbench.jem.diagnostics.ais import AIS, reflected
from oodbench.jem.diagnostics.chains import PIXELS, trace
from oodbench.jem.diagnostics.convergence import effective_samples, r_hat
from oodbench.jem.energy import log_density
from oodbench.jem.sampler import SGLD, ChainNoise
from oodbench.results.schema import DIAGNOSIS, fits
from oodbench.scoring.batches import Batches

# --- convergence


def autoregressive(correlation, chains=8, steps=2000, seed=0):
    """Chains x ← correlation · x + n with n ~ N(0, 1), from their own distribution."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((chains, steps))
    noise[:, 0] /= math.sqrt(1 - correlation**2)
    values = noise.copy()
    for step in range(1, steps):
        values[:, step] += correlation * values[:, step - 1]
    return values


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9, -0.3])
def test_effective_samples_of_an_autoregression(correlation):
    values = autoregressive(correlation)
    exact = values.size * (1 - correlation) / (1 + correlation)
    assert effective_samples(values) == pytest.approx(exact, rel=0.15)
    assert 1 <= r_hat(values) + 1e-3 < 1.02


def naive_effective_samples(values):
    """The same by sums over lags, of chains that are split and ranked here."""
    half = values.shape[1] // 2
    split = np.concatenate([values[:, :half], values[:, -half:]])
    order = np.argsort(np.argsort(split, axis=None)).reshape(split.shape) + 1
    z = norm.ppf((order - 0.375) / (split.size + 0.25))
    count, steps = z.shape
    centred = z - z.mean(1, keepdims=True)
    lags = [
        np.mean([one[: steps - lag] @ one[lag:] / steps for one in centred])
        for lag in range(steps)
    ]
    within = lags[0] * steps / (steps - 1)
    total = lags[0] + z.mean(1).var(ddof=1)
    rho = [1.0] + [1 - (within - lag) / total for lag in lags[1:]]
    time, least = -1.0, math.inf
    for pair in range(steps // 2):
        least = min(least, rho[2 * pair] + rho[2 * pair + 1])
        if least < 0:
            break
        time += 2 * least
    return count * steps / time


@pytest.mark.parametrize("steps", [20, 41])
def test_effective_samples_are_those_of_sums_over_lags(steps):
    values = autoregressive(0.7, 4, steps)
    found = effective_samples(values)
    assert found == pytest.approx(naive_effective_samples(values), rel=1e-9)


def test_r_hat_of_chains_that_differ_in_mean_or_spread_or_over_time():
    alike = autoregressive(0.0, 4, 500)
    apart, wide, drifting = alike.copy(), alike.copy(), alike.copy()
    apart[0] += 2
    wide[0] *= 5
    drifting += np.linspace(0, 3, 500)
    assert r_hat(alike) < 1.01
    assert min(map(r_hat, (apart, wide, drifting))) > 1.05


def test_r_hat_of_two_levels_is_the_ratio_of_variances():
    """Of the ranks' two levels ±z one can write R-hat down."""
    values = np.array([[0, 0, 0, 1, 0, 0, 0, 1], [1, 1, 1, 0, 1, 1, 1, 0]])
    # Each half has three of one level and one of the other: means ±z/2, variance z²;
    # the folded values are all equal.
    between = np.var([0.5, 0.5, -0.5, -0.5], ddof=1)
    assert r_hat(values) == pytest.approx(math.sqrt(3 / 4 + between), rel=1e-12)


def test_only_ranks_matter_and_each_value_has_its_own():
    values = autoregressive(0.5, 4, 100)
    both = np.stack([values, np.exp(values)], axis=2)
    for measure in (r_hat, effective_samples):
        found = measure(both)
        assert found.shape == (2,)
        assert found[0] == pytest.approx(measure(values))
    ess = effective_samples(both)
    assert ess[0] == pytest.approx(ess[1])


def test_constant_chains_have_no_r_hat_and_stuck_ones_an_infinite_one():
    assert np.isnan(r_hat(np.ones((4, 20))))
    assert np.isnan(effective_samples(np.ones((4, 20))))
    stuck = np.repeat([[0.0], [1.0], [2.0]], 20, axis=1)
    assert r_hat(stuck) == np.inf
    assert effective_samples(stuck) < 2 * len(stuck)
    with pytest.raises(InputError, match="3 steps are too short"):
        r_hat(np.ones((4, 3)))
    with pytest.raises(InputError, match="not finite"):
        r_hat(np.full((4, 20), np.nan))


# --- log Z


DEVIATION, CENTRES = 0.25, torch.tensor([[-0.4, 0.4, 0.0], [0.9, -0.4, 0.2]])
SHARES = (0.3, 0.7)


def mixture(states):
    """log Σ_y π_y exp(−‖x − μ_y‖² / 2σ²), the LogSumExp of a mixture's logits."""
    squares = (states[:, None] - CENTRES.to(states)).square().sum(2)
    logits = torch.tensor(SHARES).to(states).log() - squares / (2 * DEVIATION**2)
    return logits.logsumexp(1)


def masses():
    """What each Gaussian has inside the box, as pixels in [0, 1]."""
    ends = [(side - CENTRES.double()) / DEVIATION for side in (1, -1)]
    inside = torch.special.ndtr(ends[0]) - torch.special.ndtr(ends[1])
    sizes = inside * DEVIATION * math.sqrt(2 * math.pi) / 2
    return torch.tensor(SHARES, dtype=torch.float64) * sizes.prod(1)


def exact_samples(count):
    """Samples of the mixture inside the box."""
    generator = torch.Generator().manual_seed(5)
    ends = torch.stack([(side - CENTRES.double()) / DEVIATION for side in (-1, 1)])
    low, high = torch.special.ndtr(ends)
    which = torch.multinomial(masses(), count, True, generator=generator)
    share = torch.rand(count, 3, generator=generator, dtype=torch.float64)
    quantiles = torch.special.ndtri(low[which] + share * (high - low)[which])
    return CENTRES[which].double() + DEVIATION * quantiles


@pytest.mark.parametrize("exact", [True, False])
def test_log_z_of_a_mixture_is_inside_its_interval(exact):
    log_z, count = math.log(masses().sum()), 150
    like = torch.zeros(count, 3, dtype=torch.float64)
    samples = exact_samples(count) if exact else None
    found = AIS(120).bracket(mixture, like, samples=samples)
    low, high = found.interval
    assert low < log_z < high < low + 0.8
    for bound in (found.lower, found.upper):
        assert bound.value == pytest.approx(log_z, abs=3 * bound.error)
        assert 0.02 < bound.error < 0.1
    # The heavier Gaussian reaches beyond the box, where no sample is.
    assert found.ends.abs().max() <= 1
    share = (found.ends[:, 0] > 0.25).double().mean().item()
    assert share == pytest.approx(float(masses()[1] / masses().sum()), abs=0.12)


def test_log_z_of_a_network_is_that_of_a_fine_grid():
    generator = torch.Generator().manual_seed(3)
    first, second = (
        2 * torch.randn(*shape, generator=generator, dtype=torch.float64)
        for shape in ((2, 6), (6, 3))
    )

    def density(states):
        return (2 * (2 * states @ first).tanh() @ second).logsumexp(1)

    middles = (torch.arange(400, dtype=torch.float64) + 0.5) / 200 - 1
    values = density(torch.cartesian_prod(middles, middles))
    log_z = float(values.logsumexp(0)) - 2 * math.log(400)
    found = AIS(150).bracket(density, torch.zeros(100, 2, dtype=torch.float64))
    low, high = found.interval
    assert values.max() - values.min() > 12
    assert low < log_z < high < low + 0.8


def test_bounds_of_one_temperature_are_those_of_importance_sampling():
    """Forward, the weights are p(x) of uniform noise; back, those of moved samples."""
    like = torch.zeros(200, 3, dtype=torch.float64)
    found = AIS(1).bracket(mixture, like)
    noise = ChainNoise(0, range(200)).uniform(like)
    weights = mixture(noise).exp()
    assert found.lower.value == pytest.approx(weights.mean().log().item())
    error = weights.std() / weights.mean() / math.sqrt(200)
    assert found.lower.error == pytest.approx(error.item())
    assert found.upper.value > found.lower.value


def test_a_constant_has_log_z_of_its_value_and_uniform_ends():
    like = torch.zeros(300, 2, dtype=torch.float64)
    found = AIS(10).bracket(lambda x: 0 * x.sum(1) + 7, like)
    assert found.interval == pytest.approx((7, 7))
    assert (found.accepted, found.lower.effective) == (1, pytest.approx(300))
    assert found.ends.var().item() == pytest.approx(1 / 3, rel=0.15)


def test_a_reflection_keeps_states_inside_and_can_be_undone():
    generator = torch.Generator().manual_seed(0)
    states = torch.rand(500, generator=generator, dtype=torch.float64) * 2 - 1
    momentum = 5 * torch.randn(500, generator=generator, dtype=torch.float64)
    there, turned = reflected(states + momentum, momentum)
    assert there.abs().max() <= 1
    back, again = reflected(there - turned, -turned)
    torch.testing.assert_close(back, states)
    torch.testing.assert_close(-again, momentum)


def test_weights_that_are_not_finite_are_one_sentence():
    with pytest.raises(InputError, match="weights of AIS are not finite"):
        AIS(2).bracket(lambda x: x.sum(1) / 0, torch.ones(2, 1))
    with pytest.raises(InputError, match="not 0 and 3"):
        AIS(0)


# --- the whole


def test_traces_begin_at_the_starts_and_do_not_depend_on_the_batch(tiny):
    starts = torch.linspace(-1, 1, 5 * 16).view(5, 1, 4, 4)
    sampler = SGLD(steps=9, step_size=0.1)
    found = trace(tiny, sampler, starts, seed=3, batches=Batches(5))
    assert found.log_px.shape == (5, 10)
    assert found.pixels.shape == (5, 10, 16)
    torch.testing.assert_close(found.pixels[:, 0], starts.flatten(1))
    torch.testing.assert_close(found.pixels[:, -1], found.ends.flatten(1))
    torch.testing.assert_close(found.log_px[:, -1], log_density(tiny)(found.ends))
    torch.testing.assert_close(
        trace(tiny, sampler, starts, seed=3, batches=Batches(2)), found
    )
    assert PIXELS >= 16


def bright(count, seed):
    rng = np.random.default_rng(seed)
    return Split(rng.integers(180, 256, (count, 4, 4, 1), dtype=np.uint8))


SETS = {"train": bright(30, 0), "test": bright(20, 1)}


def some():
    return Dataset("some", lambda stage, _: SETS[stage], "far", tuple(SETS))


def test_a_diagnosis_says_what_was_measured(tiny, tmp_path):
    path = tmp_path / "found.json"
    found = oodbench.diagnose(
        tiny, path, inside=some(), chains=6, steps=12, step_size=0.01, temperatures=20
    )
    record = json.loads(path.read_text())
    assert record == json.loads(json.dumps(found.record))
    assert fits(record, DIAGNOSIS)  # what a report asks of it
    chains, log_z = record["chains"], record["log_z"]
    assert chains["states"] == 6 * 6
    assert chains["steps"][0] == 0
    assert chains["steps"][-1] == 12
    real = torch.from_numpy(SETS["test"].images).permute(0, 3, 1, 2) / 255
    below = (tiny(real).log_px < chains["log_px_from_noise"][-1]).double().mean()
    assert chains["real_below_noise"] == pytest.approx(below.item())
    assert chains["log_px_from_data"][0] != chains["log_px_from_noise"][0]
    # Of the three chains that began as noise.
    shares = record["samples"]["predicted"].values()
    assert sum(shares) == pytest.approx(1)
    assert all(3 * share == pytest.approx(round(3 * share)) for share in shares)
    assert 1 <= record["samples"]["classes"] <= 6
    assert record["samples"]["effective_classes"] <= record["samples"]["classes"]
    pixels = torch.rand(20_000, *Shape(1, 4, 4), generator=torch.Generator())
    z = tiny(pixels).log_px.double().exp().mean().log().item()
    assert log_z["interval"][0] - 0.1 < z < log_z["interval"][1] + 0.1
    assert "6 chains of 12 steps" in str(found)
    assert "of 6 classes" in str(found)
    again = oodbench.diagnose(
        tiny,
        None,
        inside=some(),
        chains=6,
        steps=12,
        step_size=0.01,
        temperatures=0,
        batch_size=2,
    )
    assert again.record["log_z"] is None
    assert again.record["chains"]["r_hat"] == pytest.approx(chains["r_hat"], rel=1e-4)


def test_each_network_has_its_own_file_in_a_folder(tiny, tmp_path):
    def diagnosed():
        return oodbench.diagnose(
            tiny, tmp_path, inside=some(), chains=2, steps=8, temperatures=0
        )

    first = diagnosed()
    torch.nn.init.normal_(tiny.head.weight)
    second = diagnosed()
    assert {first.file, second.file} == set(tmp_path.iterdir())
    for found in (first, second):
        key = found.record["model"]["key"]
        assert json.loads(found.file.read_text())["model"]["key"] == key
        assert found.file.name == f"tiny-{key[:8]}.json"
    assert first.file != second.file


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"chains": 3}, "take 2, 4, …, not 3"),
        ({"steps": 7}, "at least 8 steps, got 7"),
        ({"batch_size": 0}, "batch size must be at least 1, got 0"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"temperatures": -1}, "not -1 and 3"),
        ({"chains": 50}, "has 20 images to start 25 chains from"),
    ],
)
def test_a_diagnosis_that_cannot_be_is_one_sentence(tiny, changes, message):
    with pytest.raises(InputError, match=message):
        oodbench.diagnose(tiny, None, inside=some(), **changes)


def test_the_command_prints_the_summary_and_writes_the_numbers(oodbench, tmp_path):
    options = "--model jem-digits --chains 4 --steps 8 --temperatures 2 --to d.json"
    code, output, errors = oodbench("diagnose", *options.split())
    assert (code, "Written to d.json" in errors) == (0, True)
    assert "4 chains of 8 steps" in output
    assert "log Z" in output
    assert json.loads((tmp_path / "d.json").read_text())["log_z"]["temperatures"] == 2

"""Laws of the trainer and its guard."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from oodbench import InputError, Joint
from oodbench.jem.training.recipe import Recipe
from oodbench.jem.training.trainer import Trainer


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def problem(count=192):
    """Two blobs that a line separates, with labels."""
    labels = torch.arange(count) % 2
    centres = torch.tensor([[-0.5, -0.5], [0.5, 0.5]])
    noise = 0.1 * torch.randn(count, 2, generator=generator())
    return centres[labels] + noise, labels


class TwoHeads(nn.Module):
    """An unconditional model."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(2, 16), nn.SiLU())
        self.classes, self.density = nn.Linear(16, 2), nn.Linear(16, 1)

    def forward(self, x):
        features = self.body(x)
        return Joint(self.classes(features), self.density(features).squeeze(1))


def plain():
    return nn.Sequential(nn.Linear(2, 16), nn.SiLU(), nn.Linear(16, 2))


def normed():
    return nn.Sequential(
        nn.Linear(2, 16), nn.BatchNorm1d(16), nn.SiLU(), nn.Linear(16, 2)
    )


def dropping():
    return nn.Sequential(nn.Linear(2, 16), nn.SiLU(), nn.Dropout(0.2), nn.Linear(16, 2))


def trainer(recipe, make=plain, device="cpu"):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        images, labels = problem()
        module = make().to(device)
        return Trainer(module, images.to(device), labels.to(device), recipe)


def weights(module):
    return torch.cat([each.flatten() for each in module.state_dict().values()])


SHORT = Recipe(
    epochs=20, learning_rate=1e-2, warmup=5, buffer_size=100, snapshot_every=20
)
PARTS = {
    "ce": {"weight_x": 0.0},
    "jem": {},
    "joint": {"weight_x": 0.0, "weight_xy": 1.0},
    "by class": {"class_conditional": True, "energy_l2": 1e-2},
    "all": {"weight_xy": 0.5, "ema": 0.9, "clip_norm": 1.0, "weight_decay": 1e-3},
    "sgd": {"optimiser": "sgd", "decay": "cosine", "labels_per_class": 40},
    "bf16": {"precision": "bf16"},
}


@pytest.mark.parametrize("parts", PARTS.values(), ids=PARTS)
@pytest.mark.parametrize("make", [plain, TwoHeads])
def test_training_learns_a_problem_that_a_line_solves(parts, make, device):
    run, seen = trainer(replace(SHORT, **parts), make, device), []
    assert run.run(seen.append)
    images, labels = problem()
    module = run.trained.eval()
    predictions = Joint.of(module(images.to(device))).logits.argmax(1)
    assert (predictions.cpu() == labels).double().mean() > 0.97
    assert [step.iteration for step in seen] == list(range(60))
    assert run.chains.buffer.states.dtype == torch.float32


@pytest.mark.parametrize("parts", PARTS.values(), ids=PARTS)
@pytest.mark.parametrize("make", [normed, TwoHeads, dropping])
def test_a_run_goes_on_from_its_states_to_the_same_weights(parts, make, device):
    recipe = replace(SHORT, **parts)
    whole, saved = trainer(recipe, make, device), []
    whole.run(save=lambda states: saved.append(list(states)))
    assert [states[-1]["iteration"] for states in saved] == [0, 20, 40, 60]
    resumed = trainer(recipe, make, device)
    resumed.resume(saved[2])
    resumed.run()
    assert torch.equal(weights(whole.trained), weights(resumed.trained))
    buffers = [run.chains.buffer.states for run in (whole, resumed)]
    assert torch.equal(*buffers)


def test_a_run_can_stop_at_a_state_and_go_on():
    whole, part = trainer(SHORT), trainer(SHORT)
    whole.run()
    saved = []
    assert not part.run(save=saved.append, stop=lambda: part.iteration == 40)
    rest = trainer(SHORT)
    rest.resume(saved[-1])
    assert rest.iteration == 40
    assert rest.run()
    assert torch.equal(weights(whole.module), weights(rest.module))


def test_the_same_seed_gives_the_same_weights_and_another_gives_others():
    runs = [trainer(replace(SHORT, seed=seed)) for seed in (0, 0, 1)]
    for run in runs:
        run.run()
    first, second, other = (weights(run.module) for run in runs)
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_a_jem_prefers_data_to_uniform_noise():
    run = trainer(replace(SHORT, epochs=60))
    run.run()
    images, _ = problem()
    noise = torch.empty(200, 2).uniform_(-1, 1, generator=generator(1))
    log_px = [run.module(x).logsumexp(1).mean().item() for x in (images, noise)]
    assert log_px[0] > log_px[1]


def test_training_leaves_the_global_random_state_alone():
    run = trainer(replace(SHORT, epochs=1))
    before = torch.random.get_rng_state()
    run.run()
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_average_is_the_naive_one_that_soon_forgets_the_start():
    run = trainer(replace(SHORT, ema=0.8, weight_x=0.0))
    seen = []
    run.run(lambda step: seen.append(weights(run.module).clone()))
    naive = seen[0]  # the first update takes the weights as they are
    for count, each in enumerate(seen[1:], start=1):
        decay = min(0.8, (1 + count) / (10 + count))
        naive = decay * naive + (1 - decay) * each
    torch.testing.assert_close(weights(run.trained), naive)


def test_only_the_stated_labels_are_used():
    images, labels = problem()
    wrong = labels.clone()
    wrong[20:] = 1 - wrong[20:]  # the first ten of each class are right
    torch.manual_seed(0)
    run = Trainer(plain(), images, wrong, replace(SHORT, labels_per_class=10))
    run.run()
    right = (run.module(images).argmax(1) == labels).double().mean()
    assert right > 0.7


def test_without_learning_only_chains_move():
    recipe = replace(SHORT, learning_rate=1e-30, epochs=2)
    run = trainer(recipe)
    before, chains = weights(run.module).clone(), run.chains.buffer.states.clone()
    run.run()
    torch.testing.assert_close(weights(run.module), before)
    assert not torch.equal(run.chains.buffer.states, chains)


# --- divergence


def test_a_run_that_diverges_goes_back_and_slows_down_until_it_does_not():
    reckless = replace(SHORT, learning_rate=3.0, gap_limit=5.0, most_rollbacks=20)
    run, seen = trainer(reckless), []
    assert run.run(seen.append)
    assert run.guard.faults
    assert run.guard.rate_factor == 0.5 ** len(run.guard.faults)
    assert "Went back to iteration 0, at 0.5 of" in run.guard.faults[0]
    assert all(abs(step.gap) <= 5 for step in seen)
    assert seen[-1].iteration == 59
    assert seen[-1].rate == pytest.approx(3.0 * run.guard.rate_factor)


def test_a_run_that_went_back_can_be_resumed_to_the_same_weights():
    reckless = replace(SHORT, learning_rate=3.0, gap_limit=5.0, most_rollbacks=20)
    whole, saved = trainer(reckless), []
    whole.run(save=lambda states: saved.append([dict(each) for each in states]))
    resumed = trainer(reckless)
    resumed.resume(saved[-2])
    resumed.run()
    assert torch.equal(weights(whole.module), weights(resumed.module))
    assert whole.guard.faults == resumed.guard.faults


class Breaks(nn.Module):
    """Returns NaN once, in the training pass of a given number."""

    def __init__(self, at):
        super().__init__()
        self.layer, self.at, self.passes = nn.Linear(2, 2), at, 0

    def forward(self, x):
        self.passes += self.training
        broken = self.training and self.passes == self.at
        return self.layer(x) * (math.nan if broken else 1)


def test_nan_is_caught_and_a_state_before_it_restored():
    run = trainer(replace(SHORT, weight_x=0.0), lambda: Breaks(at=51))
    assert run.run()
    (fault,) = run.guard.faults
    assert fault == (
        "Training diverged at iteration 50: the loss is nan. Went back to iteration "
        "20, at 0.5 of the learning rate."
    )
    assert weights(run.module).isfinite().all()


def test_weights_that_are_lost_at_the_end_are_noticed():
    run = trainer(replace(SHORT, weight_x=0.0))
    seen = []

    def spoil(step):
        if step.iteration == 59 and not seen:
            seen.append(step)
            with torch.no_grad():
                next(run.module.parameters()).fill_(math.nan)

    assert run.run(spoil)
    assert run.guard.faults == [
        "Training diverged at iteration 60: some weights are not finite. Went back to "
        "iteration 20, at 0.5 of the learning rate."
    ]
    assert weights(run.trained).isfinite().all()


def test_a_state_whose_own_loss_is_bad_is_given_up_at_once():
    hopeless = replace(SHORT, gap_limit=1e-9)
    told = []
    with pytest.raises(InputError, match=r"gone back 0 times before.* gap limit"):
        trainer(hopeless).run(report=lambda *fault: told.append(fault))
    assert told == []


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("form", ["view", "reshape"])
def test_images_are_laid_out_for_speed_where_the_network_bears_it(form, channels):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.head = nn.Conv2d(channels, 4, 3), nn.Linear(4 * 36, 2)

        def forward(self, x):
            maps = self.conv(x)
            return self.head(getattr(maps, form)(len(maps), -1))

    images, labels = torch.rand(8, channels, 8, 8), torch.arange(8) % 2
    recipe = replace(SHORT, epochs=2, batch_size=4)
    whole, saved = Trainer(Net(), images, labels, recipe), []
    whole.run(save=lambda states: saved.append(list(states)))
    last = images.to(memory_format=torch.channels_last).stride()
    assert (whole.images.stride() == last) == (form == "reshape")


def test_crops_of_images_that_are_too_small_are_refused():
    images, labels = torch.rand(8, 1, 4, 4), torch.arange(8) % 2
    with pytest.raises(InputError, match="1x4x4 are too small to be cropped"):
        Trainer(nn.Flatten(), images, labels, replace(SHORT, augment="crop"))


def test_a_run_that_never_holds_is_given_up_in_one_sentence():
    hopeless = replace(SHORT, learning_rate=1e30, warmup=0, most_rollbacks=2)
    with pytest.raises(InputError, match=r"diverged at .* gone back 2 times before"):
        trainer(hopeless).run()

"""Laws of one training iteration, most of them beside a twin written out by hand."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from oodbench.jem.training.batches import Shuffled
from oodbench.jem.training.chains import Ends
from oodbench.jem.training.recipe import Recipe
from oodbench.jem.training.trainer import Trainer

CLASSES, BATCH, RATE = 3, 8, 0.05
PLAIN = Recipe(
    precision="fp32",
    batch_size=BATCH,
    learning_rate=RATE,
    warmup=0,
    ema=0.0,
    input_noise=0.0,
    buffer_size=30,
    reinit=0.0,
)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def problem(shape=(2,), dtype=torch.float64, count=30):
    """Images in [-1, 1] and labels that have nothing to do with each other."""
    images = torch.rand(count, *shape, generator=generator(), dtype=dtype) * 2 - 1
    return images, torch.randint(CLASSES, (count,), generator=generator(1))


def network(dtype=torch.float64, inputs=2):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = nn.Linear(inputs, 5), nn.Tanh(), nn.Linear(5, CLASSES)
        return nn.Sequential(nn.Flatten(), *layers).to(dtype)


def weights(module):
    return [each.detach().clone() for each in module.parameters()]


@pytest.fixture
def drawn(monkeypatch):
    """What image numbers each stream drew, by the stream's id."""
    seen, next_batch = {}, Shuffled.next_batch

    def recording(stream):
        seen.setdefault(id(stream), []).append(numbers := next_batch(stream))
        return numbers

    monkeypatch.setattr(Shuffled, "next_batch", recording)
    return seen


class StillChains:
    """Stands in for `Chains.run`: other states at each call, which it remembers."""

    def __init__(self, shape=(2,)):
        self.shape, self.calls, self.number = shape, [], 0

    def __call__(self, count, labels=None):
        self.number += 1
        random = generator(100 + self.number)
        states = torch.rand(count, *self.shape, generator=random, dtype=torch.float64)
        self.calls.append((states, labels))
        return Ends(states, torch.zeros(()), torch.zeros(()))


# --- the loss and the update


def naive_terms(module, recipe, data, others, labels, calls):
    """Returns the loss, −log p(y|x), and the gaps of log p(x) and log p(x, y)."""
    rows = torch.arange(len(labels))
    given = [c for c in calls if c[1] is not None and torch.equal(c[1], labels)]
    free = [c for c in calls if not any(c is each for each in given)]
    assert len(given) == bool(recipe.weight_xy)
    assert len(free) == bool(recipe.weight_x)
    logits = module(data)
    cross_entropy = (logits.exp().sum(1).log() - logits[rows, labels]).mean()
    gap_x = gap_xy = squares = classes_x = torch.zeros((), dtype=torch.float64)
    for states, classes in free:
        assert len(states) == BATCH
        assert (classes is not None) == recipe.class_conditional
        real, sampled = (module(x).exp().sum(1).log() for x in (others, states))
        gap_x = real.mean() - sampled.mean()
        squares = squares + (real**2).mean() + (sampled**2).mean()
        logits_of_two, of_data = torch.cat([real, sampled]), torch.zeros(2 * BATCH)
        of_data[:BATCH] = 1
        classes_x = nn.functional.binary_cross_entropy_with_logits(
            logits_of_two, of_data.double()
        )
    for states, _ in given:
        real, sampled = logits[rows, labels], module(states)[rows, labels]
        gap_xy = real.mean() - sampled.mean()
        squares = squares + (real**2).mean() + (sampled**2).mean()
    loss = recipe.weight_y_given_x * cross_entropy + recipe.energy_l2 * squares
    loss = loss - recipe.weight_xy * gap_xy
    loss = loss + recipe.weight_x * (
        classes_x if recipe.contrast == "classes" else -gap_x
    )
    if recipe.weight_robust or recipe.weight_neighbours:
        fooled = module(naive_adversary(module, recipe, data, labels))
        p = fooled.exp() / fooled.exp().sum(1, keepdim=True)
        loss = loss - recipe.weight_robust * p[rows, labels].log().mean()
        above = fooled.exp().sum(1).log().mean()
        below = module(others).exp().sum(1).log().mean()
        loss = loss + recipe.weight_neighbours * (above - below)
    return loss, cross_entropy, gap_x, gap_xy


def naive_classes(module, calls):
    """Returns how many classes the samples of the first chains are worth."""
    if not calls:
        return torch.zeros(())
    odds = module(calls[0][0]).exp()
    shares = (odds / odds.sum(1, keepdim=True)).mean(0)
    return 1 / (shares**shares).prod()


def naive_adversary(module, recipe, data, labels):
    """Returns adversarial images, one image and step at a time."""
    found = []
    for image, label in zip(data, labels.tolist(), strict=True):
        x = image.clone()
        for _ in range(recipe.adversary_steps):
            x.requires_grad_(True)
            f = module(x[None])[0]
            height = f[label]
            if recipe.adversary == "cross_entropy":
                height = f.exp().sum().log() - f[label]
            (slope,) = torch.autograd.grad(height, x)
            with torch.no_grad():
                if recipe.adversary_norm == "linf":
                    move = x + recipe.adversary_step_size * slope.sign() - image
                    move = move.clamp(-recipe.adversary_radius, recipe.adversary_radius)
                else:
                    slope = slope / slope.square().sum().sqrt()
                    move = x + recipe.adversary_step_size * slope - image
                    length = move.square().sum().sqrt().item()
                    move = move * min(1, recipe.adversary_radius / length)
                x = (image + move).clamp(-1, 1)
        found.append(x)
    return torch.stack(found).detach()


class NaiveOptimiser:
    """Clipping, L2 and Adam or SGD with momentum, as their papers have them."""

    def __init__(self, recipe):
        self.recipe, self.first, self.second, self.count = recipe, 0.0, 0.0, 0

    def __call__(self, weight, slope):
        """Returns the weights after a step; all of them are one vector."""
        recipe = self.recipe
        if recipe.clip_norm:
            shrink = recipe.clip_norm / slope.norm().item()
            assert (shrink < 1) == (recipe.clip_norm < 1), "the cases are to be both"
            slope = slope * min(1.0, shrink)
        slope = slope + recipe.weight_decay * weight
        self.count += 1
        if recipe.optimiser == "sgd":
            self.first = 0.9 * self.first + slope
            return weight - RATE * self.first
        self.first = 0.9 * self.first + 0.1 * slope
        self.second = 0.999 * self.second + 0.001 * slope**2
        first = self.first / (1 - 0.9**self.count)
        second = self.second / (1 - 0.999**self.count)
        return weight - RATE * first / (second.sqrt() + 1e-8)


ALL = {"weight_y_given_x": 0.7, "weight_x": 0.6, "weight_xy": 0.4}
CE_OFF = {"weight_y_given_x": 0.0, "weight_x": 0.0}
CASES = {
    "p(y|x)": {"weight_y_given_x": 0.7, "weight_x": 0.0},
    "p(x)": {"weight_y_given_x": 0.0, "weight_x": 0.6},
    "p(x, y)": {"weight_y_given_x": 0.0, "weight_x": 0.0, "weight_xy": 0.4},
    "jem": {},
    "all": ALL,
    "l2 with p(x)": {"energy_l2": 0.3},
    "l2 with p(x, y)": {"weight_x": 0.0, "weight_xy": 1.0, "energy_l2": 0.3},
    "l2 with all": {**ALL, "energy_l2": 0.3},
    "by class": {**ALL, "class_conditional": True},
    "clipped": {**ALL, "clip_norm": 0.01},
    "hardly clipped": {**ALL, "clip_norm": 1e3},
    "decayed": {**ALL, "weight_decay": 0.5},
    "clipped and decayed": {**ALL, "clip_norm": 0.01, "weight_decay": 0.5},
    "few labels": {**ALL, "labels_per_class": 2},
    "two classes": {**ALL, "contrast": "classes", "energy_l2": 0.3},
    "robust": {"weight_x": 0.0, "weight_robust": 0.6},
    "robust alone": {**CE_OFF, "weight_robust": 0.6, "adversary_norm": "linf"},
    "neighbours": {**ALL, "weight_neighbours": 0.5, "adversary": "density"},
    "far neighbours": {
        **ALL,
        "weight_robust": 0.3,
        "weight_neighbours": 0.5,
        "adversary": "density",
        "adversary_norm": "linf",
        "adversary_radius": 0.3,
    },
    "sharp": {**ALL, "sharpness": 0.3, "sharpness_adaptive": False},
    "sharp, adaptive": {**ALL, "sharpness": 0.8, "clip_norm": 0.01},
}


@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_steps_are_those_of_a_naive_twin(case, optimiser, drawn, monkeypatch):
    recipe = replace(PLAIN, optimiser=optimiser, **case)
    images, labels = problem()
    run, chains = Trainer(network(), images, labels, recipe), StillChains()
    monkeypatch.setattr(run.chains, "run", chains)
    twin, update = copy.deepcopy(run.module), NaiveOptimiser(recipe)
    parameters = list(twin.parameters())
    for _ in range(3):
        drawn.clear()
        chains.calls.clear()
        step = run.step()
        (known,) = drawn[id(run.labelled)]
        others = drawn.get(id(run.unlabelled), [known])[0]
        given = images[known], images[others], labels[known], chains.calls

        def measured(given=given):
            """The terms at the twin's weights, and the slope of their loss."""
            terms = naive_terms(twin, recipe, *given)
            slopes = torch.autograd.grad(terms[0], parameters)
            return terms, torch.cat([each.flatten() for each in slopes])

        def move_to(vector):
            with torch.no_grad():
                nn.utils.vector_to_parameters(vector, parameters)

        old = nn.utils.parameters_to_vector(parameters).detach()
        (loss, y, x, xy), slope = measured()
        classes = naive_classes(twin, chains.calls)
        if recipe.sharpness:
            scale = old.abs() if recipe.sharpness_adaptive else torch.ones_like(old)
            norm = (scale * slope).square().sum().sqrt()
            move_to(old + recipe.sharpness * scale**2 * slope / norm)
            _, slope = measured()
        move_to(update(old, slope))
        shown = [step.loss, step.cross_entropy, step.gap, step.joint_gap]
        shown += [step.classes, step.rate]
        expected = [each.item() for each in (loss, y, x, xy, classes)]
        assert shown == pytest.approx([*expected, RATE], rel=1e-5, abs=1e-6)
        # Clipping divides by the norm and 1e-6 more.
        close = {"rtol": 1e-5, "atol": 1e-6} if recipe.clip_norm else {}
        torch.testing.assert_close(weights(run.module), weights(twin), **close)


@pytest.mark.parametrize("parts", [{}, ALL, {**ALL, "class_conditional": True}])
def test_frozen_weights_stay_frozen(parts):
    module = network(torch.float32)
    for each in module[1].parameters():
        each.requires_grad_(False)
    before = weights(module)
    recipe = replace(PLAIN, weight_decay=0.1, epochs=2, ema=0.5, **parts)
    run = Trainer(module, *problem(dtype=torch.float32), recipe)
    run.run()
    flags = [each.requires_grad for each in module.parameters()]
    assert flags == [False, False, True, True]
    for trained in (module, run.trained):
        pairs = zip(before, weights(trained), strict=True)
        same = [torch.equal(*pair) for pair in pairs]
        assert same == [True, True, False, False]


# --- which images, and how they are changed


@pytest.mark.parametrize("per_class", [0, 1, 2])
def test_labels_are_used_of_the_first_images_of_a_class_only(per_class, drawn):
    images, labels = problem(dtype=torch.float32)
    recipe = replace(PLAIN, labels_per_class=per_class, sgld_steps=1)
    run = Trainer(network(torch.float32), images, labels, recipe)
    for _ in range(40):
        run.step()
    used, others = (
        set(torch.cat(drawn[id(stream)]).tolist())
        for stream in (run.labelled, run.unlabelled)
    )
    numbers = range(len(labels))
    before = [labels[:number].tolist().count(labels[number]) for number in numbers]
    assert others == set(numbers)
    assert used == {n for n in numbers if not per_class or before[n] < per_class}


def seen_in_training(recipe, images, labels, drawn, monkeypatch):
    """Returns what the module saw of labelled and of other images, and their numbers.

    With one label a class a batch of labelled images is the only one of three.
    """
    module = network(inputs=images[0].numel())
    run = Trainer(module, images, labels, replace(recipe, labels_per_class=1))
    chains = StillChains(images.shape[1:])
    monkeypatch.setattr(run.chains, "run", chains)
    inputs = []
    module.register_forward_pre_hook(lambda _, given: inputs.append(given[0].clone()))
    run.step()
    ((states, _),) = chains.calls
    data = [x for x in inputs if x.shape != states.shape or not torch.equal(x, states)]
    known, others = sorted(data, key=len)
    streams = run.labelled, run.unlabelled
    numbers = [drawn[id(stream)][0] for stream in streams]
    return list(zip((known, others), numbers, strict=True))


@pytest.mark.parametrize("density", [True, False])
@pytest.mark.parametrize("kind", ["none", "crop", "crop_flip"])
def test_images_are_augmented_where_they_shall_be(kind, density, drawn, monkeypatch):
    pixels, labels = problem((1, 9, 9))
    # The whole part of a pixel is its image's number.
    images = (pixels + 1) / 2 + torch.arange(len(pixels))[:, None, None, None]
    recipe = replace(PLAIN, augment=kind, augment_density=density)
    both = seen_in_training(recipe, images, labels, drawn, monkeypatch)
    for (found, numbers), wanted in zip(both, (True, density), strict=True):
        same = torch.equal(found, images[numbers])
        assert same == (kind == "none" or not wanted)
        assert torch.equal(found.floor().amax((1, 2, 3)).long(), numbers)
        assert torch.equal(found.floor().amin((1, 2, 3)).long(), numbers)


@pytest.mark.parametrize("density", [True, False])
@pytest.mark.parametrize("deviation", [0.0, 0.2])
def test_noise_of_the_stated_deviation_is_added(deviation, density, drawn, monkeypatch):
    images, labels = problem((1, 20, 20))
    recipe = replace(PLAIN, input_noise=deviation, augment_density=density)
    both = seen_in_training(recipe, images, labels, drawn, monkeypatch)
    for (found, numbers), wanted in zip(both, (True, density), strict=True):
        noise = found - images[numbers]
        assert noise.std().item() == pytest.approx(deviation * wanted, rel=0.1)
        assert abs(noise.mean().item()) <= 0.2 * deviation * wanted


# --- chains


@pytest.mark.parametrize("by_class", [False, True])
def test_chains_climb_their_density_and_go_back_to_their_places(by_class):
    """Of a linear model ∇ log p(x|y) is row y of the weights, and ∇ log p(x) a mean."""
    recipe = replace(PLAIN, class_conditional=by_class, sgld_noise=0.0)
    recipe = replace(recipe, sgld_steps=1, sgld_step_size=0.5)
    module = nn.Linear(2, CLASSES)
    run = Trainer(module, *problem(dtype=torch.float32), recipe)
    seen = set()
    for _ in range(6):
        rows, bias = weights(module)
        old = run.chains.buffer.states.clone()
        run.step()
        new = run.chains.buffer.states
        moved = (new != old).any(1).nonzero()[:, 0]
        assert len(moved) == BATCH
        classes = moved * CLASSES // len(old)
        of_each = nn.functional.one_hot(classes, CLASSES).float()
        shares = of_each if by_class else (old[moved] @ rows.T + bias).softmax(1)
        torch.testing.assert_close(new[moved], old[moved] + 0.5 * shares @ rows)
        seen |= set(classes.tolist())
    assert seen == set(range(CLASSES))


@pytest.mark.parametrize(
    ("precision", "inside"), [("fp32", torch.float32), ("bf16", torch.bfloat16)]
)
def test_precision_is_that_inside_the_module_and_nowhere_else(precision, inside):
    module, seen = network(torch.float32), set()
    for layer in (module[1], module[3]):
        layer.register_forward_hook(
            lambda layer, _, output: seen.add((layer.training, output.dtype))
        )
    recipe = replace(PLAIN, precision=precision, **ALL)
    run, states = Trainer(module, *problem(dtype=torch.float32), recipe), []
    ordinary = run.chains.run
    run.chains.run = lambda *given: states.append(found := ordinary(*given)) or found
    run.step()
    assert seen == {(True, inside), (False, inside)}
    kept = [run.chains.buffer.states, *(one.states for one in states)]
    kept += [*module.parameters(), *(each.grad for each in module.parameters())]
    assert {each.dtype for each in kept} == {torch.float32}


# --- going back


class Breakable(nn.Module):
    """Says NaN in the next training pass when it is told to break."""

    def __init__(self):
        super().__init__()
        self.layers, self.broken = network(torch.float32), False

    def forward(self, x):
        factor = float("nan") if self.training and self.broken else 1.0
        self.broken = self.broken and not self.training
        return self.layers(x) * factor


@pytest.mark.parametrize(("breaks", "target"), [(18, 10), (11, 5), (10, 5), (4, 0)])
def test_a_run_goes_back_to_the_older_of_the_last_two_states(breaks, target):
    recipe = replace(PLAIN, epochs=8, snapshot_every=5, sgld_steps=2)
    recipe = replace(recipe, learning_rate=1e-3)
    module, seen, steps = Breakable(), [], []
    run = Trainer(module, *problem(dtype=torch.float32), recipe)

    def tell(step):
        steps.append(step)
        seen.append(run.chains.buffer.states.clone())
        module.broken = step.iteration + 1 == breaks and not run.guard.faults

    assert run.run(tell)
    taken = [step.iteration for step in steps]
    assert taken == [*range(breaks), *range(target, run.iterations)]
    # The same weights, images, chains and noise: all but the rate is as it was.
    assert steps[breaks]._replace(rate=0) == steps[target]._replace(rate=0)
    assert torch.equal(seen[breaks], seen[target])
    assert steps[breaks].rate == 0.5 * steps[target].rate

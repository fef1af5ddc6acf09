"""Laws of the built-in detectors, and values that can be worked out by hand."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from oodbench import InputError, Joint, Need, Network, Split
from oodbench.base import registry
from oodbench.scoring.engine import Engine
from oodbench.scoring.spec import open_detector

BUILT_IN = [
    one.name
    for one in registry.listings("detectors")
    if one.package == "oodbench"
    and not open_detector(one.name).detector.needs
    & (Need.BLOCKS | Need.MEMBERS | Need.TEXTS)
]
"""Those that a network of two layers serves."""
CONTROLS = ["pixel_knn", "pixel_stats"]
REFINING = ["jem_refine", "jem_refine_grad", "jem_refine_l2"]
QUIET = {**dict.fromkeys(REFINING, ":noise=0"), "mc_dropout": ":rate=0"}
"""How to score without noise, which depends on an image's place."""


class Fixed(nn.Module):
    """Logits that are linear in the pixels: f(x) = W x + b, pixels flattened."""

    def __init__(self, weight, bias):
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)

    def forward(self, images):
        return images.flatten(1) @ self.weight.T + self.bias


class Gaussian(nn.Module):
    """log p(x) of N(μ, σ² I) up to a constant, and two equal logits."""

    def __init__(self, mean, variance):
        super().__init__()
        self.mean, self.variance = nn.Parameter(mean), variance

    def forward(self, images):
        away = images.flatten(1) - self.mean
        log_px = -away.square().sum(1) / (2 * self.variance)
        return Joint(log_px.new_zeros(len(log_px), 2), log_px)


def scores(name, network, split, known=None, batch_size=256):
    detector = open_detector(name).detector
    engine = Engine(network, {name: detector}, batch_size)
    if known is not None and detector.fitted_on is not None:
        assert engine.fit(detector.fitted_on, known, tell=lambda done: None) == {}
    scored = engine.score(split, has_labels=False, tell=lambda done: None)
    assert scored.failures == {}
    return scored.scores[name]


def one_image(logits):
    """Returns a network and an image that give these logits."""
    bias = torch.tensor(logits, dtype=torch.float32)
    network = Network(Fixed(torch.zeros(len(bias), 1), bias), (1, 1, 1))
    return network, Split(np.zeros((1, 1, 1, 1), np.uint8))


@pytest.fixture
def labelled(tiny, images):
    """The images with the predicted classes as labels, but for every fourth."""
    pixels = torch.from_numpy(images.images).permute(0, 3, 1, 2) / 255
    labels = tiny(pixels).logits.argmax(1).numpy()
    labels[::4] = (labels[::4] + 1) % tiny.classes
    return Split(images.images, labels)


@pytest.mark.parametrize("name", BUILT_IN)
def test_scores_are_finite_and_one_an_image(name, tiny, labelled):
    images = labelled
    found = scores(name, tiny, images, images)
    assert found.shape == (40,)
    assert found.dtype == np.float64
    assert np.isfinite(found).all()


@pytest.mark.parametrize("name", [f"{name}{QUIET.get(name, '')}" for name in BUILT_IN])
def test_scores_follow_the_images_when_they_are_reordered(name, tiny, labelled):
    images = labelled
    order = np.random.default_rng(1).permutation(40)
    moved = scores(name, tiny, Split(images.images[order]), images)
    assert moved == pytest.approx(scores(name, tiny, images, images)[order], abs=1e-5)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("msp", 0.0),
        ("max_logit", 2.0),
        ("energy", 2 + math.log(2)),
        ("log_px", 2 + math.log(2)),
        ("entropy", -math.log(math.log(2))),
        ("energy:temperature=4", 2 + 4 * math.log(2)),
        ("jem_grad_norm", 0.0),
    ],
)
def test_scores_of_two_equal_logits(name, expected):
    assert scores(name, *one_image([2.0, 2.0])) == pytest.approx([expected], abs=1e-6)


@pytest.mark.parametrize("shift", [-1000.0, 3.0])
@pytest.mark.parametrize("name", ["msp", "entropy"])
def test_a_constant_on_all_logits_changes_no_probability(name, shift):
    plain = scores(name, *one_image([0.5, 1.0, 2.0]))
    shifted = scores(name, *one_image([0.5 + shift, 1.0 + shift, 2.0 + shift]))
    assert shifted == pytest.approx(plain, rel=1e-4)


@pytest.mark.parametrize("name", ["energy", "max_logit", "log_px"])
def test_a_constant_on_all_logits_moves_the_score_by_it(name):
    plain = scores(name, *one_image([0.5, 1.0, 2.0]))
    shifted = scores(name, *one_image([10.5, 11.0, 12.0]))
    assert shifted == pytest.approx(plain + 10, rel=1e-6)


def test_energy_of_low_temperature_is_the_maximum_logit(tiny, images):
    cold = scores("energy:temperature=0.001", tiny, images)
    assert cold == pytest.approx(
        scores("max_logit", tiny, images), abs=0.001 * math.log(6)
    )


def test_energy_is_maximum_logit_minus_log_of_msp(tiny, images):
    energy, top, odds = (
        scores(n, tiny, images) for n in ("energy", "max_logit", "msp")
    )
    msp = 1 / (1 + np.exp(-odds))
    assert energy == pytest.approx(top - np.log(msp), rel=1e-6)


@pytest.mark.parametrize("name", ["msp", "entropy"])
def test_confident_images_do_not_tie(name):
    tops = (20.0, 22.0, 900.0, 9000.0)
    found = [scores(name, *one_image([top, 0.0, -1.0])).item() for top in tops]
    assert sorted(set(found)) == found


def test_msp_and_entropy_are_the_published_scores_in_another_form(tiny, images):
    pixels = torch.from_numpy(images.images).permute(0, 3, 1, 2).float() / 255
    p = tiny(pixels).logits.double().softmax(1).numpy()
    msp = 1 / (1 + np.exp(-scores("msp", tiny, images)))
    assert msp == pytest.approx(p.max(1), rel=1e-6)
    entropy = np.exp(-scores("entropy", tiny, images))
    assert entropy == pytest.approx(-(p * np.log(p)).sum(1), rel=1e-6)


@pytest.mark.parametrize("name", ["msp", "entropy", "energy", "max_logit"])
def test_masked_classes_count_as_if_they_were_not_there(name):
    masked = scores(name, *one_image([1.0, -math.inf, 3.0]))
    assert masked == pytest.approx(scores(name, *one_image([1.0, 3.0])))


def test_gradient_norm_of_linear_logits_is_the_mean_weight_norm(images):
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(5, 16, generator=generator)
    bias = torch.randn(5, generator=generator)
    network = Network(Fixed(weight, bias), (1, 4, 4))
    pixels = torch.from_numpy(images.images).double().flatten(1) / 255
    p = (pixels @ weight.double().T + bias).softmax(1)
    expected = -(p @ weight.double()).norm(dim=1) / 2
    found = scores("jem_grad_norm", network, images)
    assert found == pytest.approx(expected.numpy(), rel=1e-5)


def test_gradient_norm_does_not_depend_on_the_networks_own_scaling(tiny, images):
    class Rescaled(nn.Module):
        def forward(self, unit):
            return tiny.module((unit - 0.5) / 0.25)

    same = Network(Rescaled(), (1, 4, 4))
    expected = scores("jem_grad_norm", tiny, images)
    assert scores("jem_grad_norm", same, images) == pytest.approx(expected, rel=1e-5)


@pytest.fixture
def gaussian():
    """A network on pixels in [-1, 1] whose log p(x) is that of N(0.2, 2 I)."""
    module = Gaussian(torch.full((16,), 0.2), 2.0)
    return Network(module, (1, 4, 4), "gaussian", (0.5,), (0.5,))


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_refinement_on_a_gaussian_shrinks_the_way_to_its_mean_by_a_factor(
    gaussian, images, steps
):
    # A step of a · ∇ log p(x) = −a (x − μ) / σ² leaves 1 − a / σ² of x − μ.
    variance, step_size = 2.0, 0.5
    left = (1 - step_size / variance) ** steps
    pixels = images.images.reshape(40, -1) / 127.5 - 1
    away = np.linalg.norm(pixels - 0.2, axis=1)
    expected = {
        "jem_refine": (left**2 - 1) * away**2 / (2 * variance),
        "jem_refine_grad": (left - 1) * away / variance,
        "jem_refine_l2": -(1 - left) * away,
    }
    for name, values in expected.items():
        spec = f"{name}:steps={steps}:step_size={step_size}:noise=0"
        assert scores(spec, gaussian, images) == pytest.approx(values, rel=1e-5)


@pytest.mark.parametrize("name", REFINING)
def test_images_that_are_not_refined_score_zero(name, tiny, images):
    assert scores(f"{name}:steps=0", tiny, images).tolist() == [0.0] * 40


def test_noise_of_a_refinement_depends_on_seed_and_number_alone(gaussian, images):
    same = Split(images.images[:1].repeat(12, axis=0))
    spec = "jem_refine_l2:steps=3:step_size=0.1:noise=0.5"
    whole = scores(spec, gaussian, same)
    assert len(set(whole.tolist())) == 12
    for size in (5, 1):
        assert scores(spec, gaussian, same, batch_size=size) == pytest.approx(whole)
    fewer = scores(spec, gaussian, Split(same.images[:4]))
    assert fewer == pytest.approx(whole[:4])
    assert not np.isclose(scores(f"{spec}:seed=1", gaussian, same), whole).any()


def test_coupled_noise_moves_a_flat_image_by_its_deviation():
    # Where ∇ log p(x) = 0 a step adds noise of variance 2a to each of 3,072 pixels.
    flat = Network(Fixed(torch.zeros(1, 3072), torch.zeros(1)), (3, 32, 32))
    split = Split(np.zeros((20, 32, 32, 3), np.uint8))
    moved = -scores("jem_refine_l2:steps=1:step_size=0.02:noise=none", flat, split)
    assert moved == pytest.approx(math.sqrt(3072 * 2 * 0.02), rel=0.06)


def test_nearest_neighbour_of_a_training_image_is_itself(tiny, images):
    assert scores("pixel_knn", tiny, images, images).tolist() == [0.0] * 40


def test_pixel_knn_is_the_naive_distance(tiny, images):
    rng = np.random.default_rng(5)
    new = rng.integers(0, 256, (9, 4, 4, 1), dtype=np.uint8)
    bank = images.images.reshape(40, -1) / 255
    distances = np.linalg.norm(new.reshape(9, 1, -1) / 255 - bank, axis=2)
    for k in (1, 3):
        found = scores(f"pixel_knn:k={k}", tiny, Split(new), images)
        assert found == pytest.approx(-np.sort(distances, 1)[:, k - 1], rel=1e-5)


def test_pixel_stats_prefers_what_looks_like_training(tiny, images):
    black = Split(np.zeros((5, 4, 4, 1), np.uint8))
    known = scores("pixel_stats", tiny, images, images)
    assert scores("pixel_stats", tiny, black, images).max() < known.min()


@pytest.mark.parametrize("name", CONTROLS)
def test_controls_never_see_the_network(name, tiny, images):
    other = Network(type(tiny.module)(seed=9), (1, 4, 4))
    mine, others = (scores(name, network, images, images) for network in (tiny, other))
    assert np.array_equal(mine, others)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("enrgy", "did you mean 'energy'"),
        ("energy:temprature=2", "no parameter of energy 'temprature'; did you mean"),
        ("energy:temperature=hot", "energy:temperature must be a number, not 'hot'"),
        ("pixel_knn:k=1.5", "must be a whole number, not '1.5'"),
        ("pixel_knn:k=0", "k must be at least 1"),
        ("energy:2", "energy:2 sets nothing"),
        ("msp:k=1", "no parameter of msp 'k'"),
        ("jem_refine:steps=-1", "SGLD takes 0 steps or more, not -1"),
        (
            "jem_refine:noise=loud",
            "jem_refine:noise must be a number or none, not 'loud'",
        ),
        ("jem_refine:seed=-1", "seed must be at least 0, got -1"),
    ],
)
def test_a_bad_detector_is_one_sentence(spec, message):
    with pytest.raises(InputError, match=message):
        open_detector(spec)


def test_labels_name_only_what_differs_from_the_default():
    assert open_detector("energy:temperature=1").label == "energy"
    assert open_detector("energy:temperature=2").label == "energy:temperature=2.0"
    assert open_detector("pixel_knn:k=5").parameters == {"k": 5}


def test_a_label_opens_the_same_detector_again():
    entry = open_detector("jem_refine:noise=none:steps=3")
    assert entry.detector.noise is None
    assert open_detector(entry.label) == entry


@pytest.mark.parametrize("value", ["0", "-1", "inf", "nan"])
def test_a_temperature_is_positive_and_finite(value):
    names = [n for n in BUILT_IN if "temperature" in open_detector(n).parameters]
    assert {"energy", "odin", "pro"} < set(names)
    for name in names:
        with pytest.raises(InputError, match="temperature must be positive and finite"):
            open_detector(f"{name}:temperature={value}")

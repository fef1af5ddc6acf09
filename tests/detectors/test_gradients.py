"""Detectors by gradients and by several views: values by hand, NumPy, and limits."""

import math

import numpy as np
import pytest
import torch
from made_outputs import batch_of, fitted, scores_of
from torch import nn

from oodbench import InputError, Outputs
from oodbench.data.dataset import Shape
from oodbench.networks.network import Network
from oodbench.scoring.forward import run_network
from oodbench.scoring.spec import open_detector

SIZE = (2, 4, 4)


def of_features(spec, features, logits):
    """Returns the scores of features and logits."""
    return scores_of(fitted(spec, None), batch_of(features, logits))


def linear_network(weight, size=SIZE, scale=1.0):
    layer = nn.Linear(math.prod(size), len(weight), bias=False)
    layer.weight.data = torch.as_tensor(weight, dtype=torch.float32).flatten(1) * scale
    return Network(nn.Sequential(nn.Flatten(), layer), Shape(*size))


def of_pixels(spec, network, pixels):
    """Returns the scores of images, and the pixels that the network was run on."""
    detector = open_detector(spec).detector
    pixels = torch.as_tensor(pixels, dtype=torch.float32)
    numbers = torch.arange(len(pixels))
    seen = []
    hook = network.module.register_forward_pre_hook(
        lambda _, inputs: seen.append(inputs[0].detach().clone())
    )
    batch = run_network(network, pixels, detector.objectives, numbers)
    outputs = Outputs(batch, detector)
    scores = detector.score(outputs)
    hook.remove()
    outputs.check_untouched()
    assert scores.dtype == torch.float64
    assert scores.isfinite().all()
    return scores.numpy(), seen


@pytest.fixture
def sample():
    """Weights of 3 classes, and 20 images."""
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(3, math.prod(SIZE))).astype(np.float32)
    return weight, rng.uniform(size=(20, *SIZE)).astype(np.float32)


def softmax(logits, temperature=1.0):
    powers = np.exp((logits - logits.max(-1, keepdims=True)) / temperature)
    return powers / powers.sum(-1, keepdims=True)


def odds(p):
    return np.log(p.max(-1) / (1 - p.max(-1)))


def logits_of(weight, images):
    return images.reshape(len(images), -1).astype(float) @ weight.T.astype(float)


def ascent(weight, images, temperature=1.0):
    """Returns the gradient of log p of the most probable class."""
    p = softmax(logits_of(weight, images), temperature)
    by_logits = np.eye(len(weight))[p.argmax(1)] - p
    return (by_logits @ weight.astype(float)).reshape(images.shape)


# Gradients of the head, in closed form.

TWO = [[0.0, math.log(3)]]


def test_grad_norm_by_hand():
    assert of_features("grad_norm", [[3.0, -4]], TWO) == pytest.approx([3.5])


def test_grad_uncertainty_by_hand():
    assert of_features("grad_uncertainty", [[3.0, 4]], TWO) == pytest.approx([13])


def test_ex_grad_by_hand():
    assert of_features("ex_grad", [[3.0, -4]], TWO) == pytest.approx([-5.25])


def head_gradients(features, logits, loss):
    """Returns ∂ loss / ∂ (weights, bias) of a head with such logits, by autograd."""
    weight = torch.zeros(logits.shape[1], len(features[0]), dtype=torch.float64)
    found = []
    for z, f in zip(torch.tensor(features), torch.tensor(logits), strict=True):
        w = weight.clone().requires_grad_(True)
        b = (f - w @ z).detach().requires_grad_(True)
        found.append(torch.autograd.grad(loss(w @ z + b), (w, b)))
    return found


@pytest.fixture
def rows():
    rng = np.random.default_rng(1)
    exact = rng.normal(size=(9, 6)), 2 * rng.normal(size=(9, 4))
    return [values.astype(np.float32).astype(float) for values in exact]


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_grad_norm_is_the_norm_of_the_gradient(rows, temperature):
    def loss(f):
        return -(f / temperature).log_softmax(0).mean()

    naive = [float(w.abs().sum()) for w, _ in head_gradients(*rows, loss)]
    found = of_features(f"grad_norm:temperature={temperature}", *rows)
    assert found == pytest.approx(naive, rel=1e-10)


def test_grad_uncertainty_is_the_norm_of_the_gradient(rows):
    gradients = head_gradients(*rows, lambda f: -f.log_softmax(0).sum())
    naive = [float((w**2).sum() + (b**2).sum()) for w, b in gradients]
    assert of_features("grad_uncertainty", *rows) == pytest.approx(naive, rel=1e-10)


def test_ex_grad_is_the_mean_norm_over_classes(rows):
    norms = []
    for y in range(4):
        gradients = head_gradients(*rows, lambda f, y=y: -f.log_softmax(0)[y])
        norms.append([float(w.abs().sum()) for w, _ in gradients])
    naive = -(softmax(rows[1]) * np.transpose(norms)).sum(1)
    assert of_features("ex_grad", *rows) == pytest.approx(naive, rel=1e-10)


@pytest.mark.parametrize("name", ["grad_norm", "grad_uncertainty", "ex_grad"])
def test_head_gradients_depend_on_one_image_and_not_on_a_shift(rows, name):
    features, logits = rows
    whole = of_features(name, features, logits)
    alone = [
        of_features(name, z[None], f[None])[0]
        for z, f in zip(features, logits, strict=True)
    ]
    assert whole == pytest.approx(alone, rel=1e-12)
    assert of_features(name, features, logits + 8) == pytest.approx(whole, rel=1e-5)
    for scale in (0.01, 100):
        assert len(set(of_features(name, 1000 * features, scale * logits))) == 9


@pytest.mark.parametrize("name", ["grad_norm", "grad_uncertainty", "ex_grad"])
def test_one_class_has_no_gradient(name):
    assert of_features(name, [[1.0, 2]], [[3.0]]) == pytest.approx([0])


def test_confident_images_do_not_tie_in_ex_grad():
    scores = of_features("ex_grad", [[1.0]] * 2, [[0.0, 50], [0, 60]])
    assert scores == pytest.approx([-4 * math.exp(-50), -4 * math.exp(-60)], rel=1e-9)
    assert scores[0] < scores[1] < 0


# One step on the pixels.


@pytest.mark.parametrize("spec", ["odin", "i_odin", "pro"])
def test_two_classes_by_hand(spec):
    # f = (x₁ − 2 x₂, 0) at x = (0.9, 0.1): class 0 wins, and the gradient of its log
    # probability has the signs (+, −); the second pixel has the larger one.
    network = linear_network([[1.0, -2], [0, 0]], (1, 1, 2))
    options = ":epsilon=0.1:steps=2" if spec == "pro" else ":epsilon=0.1:temperature=10"
    scores, seen = of_pixels(spec + options, network, [[[[0.9, 0.1]]]])
    reached = {"odin": [1.0, 0.0], "i_odin": [0.9, 0.0], "pro": [0.7, 0.3]}[spec]
    assert seen[-1].flatten().tolist() == pytest.approx(reached, abs=1e-6)
    # The log odds of two classes are the difference of their logits over T.
    margin = abs(reached[0] - 2 * reached[1])
    assert scores == pytest.approx([margin / (1 if spec == "pro" else 10)], abs=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 1000.0])
@pytest.mark.parametrize("name", ["odin", "i_odin"])
def test_odin_against_numpy(sample, name, temperature):
    weight, images = sample
    gradient = ascent(weight, images, temperature)
    step = np.sign(gradient)
    if name == "i_odin":
        flat = np.abs(gradient).reshape(len(images), -1)
        is_largest = flat == flat.max(1, keepdims=True)
        step *= is_largest.reshape(step.shape)
    moved = (images + 0.05 * step).astype(np.float32)
    spec = f"{name}:temperature={temperature}:epsilon=0.05"
    found, seen = of_pixels(spec, linear_network(weight), images)
    assert seen[-1].numpy() == pytest.approx(moved, abs=1e-6)
    naive = odds(softmax(logits_of(weight, moved), temperature))
    assert found == pytest.approx(naive, rel=1e-3, abs=1e-5 / temperature)


def test_i_odin_moves_one_channel_of_one_pixel(sample):
    weight, images = sample
    _, seen = of_pixels("i_odin:epsilon=0.1", linear_network(weight), images)
    moved = (seen[-1] - torch.as_tensor(images)).flatten(1)
    assert (moved != 0).sum(1).tolist() == [1] * len(images)
    assert moved.abs().amax(1).numpy() == pytest.approx(0.1, rel=1e-5)


def test_without_a_step_both_are_msp_at_the_temperature(sample):
    weight, images = sample
    network = linear_network(weight)
    naive = odds(softmax(logits_of(weight, images), 1000))
    for name in ("odin", "i_odin"):
        found, seen = of_pixels(f"{name}:epsilon=0", network, images)
        assert found == pytest.approx(naive, rel=1e-4, abs=1e-8)
        assert len(seen) == 1
    msp, _ = of_pixels("msp", network, images)
    found, _ = of_pixels("odin:epsilon=0:temperature=1", network, images)
    assert found.tolist() == msp.tolist()


def test_pixels_may_leave_their_range_and_stay_without_gradient():
    network = linear_network([[1.0, 0], [-1, 0]], (1, 1, 2))
    _, seen = of_pixels("odin:epsilon=0.25", network, [[[[1.0, 1.0]]]])
    assert seen[-1].flatten().tolist() == [1.25, 1.0]


@pytest.mark.parametrize("scale", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("spec", ["odin", "i_odin", "pro", "pro:base=entropy"])
def test_steep_and_flat_networks_give_no_ties(sample, spec, scale):
    # At 100, probabilities round to 1 and the gradient of log p to 0.
    weight, images = sample
    scores, seen = of_pixels(spec, linear_network(weight, scale=scale), images)
    assert len(set(scores)) == len(images)
    assert (seen[-1].numpy() != images).reshape(len(images), -1).any(1).all()


# Several steps down.


@pytest.mark.parametrize("base", ["msp", "entropy"])
def test_pro_against_numpy(sample, base):
    weight, images = sample

    def confidence(x):
        p = softmax(logits_of(weight, x))
        return odds(p) if base == "msp" else -np.log(-(p * np.log(p)).sum(1))

    def gradient(x):
        if base == "msp":
            return ascent(weight, x)
        p = softmax(logits_of(weight, x))
        inner = np.log(p) - (p * np.log(p)).sum(1, keepdims=True)
        return ((p * inner) @ weight.astype(float)).reshape(x.shape)

    x, lowest = images, confidence(images)
    for _ in range(3):
        x = (x - np.float32(0.01) * np.sign(gradient(x))).astype(np.float32)
        lowest = np.minimum(lowest, confidence(x))
    spec = f"pro:base={base}:epsilon=0.01"
    found, seen = of_pixels(spec, linear_network(weight), images)
    assert found == pytest.approx(lowest, rel=1e-4, abs=1e-5)
    assert len(seen) == 4


def test_pro_keeps_the_lowest_and_not_the_last():
    # f = (x, 0) on the way 0.05, −0.15, 0.05: beyond the boundary, the step turns back.
    network = linear_network([[1.0], [0]], (1, 1, 1))
    scores, seen = of_pixels("pro:epsilon=0.2:steps=2", network, [[[[0.05]]]])
    assert torch.cat(seen).flatten().tolist() == pytest.approx([0.05, -0.15, 0.05])
    assert scores == pytest.approx([0.05])


def test_pro_never_rises_with_more_steps(sample):
    weight, images = sample
    network = linear_network(weight)
    scores = [of_pixels(f"pro:steps={steps}", network, images)[0] for steps in range(5)]
    assert (np.diff(scores, axis=0) <= 0).all()
    assert scores[0].tolist() == of_pixels("msp", network, images)[0].tolist()
    entropy, _ = of_pixels("pro:steps=0:base=entropy", network, images)
    assert entropy == pytest.approx(of_pixels("entropy", network, images)[0])


# Views.


@pytest.mark.parametrize("average", ["probabilities", "logits"])
@pytest.mark.parametrize("rotations", [False, True])
def test_tta_against_numpy(sample, average, rotations):
    weight, images = sample
    views = [images, images[..., ::-1]]
    if rotations:
        views += [np.rot90(images, turns, (2, 3)) for turns in (1, 2, 3)]
    logits = np.stack([logits_of(weight, view) for view in views])
    p = softmax(logits)
    mean = p.mean(0) if average == "probabilities" else softmax(logits.mean(0))
    spec = f"tta:average={average}:rotations={rotations}"
    network = linear_network(weight)
    found, seen = of_pixels(spec, network, images)
    assert found == pytest.approx(odds(mean), rel=1e-4, abs=1e-5)
    assert len(seen) == len(views)
    divergence = (p * np.log(p / mean)).sum(2).mean(0)
    found, _ = of_pixels(f"{spec}:score_of=agreement", network, images)
    assert found == pytest.approx(-divergence, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("score_of", ["confidence", "agreement"])
def test_a_mirrored_image_has_the_same_score(sample, score_of):
    weight, images = sample
    network, spec = linear_network(weight), f"tta:score_of={score_of}"
    found, _ = of_pixels(spec, network, images)
    mirrored, _ = of_pixels(spec, network, images[..., ::-1].copy())
    assert mirrored == pytest.approx(found, rel=1e-5)


def test_views_that_agree_have_the_score_zero():
    network = linear_network(np.eye(2), (1, 1, 2))
    agreeing, _ = of_pixels("tta:score_of=agreement", network, [[[[0.5, 0.5]]]])
    assert agreeing == pytest.approx([0], abs=1e-12)


def test_turned_images_must_be_square():
    network = linear_network(np.eye(2), (1, 1, 2))
    with pytest.raises(ValueError, match="must be square, not 1x2"):
        of_pixels("tta:rotations=True", network, [[[[0.5, 0.5]]]])


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("i_odin:epsilon=-0.1", "epsilon must be at least 0, got -0.1"),
        ("pro:epsilon=-0.1", "epsilon must be at least 0, got -0.1"),
        ("pro:steps=-1", "steps must be at least 0, got -1"),
        ("pro:base=gen", "base must be msp or entropy, got 'gen'"),
        ("tta:average=votes", "average must be .*, got 'votes'"),
        ("tta:score_of=votes", "score_of must be .*, got 'votes'"),
    ],
)
def test_parameters_out_of_range(spec, message):
    with pytest.raises(InputError, match=message):
        open_detector(spec)

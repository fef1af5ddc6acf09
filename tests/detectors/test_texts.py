"""Detectors that compare images with texts, against naive float64 versions."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from made_outputs import batch_of, scores_of

from oodbench import InputError, Outputs
from oodbench.scoring.engine import lacks
from oodbench.scoring.spec import open_detector
from oodbench.testing import problem

RNG = np.random.default_rng(0)
IMAGES, TEXTS, NEGATIVES = (RNG.standard_normal((n, 8)) for n in (6, 4, 23))


def outputs(images=IMAGES, texts=TEXTS, negatives=NEGATIVES):
    made = (torch.tensor(each, dtype=torch.float32) for each in (texts, negatives))
    texts, negatives = made
    return replace(batch_of(images), texts=texts, negatives=negatives)


def sigmoid(scores):
    return 1 / (1 + np.exp(-scores))


def unit(vectors):
    vectors = np.asarray(vectors, np.float32).astype(float)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def of_cosines(*cosines):
    """Returns unit vectors whose cosines with the first axis are given."""
    return [[each, math.sqrt(1 - each**2)] for each in cosines]


def scores(spec, batch):
    return scores_of(open_detector(spec).detector, batch)


def test_mcm_of_two_cosines_by_hand():
    batch = outputs([[2.0, 0.0]], of_cosines(0.3, 0.1))
    assert sigmoid(scores("mcm", batch)) == pytest.approx([0.54983], abs=5e-6)


def test_neglabel_of_one_class_and_one_negative_by_hand():
    batch = outputs([[5.0, 0.0]], of_cosines(0.3), of_cosines(0.1))
    found = sigmoid(scores("neglabel:groups=1:temperature=1", batch))
    assert found == pytest.approx([0.54983], abs=5e-6)


@pytest.mark.parametrize("temperature", [1.0, 0.01])
def test_mcm_is_the_largest_probability_of_cosines(temperature):
    found = scores(f"mcm:temperature={temperature}", outputs())
    powers = np.exp(unit(IMAGES) @ unit(TEXTS).T / temperature)
    largest = (powers / powers.sum(1, keepdims=True)).max(1)
    assert sigmoid(found) == pytest.approx(largest, rel=1e-6)


def test_mcm_keeps_digits_among_a_thousand_classes():
    texts = RNG.standard_normal((1000, 8))
    found = scores("mcm", outputs(texts=texts))
    powers = np.exp(unit(IMAGES) @ unit(texts).T)
    largest = (powers / powers.sum(1, keepdims=True)).max(1)
    assert np.array_equal(np.argsort(found), np.argsort(largest))
    assert len(set(found)) == len(IMAGES)


@pytest.mark.parametrize("groups", [1, 4, 23])
def test_neglabel_is_the_mean_share_of_the_classes_over_groups(groups):
    each = len(NEGATIVES) // groups
    order = torch.randperm(
        groups * each, generator=torch.Generator().manual_seed(3)
    ).numpy()
    inside, outside = (
        np.exp(unit(IMAGES) @ unit(texts).T / 0.5) for texts in (TEXTS, NEGATIVES)
    )
    inside = inside.sum(1)
    shares = [
        inside / (inside + outside[:, members].sum(1))
        for members in order.reshape(groups, each)
    ]
    spec = f"neglabel:groups={groups}:temperature=0.5:seed=3"
    found = sigmoid(scores(spec, outputs()))
    assert found == pytest.approx(np.mean(shares, axis=0), rel=1e-6)


def test_neglabel_tells_images_apart_whose_share_rounds_to_one():
    images = of_cosines(1.0, 0.9, 0.8)
    batch = outputs(images, [[1.0, 0.0]], [[-1.0, 0.0]])
    found = scores("neglabel:groups=1", batch)
    assert found == pytest.approx([200, 180, 160], rel=1e-6)
    assert (sigmoid(found) == 1).all()


@pytest.mark.parametrize("spec", ["mcm", "neglabel:groups=5"])
def test_lengths_of_embeddings_do_not_count(spec):
    longer = outputs(3 * IMAGES, 0.1 * TEXTS, 7 * NEGATIVES)
    assert scores(spec, longer) == pytest.approx(scores(spec, outputs()), rel=1e-5)


def test_fewer_negatives_than_groups_are_refused():
    detector = open_detector("neglabel").detector
    with pytest.raises(ValueError, match="23 negative texts make no 100 groups"):
        detector.score(Outputs(outputs(), detector))
    with pytest.raises(InputError, match="groups must be at least 1"):
        open_detector("neglabel:groups=0")


def test_mcm_with_the_scale_of_the_logits_is_msp():
    network = problem.zero_shot()
    images = torch.as_tensor(problem.both().images[:]).movedim(-1, 1) / 255
    result = network(images)
    batch = replace(
        batch_of(result.features, result.logits), texts=network.texts, negatives=None
    )
    temperature = 1 / network.module.scale
    found = scores(f"mcm:temperature={temperature}", batch)
    assert found == pytest.approx(scores("msp", batch), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("name", ["mcm", "neglabel"])
def test_a_network_without_texts_is_refused_in_one_sentence(tiny, name):
    detector = open_detector(name).detector
    assert "no zero-shot classifier" in lacks(tiny, detector)
    assert lacks(problem.zero_shot(), detector) == ""


def test_neglabel_alone_needs_negatives():
    network = problem.zero_shot()
    network.module.negatives = None
    assert lacks(network, open_detector("mcm").detector) == ""
    assert "--arg nouns=FILE" in lacks(network, open_detector("neglabel").detector)

"""Detectors with a bank of training features: by hand, and against NumPy."""

import math

import numpy as np
import pytest
import torch
from made_outputs import batch_of, fitted, scores_of

from oodbench.scoring.fitting import rows
from oodbench.scoring.spec import open_detector

SPECS = ["knn:k=5", "nnguide:k=5", "relation", "cf_ood"]


def scores(spec, bank, images):
    return scores_of(fitted(spec, bank), images)


def sample(seed, count=60, size=8, classes=4):
    rng = np.random.default_rng(seed)
    return rng.normal(0.5, 1, (count, size)), rng.normal(1, 2, (count, classes))


def unit(features):
    features = features.astype(np.float32).astype(float)
    return features / np.linalg.norm(features, axis=1, keepdims=True)


def energy(logits):
    return np.log(np.exp(logits.astype(np.float32).astype(float)).sum(1))


def softmax(logits):
    powers = np.exp(logits.astype(np.float32).astype(float))
    return powers / powers.sum(1, keepdims=True)


CORNERS = [[1.0, 0], [0, 1]]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [("knn:k=1", 0), ("knn:k=2", -math.sqrt(2)), ("knn", -math.sqrt(2))],
)
def test_knn_by_hand(spec, expected):
    found = scores(spec, batch_of(CORNERS), batch_of([[2.0, 0]]))
    assert found == pytest.approx([expected])


def test_knn_counts_duplicates_and_can_keep_lengths():
    bank = batch_of([[1.0, 0], [1, 0], [0, 1]])
    assert scores("knn:k=2", bank, batch_of([[2.0, 0]])) == pytest.approx([0])
    raw = scores("knn:k=2:normalize=False", bank, batch_of([[2.0, 0]]))
    assert raw == pytest.approx([-1])


def test_knn_takes_the_fiftieth_by_default():
    bank, images = batch_of(sample(0)[0]), batch_of(sample(1)[0])
    assert (scores("knn", bank, images) == scores("knn:k=50", bank, images)).all()


@pytest.mark.parametrize(("k", "expected"), [(1, 10), (2, 5)])
def test_nnguide_by_hand(k, expected):
    bank = batch_of(CORNERS, [[2.0, -99], [4, -99]])
    found = scores(f"nnguide:k={k}", bank, batch_of([[3.0, 0]], [[5.0, -99]]))
    assert found == pytest.approx([expected])


def test_the_product_of_negative_energies_is_positive():
    bank = batch_of(CORNERS, [[-2.0, -99], [-4, -99]])
    # ⟨ẑ, E_i ẑ_i⟩ is −2 and 0; the larger is 0.
    for k, expected in ((1, 0), (2, 5)):
        found = scores(f"nnguide:k={k}", bank, batch_of([[3.0, 0]], [[-5.0, -99]]))
        assert found == pytest.approx([expected])


def test_relation_by_hand():
    one = batch_of([[1.0, 0]], [[0.0, 0]])
    image = batch_of([[1.0, 0], [-1, 0]], [[0.0, math.log(3)]] * 2)
    assert scores("relation", one, image) == pytest.approx([0.5, 0])
    assert scores("relation:power=2", one, image) == pytest.approx([0.25, 0])


def test_relation_compares_the_relation_itself_strictly():
    # cos 1 and ⟨p, p_i⟩ = 1/2: the relation is 0.5 exactly.
    one, image = batch_of([[1.0, 0]]), batch_of([[1.0, 0]])
    assert scores("relation:threshold=0.5", one, image) == [0]
    # Its square is below the threshold, the relation above it.
    found = scores("relation:threshold=0.4:power=2", one, image)
    assert found == pytest.approx([0.25])


def test_more_training_images_never_lower_the_relation():
    features, logits = sample(0)
    images = batch_of(*sample(1))
    less = scores("relation", batch_of(features[:30], logits[:30]), images)
    assert (scores("relation", batch_of(features, logits), images) >= less).all()


def test_cf_ood_of_far_images_and_of_members():
    features, _ = sample(0)
    features[:, 0] = np.abs(features[:, 0]) + 5
    bank = batch_of(features)
    assert scores("cf_ood", bank, batch_of([[-1.0] + 7 * [0]])) == [-1]
    assert scores("cf_ood", bank, batch_of(features[:9])) == pytest.approx([-0.001] * 9)


def test_cf_ood_falls_as_the_image_moves_away():
    # On an arc of 60 images, towards the side where there are none.
    angles = np.linspace(0, 0.5, 60)
    bank = batch_of(np.stack([np.cos(angles), np.sin(angles)], 1))
    away = np.linspace(0.5, 1.5, 30)
    found = scores("cf_ood", bank, batch_of(np.stack([np.cos(away), np.sin(away)], 1)))
    assert (np.diff(found) <= 0).all()
    assert len(set(found)) > 5


def naive_knn(bank, images):
    away = np.linalg.norm(unit(images[0])[:, None] - unit(bank[0]), axis=2)
    return -np.sort(away, 1)[:, 4]


def naive_nnguide(bank, images):
    guided = (unit(images[0]) @ unit(bank[0]).T) * energy(bank[1])
    return energy(images[1]) * np.sort(guided, 1)[:, -5:].mean(1)


def naive_relation(bank, images):
    relations = np.maximum(0, unit(images[0]) @ unit(bank[0]).T)
    relations = relations * (softmax(images[1]) @ softmax(bank[1]).T)
    return (relations * (relations > 0.03)).sum(1)


def naive_cf_ood(bank, images):
    grid = [np.linspace(0.001, 0.1, 100), np.linspace(0.105, 0.5, 81)]
    fractions = np.concatenate([*grid, np.linspace(0.51, 0.99, 49)])
    rows, size = unit(bank[0]), len(bank[0])
    within = np.sort(np.linalg.norm(rows[:, None] - rows, axis=2), 1)
    found = []
    for image in unit(images[0]):
        away = np.linalg.norm(image - rows, axis=1)
        for fraction in fractions:
            reach = within[:, int(fraction * size - 1) + 1]
            if (reach >= away).mean() >= 0.01:
                found.append(-fraction)
                break
        else:
            found.append(-1)
    return np.array(found)


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("count", [60, 250])
def test_scores_are_those_of_numpy(spec, count):
    bank, images = sample(0, count), sample(1, 300)
    naive = globals()[f"naive_{spec.partition(':')[0]}"](bank, images)
    found = scores(spec, batch_of(*bank), batch_of(*images))
    assert found == pytest.approx(naive, rel=1e-6, abs=1e-7)
    assert len(set(found)) > 7


@pytest.mark.parametrize("spec", SPECS)
def test_lengths_of_features_do_not_count(spec):
    bank, (features, logits) = batch_of(*sample(0)), sample(1)
    expected = scores(spec, bank, batch_of(features, logits))
    found = scores(spec, bank, batch_of(8 * features, logits))
    assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("spec", SPECS)
def test_features_of_zeros_have_a_score(spec):
    features, logits = sample(0)
    features[0] = 0
    one = batch_of(features, logits)
    assert np.isfinite(scores(spec, one, one)).all()


@pytest.mark.parametrize("spec", SPECS)
def test_a_share_is_drawn_by_its_seed_alone(spec):
    bank, images = batch_of(*sample(0)), batch_of(*sample(1))
    state = torch.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    found = scores(f"{spec}:share=0.5", bank, images)
    assert torch.equal(torch.get_rng_state(), state[0])
    assert np.random.get_state()[1].tolist() == state[1]  # noqa: NPY002
    assert (scores(f"{spec}:share=0.5", bank, images) == found).all()
    assert (scores(f"{spec}:share=0.5:seed=1", bank, images) != found).any()
    assert (scores(spec, bank, images) != found).any()


@pytest.mark.parametrize(
    ("spec", "images", "expected"),
    [
        ("knn", 100_000, 100_000),
        ("knn", 100_001, 10_000),
        ("knn", 1_200_000, 12_000),
        ("knn:share=0.5", 100_001, 50_000),
        ("cf_ood:most=30", 100_001, 30),
        ("nac:images=7", 60, 7),
    ],
)
def test_the_number_of_images_in_a_bank(spec, images, expected):
    features = np.arange(1, images + 1)[:, None]
    bank = batch_of(features, np.zeros((images, 2)), weight=[[1], [2]])
    assert fitted(spec, bank).fitted_images == expected


def test_a_bank_is_drawn_from_the_whole_set():
    bank = batch_of(np.arange(200_000)[:, None])
    found = fitted("knn:k=1:normalize=False", bank)
    ends = batch_of([[0.0], [199_999]])
    assert (scores_of(found, ends) > -1000).all()


@pytest.mark.parametrize("spec", [*SPECS, "knn:k=5:normalize=False"])
def test_a_bank_in_a_file_gives_the_same_scores(spec, monkeypatch):
    bank, images = batch_of(*sample(0)), batch_of(*sample(1))
    in_memory = scores(f"{spec}:share=0.5", bank, images)
    monkeypatch.setattr(rows, "LIMIT", 8)
    assert (scores(f"{spec}:share=0.5", bank, images) == in_memory).all()


def test_features_and_logits_of_a_share_belong_together():
    rows = np.eye(40)
    logits = np.arange(1, 41)[:, None] * np.array([[1.0, -9]])
    bank = batch_of(rows, logits)
    found = scores("nnguide:k=1:share=0.5", bank, batch_of(rows, logits))
    # A kept image finds itself, E · E; the others find nothing.
    energies = energy(logits)
    kept = found > 1e-9
    assert kept.sum() == 20
    assert found[kept] == pytest.approx(energies[kept] ** 2)


def test_the_bank_of_cf_ood_has_a_largest_size():
    bank, images = batch_of(*sample(0)), batch_of(*sample(1))
    found = scores("cf_ood:most=30", bank, images)
    assert (found == scores("cf_ood:share=0.5", bank, images)).all()


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("knn:k=3", "k is 3, the training images in the bank 2"),
        ("nnguide:k=2:share=0.5", "k is 2, the training images in the bank 1"),
        ("cf_ood:share=0.5", "the bank has 1 image; it needs at least 2"),
    ],
)
def test_a_bank_that_is_too_small_is_refused(spec, reason):
    with pytest.raises(ValueError, match=reason):
        fitted(spec, batch_of(CORNERS))


@pytest.mark.parametrize("spec", ["knn", "nnguide", "relation", "cf_ood"])
def test_no_training_images_are_refused(spec):
    with pytest.raises(ValueError, match="there are no training images"):
        fitted(spec, batch_of(np.zeros((0, 2))))


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("knn:k=-1", "k must be at least 0, got -1"),
        ("nnguide:k=0", "k must be at least 1, got 0"),
        ("relation:power=0", "power must be above 0, got 0"),
        ("relation:threshold=-1", "threshold must be at least 0, got -1"),
        ("cf_ood:hosts=0", "hosts must be above 0 and at most 1, got 0"),
        ("cf_ood:most=1", "most must be at least 2, got 1"),
        ("knn:share=-0.1", "share must be from 0 to 1, got -0.1"),
        ("knn:share=1.5", "share must be from 0 to 1, got 1.5"),
        ("knn:seed=-1", "seed must be at least 0, got -1"),
        ("actsub:power=-1", "power must be at least 0, got -1"),
        ("actsub:percentile=101", "percentile must be from 0 to 100, got 101"),
    ],
)
def test_impossible_parameters_are_refused(spec, reason):
    with pytest.raises(Exception, match=reason):
        open_detector(spec)


# ActSub.


@pytest.fixture
def heads():
    rng = np.random.default_rng(2)
    head = {"weight": rng.normal(size=(4, 8)), "bias": rng.normal(size=4)}
    known, images = rng.exponential(size=(60, 8)), rng.exponential(size=(20, 8))
    return batch_of(known, **head), batch_of(images, **head)


def split_of(train, turned):
    """Returns where the mean lengths of both parts differ least."""
    y = train @ turned.T
    gaps = [
        np.linalg.norm(y[:, :c], axis=1).mean()
        - np.linalg.norm(y[:, c:], axis=1).mean()
        for c in range(8)
    ]
    return np.abs(gaps).argmin()


@pytest.mark.parametrize(("power", "percentile"), [(2, 95), (0.5, 50), (0, 50)])
def test_actsub_against_numpy(heads, power, percentile):
    weight, bias = (each.double().numpy() for each in heads[0].head.parameters())
    train, z = (one.features.double().numpy() for one in heads)
    turned = np.linalg.svd(weight)[2]
    split = split_of(train, turned)
    assert 0 < split < 8
    first, rest = turned[:split], turned[split:]
    decisive = z @ first.T @ first
    positive = np.sort(np.maximum(decisive, 0))[:, ::-1]
    kept = 8 - round(8 * percentile / 100)
    r = positive.sum(1) / positive[:, :kept].sum(1) if kept else np.ones(20)
    scaled = decisive * np.exp(r)[:, None]
    inner = [each @ rest.T @ rest for each in (z, train)]
    cosines = np.sort(inner_cosines(*inner))[:, -10:].mean(1)
    likeness = -np.log(1 - np.maximum(cosines, 0))
    expected = np.log(np.exp(scaled @ weight.T + bias).sum(1)) * likeness**power
    found = scores(f"actsub:power={power}:percentile={percentile}", *heads)
    assert found == pytest.approx(expected, rel=1e-5)


def inner_cosines(rows, others):
    lengths = [np.linalg.norm(each, axis=1) for each in (rows, others)]
    return rows @ others.T / np.outer(*lengths)


def test_actsub_of_ten_equal_images_is_finite(heads):
    same = batch_of(
        np.repeat(heads[1].features[:1].numpy(), 12, 0), weight=heads[0].head.weight
    )
    assert np.isfinite(scores("actsub", same, same)).all()


def test_actsub_of_opposite_images_counts_no_likeness():
    known = batch_of([[1.0, 5]] * 10, weight=[[1.0, 0]])
    found = scores("actsub:power=0.5", known, batch_of([[1.0, -5]], weight=[[1.0, 0]]))
    assert found == [0]


def test_actsub_needs_ten_training_images():
    few = batch_of(np.eye(3), weight=np.eye(3))
    with pytest.raises(ValueError, match="k is 10, the training images in the bank 3"):
        fitted("actsub", few)


@pytest.mark.parametrize("other", ["power=1", "percentile=50", "share=0.5"])
def test_each_parameter_of_actsub_changes_the_score(heads, other):
    assert (scores("actsub", *heads) != scores(f"actsub:{other}", *heads)).any()

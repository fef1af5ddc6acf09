"""Detectors on feature maps: against NumPy in float64, and by hand."""

import numpy as np
import pytest
import torch
from scipy.special import logsumexp, softmax
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture
from torch import nn

from oodbench import InputError, Network, Split
from oodbench.scoring.engine import Engine
from oodbench.scoring.spec import open_detector

NAC = "nac_layers:alpha=3/40:enough=9/4:bins=20/50"
SPECS = [
    "mahalanobis_layers",
    "gram:held_out=0.3",
    "rankfeat",
    "davis",
    "davis:variant=max",
    "davis+mahalanobis",
    NAC,
    "sem:components=2",
    "gaia",
]


def convolutions(*, size=3, channels=(4, 6), scale=1.0):
    """Returns a network with the blocks 1 and 3, on images of 6x8 pixels.

    It predicts several classes.
    """
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, channels[0], size, 1, size // 2),
        nn.ReLU(),
        nn.Conv2d(channels[0], channels[1], size, 1 + size // 2, size // 2),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(channels[1], 5),
    )
    with torch.no_grad():
        module[0].weight *= scale
        module[6].weight *= 30 / scale
        module[6].bias -= module(tensor(images(60, 0))).mean(0)
    return Network(module, (3, 6, 8), blocks=("1", "3"))


@pytest.fixture
def network():
    return convolutions()


def images(count, seed):
    rng = np.random.default_rng(seed)
    brightness = rng.random((count, 1, 1, 3))
    pixels = (255 * brightness * rng.random((count, 6, 8, 3))).astype(np.uint8)
    return Split(pixels, np.arange(count) % 5)


@pytest.fixture
def known():
    return images(60, 0)


@pytest.fixture
def new():
    return images(15, 1)


def failure(spec, network, known):
    engine = Engine(network, {"it": open_detector(spec).detector})
    (why,) = engine.fit("train", known, tell=lambda done: None).values()
    return why


def scores(spec, network, known, split, batch_size=16):
    detector = open_detector(spec).detector
    engine = Engine(network, {"it": detector}, batch_size)
    stage = detector.fitted_on
    assert not stage or engine.fit(stage, known, tell=lambda done: None) == {}
    found = engine.score(split, has_labels=False, tell=lambda done: None)
    assert found.failures == {}
    return found.scores["it"]


def tensor(split):
    return torch.from_numpy(split.images).permute(0, 3, 1, 2).float() / 255


def outputs(network, split):
    """Returns the maps of both blocks, `[N, C, H, W]`, and logits, float64."""
    found = network(tensor(split), with_maps=True)
    maps = [found.maps[name].double().numpy() for name in ("1", "3")]
    return maps, found.logits.double().numpy()


def layer(network, number):
    own = network.module[number]
    return own.weight.double().numpy(), own.bias.double().numpy()


@pytest.mark.parametrize("spec", SPECS)
def test_scores_do_not_depend_on_the_batch_and_are_repeated(spec, network, known, new):
    whole = scores(spec, network, known, new)
    assert np.isfinite(whole).all()
    assert len(set(whole.tolist())) > 5
    assert scores(spec, network, known, new).tolist() == whole.tolist()
    one = scores(spec, network, known, new, batch_size=1)
    np.testing.assert_allclose(one, whole, rtol=1e-5, atol=1e-5)


def naive_distances(train, labels, test):
    """Returns the squared distances to the nearest class mean."""
    groups = [train[labels == k] for k in np.unique(labels)]
    means = [own.mean(0) for own in groups]
    within = sum((own - m).T @ (own - m) for own, m in zip(groups, means, strict=True))
    precision = np.linalg.pinv(within / len(train), hermitian=True)
    away = test[:, None] - np.stack(means)
    return np.einsum("nki,ij,nkj->nk", away, precision, away).min(1)


def test_mahalanobis_layers_is_the_sum_of_standardised_distances(network, known, new):
    train, test = (outputs(network, each)[0] for each in (known, new))
    expected = 0
    for own, others in zip(train, test, strict=True):
        rows, new_rows = own.mean((2, 3)), others.mean((2, 3))
        spread = naive_distances(rows, known.labels, rows).std()
        expected -= naive_distances(rows, known.labels, new_rows) / spread
    found = scores("mahalanobis_layers", network, known, new)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_mahalanobis_layers_of_the_last_block_orders_images_as_mahalanobis(known, new):
    network = Network(convolutions().module, (3, 6, 8), blocks=("3",))
    ratio = scores("mahalanobis_layers", network, known, new) / scores(
        "mahalanobis", network, known, new
    )
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-5)
    assert ratio[0] > 0


def test_mahalanobis_layers_of_equal_distances_is_refused(known):
    # One channel, and two kinds of images at equal distance from their class's mean.
    network = convolutions(size=1, channels=(1, 1))
    with torch.no_grad():
        network.module[0].weight.abs_()
        network.module[2].weight.abs_()
    pixels = np.full((10, 6, 8, 3), 100, np.uint8)
    pixels[5:] = 200
    equal = Split(pixels, np.zeros(10, np.int64))
    assert "the same distance in block 1" in failure(
        "mahalanobis_layers", network, equal
    )


def naive_correlations(maps, orders):
    """Returns the signed roots of row sums, `[N, orders, C]`."""
    rows = []
    for one in maps.reshape(*maps.shape[:2], -1):
        sums = [(one**p @ (one**p).T).sum(1) for p in range(1, orders + 1)]
        rows.append([np.sign(s) * np.abs(s) ** (1 / p) for p, s in enumerate(sums, 1)])
    return np.array(rows)


def naive_deviations(rows, predicted, test, logits):
    """Returns how much test rows leave the ranges of their predicted class."""
    found = []
    for row, own in zip(test, logits, strict=True):
        inside = rows[predicted == own.argmax()]
        inside = inside if len(inside) else rows
        low, high = inside.min(0), inside.max(0)
        below = np.maximum(low - row, 0) / np.abs(low + 1e-6)
        above = np.maximum(row - high, 0) / np.abs(high + 1e-6)
        found.append((below + above).sum() / softmax(own).max())
    return np.array(found)


@pytest.mark.parametrize("orders", [1, 10])
def test_gram_is_the_deviation_relative_to_that_of_held_out_images(
    network, known, new, orders
):
    # Without the training images that are predicted as one class.
    predicted = outputs(network, known)[1].argmax(1)
    test, new_logits = outputs(network, new)
    others = predicted != new_logits.argmax(1)[0]
    known = Split(known.images[others], known.labels[others])
    train, logits = outputs(network, known)
    count = len(known.images)
    order = np.random.default_rng(7).permutation(count)
    kept, rest = np.split(order, [count - round(0.3 * count)])
    predicted = logits[kept].argmax(1)
    assert len(set(predicted)) > 1
    expected = 0
    for own, others in zip(train, test, strict=True):
        rows = naive_correlations(own, orders)
        usual = naive_deviations(rows[kept], predicted, rows[rest], logits[rest]).mean()
        new_rows = naive_correlations(others, orders)
        expected -= (
            naive_deviations(rows[kept], predicted, new_rows, new_logits) / usual
        )
    spec = f"gram:orders={orders}:held_out=0.3:seed=7"
    found = scores(spec, network, known, new)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_gram_of_images_that_the_ranges_are_of_is_zero(network, known):
    found = scores("gram:held_out=0.3:seed=7", network, known, known)
    kept, rest = np.split(np.random.default_rng(7).permutation(60), [42])
    assert found[kept].tolist() == [0.0] * 42
    assert found[rest].min() < 0


def test_gram_does_not_depend_on_the_order_of_positions(known, new):
    network = convolutions(size=1)
    order = np.random.default_rng(3).permutation(48)
    moved = Split(new.images.reshape(15, 48, 3)[:, order].reshape(new.images.shape))
    found = scores("gram:held_out=0.3", network, known, moved)
    np.testing.assert_allclose(
        found, scores("gram:held_out=0.3", network, known, new), rtol=1e-4
    )


def test_gram_of_large_maps_is_finite(known, new):
    found = scores("gram", convolutions(scale=1e6), known, new)
    assert np.isfinite(found).all()
    assert found.min() < 0


def test_gram_refuses_a_split_that_says_nothing(network, known):
    equal = Split(known.images[:1].repeat(20, axis=0), np.zeros(20, np.int64))
    assert "no held-out image leaves the ranges of block 1" in failure(
        "gram", network, equal
    )
    few = Split(known.images[:3], known.labels[:3])
    assert "3 training images are too few to hold out 0.1" in failure(
        "gram", network, few
    )


def without_largest(maps):
    left, values, right = np.linalg.svd(maps.reshape(*maps.shape[:2], -1))
    values[:, 0] = 0
    right = right[:, : values.shape[1]]
    return ((left[:, :, : values.shape[1]] * values[:, None]) @ right).reshape(
        maps.shape
    )


def test_rankfeat_averages_the_logits_behind_maps_without_their_first_component(
    network, new
):
    (first, last), _ = outputs(network, new)
    tail = network.module[2:4].double()
    with torch.no_grad():
        maps = tail(torch.from_numpy(without_largest(first))).numpy()
    network.module.float()
    weight, bias = layer(network, 6)
    logits = [
        each.mean((2, 3)) @ weight.T + bias for each in (maps, without_largest(last))
    ]
    found = scores("rankfeat", network, None, new)
    np.testing.assert_allclose(found, logsumexp(np.mean(logits, 0), 1), rtol=1e-5)


def test_rankfeat_of_maps_of_rank_one_is_the_energy_of_maps_of_zeros(new):
    network = convolutions(channels=(1, 1))
    weight, bias = layer(network, 6)
    with torch.no_grad():
        feature = network.module[2:6](torch.zeros(1, 1, 6, 8)).item()
    expected = logsumexp((weight[:, 0] * feature) / 2 + bias)
    found = scores("rankfeat", network, None, new)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_rankfeat_of_one_block_runs_once(new):
    network = Network(convolutions().module, (3, 6, 8), blocks=("3",))
    weight, bias = layer(network, 6)
    last = network(tensor(new), with_maps=True).maps["3"].double().numpy()
    logits = without_largest(last).mean((2, 3)) @ weight.T + bias
    found = scores("rankfeat", network, None, new)
    np.testing.assert_allclose(found, logsumexp(logits, 1), rtol=1e-5)


@pytest.mark.parametrize("variant", ["std", "max"])
def test_davis_is_the_energy_of_features_pooled_in_another_way(network, new, variant):
    (_, last), _ = outputs(network, new)
    spread = last.std((2, 3), ddof=1)
    pooled = last.max((2, 3)) if variant == "max" else last.mean((2, 3)) + 2 * spread
    weight, bias = layer(network, 6)
    found = scores(f"davis:variant={variant}:gamma=2", network, None, new)
    np.testing.assert_allclose(found, logsumexp(pooled @ weight.T + bias, 1), rtol=1e-5)


def test_davis_without_the_spread_is_energy(network, new):
    plain, pooled = (
        scores(spec, network, None, new) for spec in ("energy", "davis:gamma=0")
    )
    np.testing.assert_allclose(pooled, plain, rtol=1e-5)


def test_a_detector_behind_davis_is_fitted_on_its_features(network, known, new):
    rows = [
        last.mean((2, 3)) + last.std((2, 3), ddof=1)
        for last in (outputs(network, split)[0][1] for split in (known, new))
    ]
    expected = -naive_distances(rows[0], known.labels, rows[1])
    found = scores("davis+mahalanobis", network, known, new)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_davis_refuses_a_map_that_is_not_averaged_to_the_features(new):
    network = Network(convolutions().module, (3, 6, 8), blocks=("1",))
    engine = Engine(network, {"it": open_detector("davis").detector})
    found = engine.score(new, has_labels=False, tell=lambda done: None)
    assert "features are not the mean of the map of '1'" in found.failures["it"]


def nac_products(network, split):
    """Returns activation · gradient of the features and of the first block."""
    first = network.module[:2](tensor(split)).detach().requires_grad_()
    features = network.module[2:6](first)
    features.retain_grad()
    p = network.module[6](features).softmax(1)
    (1 / 5 * (1 / 5 / p).log()).sum().backward()
    found = [features * features.grad, first.mean((2, 3)) * first.grad.mean((2, 3))]
    return [one.detach().double().numpy() for one in found]


def nac_coverage(known, new, alpha, enough, bins):
    """Returns the mean coverage of one layer's states."""
    middle = np.log(np.linspace(1, 1000**0.5, bins // 2)) / np.log(1000)
    edges = np.concatenate([middle[:-1], 1 - middle[::-1]])
    edges[-1] = 1.1
    known, new = (1 / (1 + np.exp(-alpha * one)) for one in (known, new))
    columns = []
    for own, others in zip(known.T, new.T, strict=True):
        counts = np.histogram(own, edges)[0]
        columns.append(np.minimum(counts[np.digitize(others, edges) - 1] / enough, 1))
    return np.mean(columns, 0)


def test_nac_layers_is_the_mean_coverage_of_features_and_earlier_maps(
    network, known, new
):
    (rows, maps), (new_rows, new_maps) = (
        nac_products(network, split) for split in (known, new)
    )
    expected = (
        nac_coverage(rows, new_rows, 3, 9, 20) + nac_coverage(maps, new_maps, 40, 4, 50)
    ) / 2
    np.testing.assert_allclose(scores(NAC, network, known, new), expected, rtol=1e-6)


def test_nac_layers_of_one_number_is_nac(network, known, new):
    one = scores("nac_layers:alpha=3:enough=9:bins=20", network, known, new)
    same = scores("nac:alpha=3:enough=9:bins=20", network, known, new)
    np.testing.assert_allclose(one, same, rtol=1e-6)


def test_nac_layers_covers_its_own_images_in_full(network, known):
    spec = "nac_layers:alpha=100/1000:enough=1/1:bins=50/500"
    assert scores(spec, network, known, known).tolist() == [1.0] * 60
    few = scores(f"{spec}:images=20", network, known, known)
    assert 20 <= (few == 1).sum() < 60


def test_gaia_is_the_mean_square_of_gradients_relative_to_that_of_all_classes(
    network, new
):
    module = network.module.double()
    first = module[:2](tensor(new).double()).detach().requires_grad_()
    last = module[2:4](first)
    last.retain_grad()
    features = module[4:6](last)
    features.sum().backward()
    inner = torch.cat([own.grad.mean((2, 3)) for own in (first, last)], 1)
    features = features.detach().requires_grad_()
    module[6](features).log_softmax(1).sum().backward()
    module.float()
    expected = -inner.square().mean(1) / features.grad.abs().mean(1)
    found = scores("gaia", network, None, new)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_gaia_counts_gradients_that_are_not_zero(network, new):
    network = Network(network.module, (3, 6, 8), blocks=("0", "2"))
    module, pixels = network.module, tensor(new)
    first = module[0](pixels).detach().requires_grad_()
    last = module[2](module[1](first))
    last.retain_grad()
    module[3:](last).max(1).values.sum().backward()
    shares = [(own.grad != 0).double().mean((2, 3)) for own in (first, last)]
    expected = -torch.cat(shares, 1).square().mean(1)
    assert 0 < -expected.max() < -expected.min() < 1
    found = scores("gaia:variant=zero", network, None, new)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_gaia_refuses_maps_whose_gradients_are_never_zero(network, new):
    engine = Engine(network, {"it": open_detector("gaia:variant=zero").detector})
    found = engine.score(new, has_labels=False, tell=lambda done: None)
    assert "no gradient by the maps of 1, 3 is 0" in found.failures["it"]


def styles(network, split):
    """Returns mean and variance of the channels of the first block."""
    first = outputs(network, split)[0][0]
    return np.hstack([first.mean((2, 3)), first.var((2, 3), ddof=1)])


def features(network, split):
    return network(tensor(split)).features.double().numpy()


def test_sem_of_one_component_is_a_difference_of_mahalanobis_distances(
    network, known, new
):
    expected = 0
    for rows_of, factor in ((features, -0.5), (styles, 0.5 * 0.2)):
        rows = rows_of(network, known)
        covariance = np.cov(rows.T, bias=True) + 1e-6 * np.eye(rows.shape[1])
        away = rows_of(network, new) - rows.mean(0)
        expected += factor * (away @ np.linalg.inv(covariance) * away).sum(1)
    found = scores("sem:components=1:styles=1:weight=0.2", network, known, new)
    np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_sem_of_several_components_is_that_of_scikit_learn(network, known, new):
    rows = features(network, known)
    pca = PCA(4).fit(rows)
    fitted = GaussianMixture(3, covariance_type="tied", random_state=5, max_iter=1000)
    fitted.fit(pca.transform(rows))
    expected = fitted.score_samples(pca.transform(features(network, new)))
    found = scores("sem:components=3:size=4:weight=0:seed=5", network, known, new)
    np.testing.assert_allclose(found - found[0], expected - expected[0], atol=1e-4)


def test_sem_of_far_images_does_not_tie(known):
    network = convolutions()
    with torch.no_grad():
        network.module[0].weight *= 30
    fitted_on = Split(known.images // 64, known.labels)
    found = scores("sem:components=2", network, fitted_on, known)
    assert found.max() < -200
    assert len(set(found.tolist())) == 60


def test_sem_of_fewer_images_than_components_is_refused(network, known):
    few = Split(known.images[:5], known.labels[:5])
    assert "5 images are too few for 10 components" in failure("sem", network, few)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("gram:orders=0", "orders must be at least 1, got 0"),
        ("gram:held_out=1", "held_out must be above 0 and below 1, got 1.0"),
        ("gram:seed=-1", "seed must be at least 0"),
        ("gaia:variant=all", "variant must be average or zero, got 'all'"),
        ("davis:variant=mean", "variant must be std or max, got 'mean'"),
        ("nac_layers:alpha=1", "must each give one number per layer, separated by /"),
        ("nac_layers:alpha=1/2/3/x", "got '1/2/3/x', '50/100/5/100' and"),
        ("nac_layers:bins=50/500/50/5", "bins must be even and at least 4, got 5"),
        ("nac_layers:images=0", "images must be at least 1, got 0"),
        ("sem:styles=0", "styles must be at least 1, got 0"),
        ("sem:weight=inf", "weight must be finite, got inf"),
        ("davis:gamma=-1", "gamma must be at least 0, got -1.0"),
    ],
)
def test_an_impossible_parameter_is_refused(spec, message):
    with pytest.raises(InputError, match=message):
        open_detector(spec)

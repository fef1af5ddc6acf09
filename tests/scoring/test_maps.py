"""Feature maps of blocks: found, summarised, differentiated and replaced."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from oodbench import Detector, InputError, Known, Need, Network, Outputs, Shaping, Split
from oodbench.scoring.batch import log_px
from oodbench.scoring.chain import Chain
from oodbench.scoring.engine import Engine, lacks


class Stage(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, 1, 1)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, stride, 1)

    def forward(self, x):
        return relu(self.conv2(relu(self.conv1(x))))


class Residual(nn.Module):
    """Maps of 8x8, 4x4 and 2x2 pixels; the rectifier writes into its input."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, 1, 1)
        self.act = nn.ReLU(inplace=True)
        self.stage1 = Stage(4, 6, 2)
        self.stage2 = Stage(6, 8, 2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(8, 5)

    def forward(self, x):
        x = self.stage2(self.stage1(self.act(self.stem(x))))
        return self.fc(self.pool(x).flatten(1))


@pytest.fixture
def network():
    torch.manual_seed(0)
    return Network(Residual(), (3, 8, 8))


@pytest.fixture
def split():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (12, 8, 8, 3), np.uint8)
    return Split(pixels, labels=np.arange(12) % 5)


def pooled(outputs: Outputs) -> Tensor:
    return torch.cat([outputs.map(b).mean((2, 3)) for b in outputs.blocks], 1)


@dataclass
class Pooled(Detector):
    needs = Need.BLOCKS
    summaries = (pooled,)
    fitted_on = "train"
    mean: Tensor = field(init=False, repr=False)

    def fit(self, known: Known) -> None:
        self.mean = known.summary(pooled).mean(0)

    def score(self, batch: Outputs) -> Tensor:
        return -(batch.summary(pooled) - self.mean).norm(dim=1)


def fitted(network, detector, split, batch_size=5):
    engine = Engine(network, {"it": detector}, batch_size)
    assert engine.fit("train", split, tell=lambda _: None) == {}
    return engine


def scores(network, detector, split, batch_size=5):
    engine = Engine(network, {"it": detector}, batch_size)
    scored = engine.score(split, has_labels=False, tell=lambda _: None)
    assert scored.failures == {}
    return scored.scores["it"]


def test_blocks_are_the_last_layers_of_each_size_outside_of_smaller_ones(network):
    assert network.block_names == ("act", "stage1", "stage2")


def test_a_container_of_all_layers_is_no_block_of_its_own():
    features = nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(2, 2, 1)
    )
    module = nn.Sequential(features, nn.Flatten(), nn.Linear(8, 3))
    assert Network(module, (1, 4, 4)).block_names == ("0.1", "0")


def test_a_network_without_maps_has_no_blocks(tiny):
    assert tiny.block_names == ()
    assert "no feature maps" in lacks(tiny, Pooled())


def test_blocks_can_be_named_and_a_wrong_name_is_refused():
    chosen = Network(Residual(), (3, 8, 8), blocks=("stage1.conv1",))
    assert chosen.block_names == ("stage1.conv1",)
    with pytest.raises(InputError, match="block with one map 'stage3'"):
        Network(Residual(), (3, 8, 8), blocks=("stage3",))


def test_maps_are_those_of_the_modules_though_later_layers_write(network):
    pixels = torch.rand(4, 3, 8, 8)
    named = Network(network.module, (3, 8, 8), blocks=("stem", "act"))
    found = named(pixels, with_maps=True)
    stem = network.module.stem(pixels)
    assert torch.equal(found.maps["stem"], stem)
    assert torch.equal(found.maps["act"], stem.relu())
    assert torch.equal(found.logits, network(pixels).logits)


def test_a_summary_is_the_same_in_fit_and_score_and_in_any_batches(network, split):
    detector = Pooled()
    fitted(network, detector, split)
    pixels = torch.as_tensor(split.images).permute(0, 3, 1, 2) / 255
    maps = network(pixels, with_maps=True).maps
    rows = torch.cat([one.mean((2, 3)) for one in maps.values()], 1)
    torch.testing.assert_close(detector.mean, rows.mean(0))
    expected = -(rows - rows.mean(0)).norm(dim=1)
    for size in (1, 5, 12):
        np.testing.assert_allclose(
            scores(network, detector, split, size), expected, rtol=1e-5
        )


def test_a_summary_that_is_not_listed_fails_by_name(network, split):
    detector = Pooled()
    detector.summaries = ()
    engine = Engine(network, {"it": detector}, 5)
    (why,) = engine.fit("train", split, tell=lambda _: None).values()
    assert "Pooled reads a summary that it does not list" in why


@pytest.mark.parametrize("images", [5, 2])
def test_a_summary_that_fails_in_any_batch_says_why(network, split, images):
    def fragile(outputs):
        if len(outputs) == images:  # the batches have 5, 5 and 2
            raise ZeroDivisionError("no such number")
        return outputs.logits

    class Fragile(Pooled):
        summaries = (fragile,)

        def fit(self, known):
            known.summary(fragile)

    engine = Engine(network, {"it": Fragile()}, 5)
    (why,) = engine.fit("train", split, tell=lambda _: None).values()
    assert "its summary failed: ZeroDivisionError: no such number" in why


def test_maps_of_a_whole_split_are_not_kept(network, split):
    class Greedy(Pooled):
        def fit(self, known):
            known.map("stage1")

    engine = Engine(network, {"it": Greedy()}, 5)
    (why,) = engine.fit("train", split, tell=lambda _: None).values()
    assert "there are no maps of a whole split" in why


def test_gradients_by_maps_are_those_of_the_rest_of_the_network(network, split):
    @dataclass
    class ByMap(Detector):
        needs = Need.BLOCKS
        objectives = (log_px,)

        def score(self, batch):
            return batch.map_gradient("stage2", log_px).flatten(1).norm(dim=1)

    pixels = torch.as_tensor(split.images).permute(0, 3, 1, 2) / 255
    maps = network(pixels, with_maps=True).maps["stage2"].requires_grad_()
    log_p = network.module.fc(maps.mean((2, 3))).logsumexp(1).sum()
    (gradient,) = torch.autograd.grad(log_p, maps)
    np.testing.assert_allclose(
        scores(network, ByMap(), split), gradient.flatten(1).norm(dim=1), rtol=1e-5
    )


def test_a_map_can_be_replaced(network, split):
    @dataclass
    class Tail(Detector):
        needs = Need.BLOCKS | Need.NETWORK
        scale: float = 1.0

        def score(self, batch):
            map_ = batch.map("stage2") * self.scale
            return batch.with_map("stage2", map_).logits[:, 0]

    module = network.module
    pixels = torch.as_tensor(split.images).permute(0, 3, 1, 2) / 255
    np.testing.assert_allclose(
        scores(network, Tail(), split), network(pixels).logits[:, 0], rtol=1e-6
    )
    zero = scores(network, Tail(scale=0.0), split)
    np.testing.assert_allclose(zero, module.fc.bias[0].item(), rtol=1e-6)


def test_a_shaping_of_maps_stands_first_in_a_chain(network, split):
    @dataclass
    class Peak(Shaping):
        needs = Need.FEATURES | Need.HEAD | Need.BLOCKS
        summaries = (peaks,)

        def shape(self, batch):
            return batch.shaped(batch.summary(peaks))

    @dataclass
    class FirstMean(Detector):
        needs = Need.FEATURES
        fitted_on = "train"
        mean: Tensor = field(init=False, repr=False)

        def fit(self, known):
            self.mean = known.features.mean(0)

        def score(self, batch):
            return -(batch.features - self.mean).norm(dim=1)

    detector = Chain((Peak(),), FirstMean())
    fitted(network, detector, split)
    pixels = torch.as_tensor(split.images).permute(0, 3, 1, 2) / 255
    rows = network(pixels, with_maps=True).maps["stage2"].amax((2, 3))
    torch.testing.assert_close(detector.scorer.mean, rows.mean(0))
    np.testing.assert_allclose(
        scores(network, detector, split), -(rows - rows.mean(0)).norm(dim=1), rtol=1e-5
    )
    with pytest.raises(ValueError, match="Peak reads gradients or maps"):
        Chain((Peak(), Peak()), FirstMean())


def peaks(outputs: Outputs) -> Tensor:
    return outputs.map(outputs.blocks[-1]).amax((2, 3))


@pytest.mark.parametrize(
    ("layer", "is_linear"), [("0", True), ("2", False), ("3", False)]
)
def test_the_layer_whose_input_is_the_features_can_be_named(layer, is_linear):
    heads = {
        "0": [nn.Conv2d(3, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()],
        "2": [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 4), nn.Linear(4, 4)],
        "3": [nn.AvgPool2d(8), nn.Flatten(), nn.ReLU(), Cosine()],
    }
    network = Network(nn.Sequential(*heads[layer]), (3, 8, 8), head_layer=layer)
    pixels = torch.rand(6, 3, 8, 8)
    found = network(pixels)
    torch.testing.assert_close(found.features, pixels.mean((2, 3)))
    assert (network.head is not None) == is_linear
    if network.head is not None:
        torch.testing.assert_close(network.head(found.features), found.logits)


class Cosine(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.eye(4, 3))

    def forward(self, x):
        unit = nn.functional.normalize
        return unit(x) @ unit(self.weight + 0.1).T


def test_a_layer_that_is_not_there_is_refused():
    with pytest.raises(InputError, match="no layer 'fc2'"):
        Network(Residual(), (3, 8, 8), head_layer="fc2")

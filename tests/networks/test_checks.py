"""A network must be a function of one image that returns logits."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from oodbench import InputError, Network
from oodbench.networks.checks import check_network

SHAPE = (1, 4, 4)


def images(count=9):
    return torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(3))


def network(change, classes=5):
    """A linear network whose logits are changed by a function."""

    class Changed(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.linear = nn.Linear(16, classes)

        def forward(self, x):
            return change(self.linear(x.flatten(1)))

    return Network(Changed(), SHAPE, "net")


def findings(change, classes=5):
    (finding,) = check_network(network(change, classes), images())
    return finding


@pytest.mark.parametrize(
    "change",
    [
        lambda y: y,
        lambda y: y * 1e4,
        lambda y: y + 3e4,
        lambda y: (9 * y).clamp(0, None),
        lambda y: torch.cat([y[:, :4], torch.full_like(y[:, :1], -torch.inf)], 1),
    ],
    ids=["plain", "large", "offset", "positive", "masked class"],
)
def test_logits_are_accepted_without_a_word(change):
    assert check_network(network(change), images()) == []


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_rounding_between_batch_sizes_is_allowed(precision):
    torch.manual_seed(0)
    layers = [nn.Flatten()]
    for entering in [16] + [300] * 5:
        layers += [nn.Linear(entering, 300), nn.LayerNorm(300), nn.ReLU()]
    deep = Network(nn.Sequential(*layers, nn.Linear(300, 9)), SHAPE)
    deep.precision = precision
    assert check_network(deep, images(32)) == []


@pytest.mark.parametrize(
    "change",
    [
        F.dropout,
        lambda y: y + 0.3 * torch.randn_like(y),
        lambda y: y[:, torch.randperm(5)],
    ],
    ids=["dropout", "noise", "order"],
)
def test_random_networks_are_refused(change):
    random = network(change)
    before = torch.get_rng_state()
    with pytest.raises(InputError, match=r"'net' returns other logits .* a second"):
        check_network(random, images())
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    "change",
    [
        lambda y: F.batch_norm(y, None, None, training=True) if len(y) > 1 else y,
        lambda y: y - y.mean(0),
        lambda y: y / y.abs().max(),
        lambda y: y.roll(1, 0),
        lambda y: y + 0.1 * len(y),
    ],
    ids=["batch norm", "centred", "scaled", "neighbour", "size"],
)
def test_networks_that_depend_on_the_batch_are_refused(change):
    with pytest.raises(InputError, match=r"other logits .* in another batch"):
        check_network(network(change), images())


def test_a_network_that_needs_company_is_refused():
    normed = network(lambda y: F.batch_norm(y, None, None, training=True))
    with pytest.raises(InputError, match="fails on one image alone"):
        check_network(normed, images())


@pytest.mark.parametrize(
    ("change", "classes", "words"),
    [
        (lambda y: y.softmax(1), 5, "probabilities (they sum to 1)"),
        (lambda y: y.softmax(1), 2, "probabilities (they sum to 1)"),
        (lambda y: (5 * y).softmax(1).half().float(), 5, "probabilities (they sum"),
        (lambda y: y.log_softmax(1), 5, "log-probabilities"),
        (torch.sigmoid, 5, "as a sigmoid does"),
        (torch.sigmoid, 1, "before its sigmoid"),
        (lambda y: y * 0 + torch.arange(5.0), 5, "the same logits for all of 9 images"),
        (lambda y: y[:, :1].expand(-1, 5), 5, "equal logits for all classes"),
    ],
)
def test_outputs_that_are_no_logits_are_named(change, classes, words):
    assert words in findings(change, classes)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_and_infinite_logits_are_refused(value):
    def change(y):
        return torch.where(y == y.max(), value, y)

    with pytest.raises(InputError, match="NaN or infinite logits"):
        check_network(network(change), images())


def test_an_image_without_any_class_is_refused():
    with pytest.raises(InputError, match="-inf for all classes"):
        check_network(network(lambda y: y * 0 - torch.inf), images())


def test_one_image_is_enough_to_see_dropout():
    with pytest.raises(InputError, match="a second time"):
        check_network(network(F.dropout), images(1))

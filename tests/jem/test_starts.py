"""Laws of the first states of chains, and of sharpness-aware steps on buffers."""

import pytest
import torch
from torch import nn

from oodbench.jem.training.chains import ReplayBuffer
from oodbench.jem.training.sharpness import at_worst
from oodbench.jem.training.starts import ANY, RIDGE, ClassGaussians, Uniform


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def two_classes(count=4000):
    """Correlated images 1x1x3: a third of class 0, dark, the others of class 1."""
    labels = (torch.arange(count) % 3 > 0).long()
    mixing = torch.tensor([[0.2, 0.0, 0.0], [0.15, 0.05, 0.0], [0.0, 0.0, 0.1]])
    noise = torch.randn(count, 3, generator=generator())
    images = noise @ mixing.T + 0.4 * (2 * labels[:, None] - 1)
    return images.view(-1, 1, 1, 3), labels


def moments(states):
    rows = states.flatten(1)
    return rows.mean(0), rows.T.cov(correction=0)


@pytest.mark.parametrize("label", [0, 1])
def test_states_of_a_class_have_its_mean_and_covariance(label):
    images, labels = two_classes()
    start = ClassGaussians(images, labels)
    states = start(torch.full((20_000,), label), generator(1))
    assert states.shape[1:] == images.shape[1:]
    mean, covariance = moments(states)
    own_mean, own_covariance = moments(images[labels == label])
    torch.testing.assert_close(mean, own_mean, atol=0.01, rtol=0)
    torch.testing.assert_close(covariance, own_covariance, atol=0.003, rtol=0)


def test_any_class_is_drawn_by_its_share():
    start = ClassGaussians(*two_classes())
    states = start(torch.full((3000,), ANY), generator(1))
    share = (states.mean((1, 2, 3)) > 0).float().mean().item()
    assert share == pytest.approx(2 / 3, abs=0.05)


def test_a_single_image_gives_a_narrow_gaussian_inside_the_range():
    image = torch.tensor([[[[0.2, -0.3, 1.0]]]])
    states = ClassGaussians(image, torch.tensor([0]))(
        torch.zeros(4000).long(), generator()
    )
    assert states.max() == 1
    deviations = states[..., :2].std(0).flatten()
    torch.testing.assert_close(
        deviations, torch.full((2,), RIDGE**0.5), rtol=0.1, atol=0
    )


def test_a_buffer_by_class_starts_and_restarts_each_block_in_its_class():
    start = ClassGaussians(*two_classes())
    buffer = ReplayBuffer(201, start, 1.0, generator(), classes=2)
    middle = buffer.states.mean((1, 2, 3))
    assert (middle[:100] < 0).float().mean() > 0.95
    assert (middle[100:200] > 0).float().mean() > 0.95
    labels = torch.arange(50) % 2
    states, _ = buffer.starts(50, labels)
    right = (states.mean((1, 2, 3)) > 0).long() == labels
    assert right.float().mean() > 0.95
    states, _ = buffer.starts(300)
    assert (states.mean((1, 2, 3)) > 0).float().mean().item() == pytest.approx(
        0.67, abs=0.1
    )


def test_uniform_states_fill_the_range():
    states = Uniform((1, 2, 2))(torch.zeros(5000), generator())
    assert states.shape == (5000, 1, 2, 2)
    assert states.var().item() == pytest.approx(1 / 3, rel=0.05)
    assert states.abs().max() <= 1


@pytest.mark.parametrize("adaptive", [True, False])
def test_the_worst_weights_are_as_far_as_stated_and_left_again(adaptive):
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1)).double()
    module[2].bias.requires_grad_(False)
    images = torch.randn(16, 3, generator=generator(), dtype=torch.float64)

    def loss():
        return module(images).square().mean()

    before = loss()
    before.backward()
    kept = {name: each.clone() for name, each in module.state_dict().items()}
    with at_worst(module, 0.01, adaptive=adaptive):
        moved = [(kept[name], each) for name, each in module.named_parameters()]
        lengths = [
            ((now - old) / (old.abs().clamp(min=1e-9) if adaptive else 1)).norm()
            for old, now in moved
        ]
        length = torch.stack(lengths).norm().item()
        assert length == pytest.approx(0.01, rel=1e-6)
        assert loss() > before
    for name, each in module.state_dict().items():
        assert torch.equal(each, kept[name]), name

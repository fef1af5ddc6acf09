"""The exchange of gradients against what a second process with none would give."""

from dataclasses import dataclass, field

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from oodbench.base.errors import InputError
from oodbench.base.processes import ALONE, Processes
from oodbench.jem.training import exchange
from oodbench.jem.training.exchange import averaged_gradients, buckets


@dataclass(frozen=True)
class WithIdle(Processes):
    """This process and one whose gradients are 0."""

    count: int = 2
    sent: list[list[torch.Size]] = field(default_factory=list)

    def begin_average(self, tensors):
        self.sent.append([one.shape for one in tensors])
        halves = [one / 2 for one in tensors]

        def end():
            for tensor, half in zip(tensors, halves, strict=True):
                tensor.copy_(half)

        return end


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 7), nn.Linear(7, 1))


def gradients(module, processes, run=lambda module, x: module(x)):
    x = torch.linspace(-1, 1, 12).view(4, 3)
    with averaged_gradients(module, processes):
        run(module, x).square().sum().backward()
    return [one.grad for one in module.parameters()]


@pytest.mark.parametrize("bucket", [1, 10, 10**6])
def test_weights_get_the_mean_gradient(bucket, monkeypatch):
    monkeypatch.setattr(exchange, "BUCKET", bucket)
    alone = gradients(network(), ALONE)
    for own, mean in zip(alone, gradients(network(), WithIdle()), strict=True):
        assert torch.equal(mean, own / 2)


def test_last_layers_are_sent_before_the_first_have_gradients(monkeypatch):
    monkeypatch.setattr(exchange, "BUCKET", 1)
    module, seen = network(), []

    class Watched(WithIdle):
        def begin_average(self, tensors):
            seen.append([one.grad is None for one in module.parameters()])
            return super().begin_average(tensors)

    gradients(module, processes := Watched())
    shapes = [[one.shape] for one in reversed(list(module.parameters()))]
    assert processes.sent == shapes
    assert seen[0][:4] == [True] * 4


def test_weights_without_a_gradient_are_left_out():
    module = network()
    module.register_parameter("unused", nn.Parameter(torch.ones(2)))
    gradients(module, processes := WithIdle())
    assert module.unused.grad is None
    assert sum(map(len, processes.sent)) == 6
    gradients(module, ALONE)


def test_gradients_in_pieces_are_refused_in_one_sentence():
    module = network()

    def twice(module, x):
        x.requires_grad_(True)
        parts = [checkpoint(module, one, use_reentrant=True) for one in (x, -x)]
        return sum(parts)

    with pytest.raises(InputError, match="in several pieces, as with reentrant"):
        gradients(module, WithIdle(), twice)


def test_buckets_keep_the_order_and_are_full():
    weights = [torch.empty(size) for size in (3, 2, 9, 1, 1)]
    sizes = lambda found: [[len(one) for one in bucket] for bucket in found]  # noqa: E731
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exchange, "BUCKET", 4)
        assert sizes(buckets(weights)) == [[3, 2], [9], [1, 1]]
    assert sizes(buckets(weights)) == [[3, 2, 9, 1, 1]]

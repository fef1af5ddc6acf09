"""Chains of training stay on the device of the buffer, shown with a fake GPU."""

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from oodbench.jem.sampler import SGLD
from oodbench.jem.training.chains import Chains, ReplayBuffer
from oodbench.jem.training.starts import Uniform

GPU = torch.device("cuda:0")
SHAPE = (1, 4, 4)


class Away(torch.Generator):
    """A generator that says that it is on the GPU."""

    device = GPU


@pytest.fixture
def zero_gradients(monkeypatch):
    """Stands in for the backward pass, which fake tensors do not have."""

    def grad(total, source):
        return [torch.zeros_like(source)]

    monkeypatch.setattr(torch.autograd, "grad", grad)


def chains(sampler, classes, start):
    layers = [nn.Conv2d(1, 8, 3, device=GPU), nn.SiLU(), nn.Flatten()]
    module = nn.Sequential(*layers, nn.Linear(32, 5, device=GPU))
    buffer = ReplayBuffer(60, start, 0.05, Away(), classes)
    return Chains(module, buffer, sampler)


@pytest.mark.parametrize(
    "sampler",
    [
        SGLD(steps=3),
        SGLD(steps=3, noise=None, clip=0.5, clamp=1.0),
        SGLD(steps=3, normalised=True),
    ],
)
@pytest.mark.parametrize("classes", [1, 5])
def test_chains_wait_for_nothing_and_stay_on_the_device(
    sampler, classes, zero_gradients
):
    with FakeTensorMode():
        labels = torch.zeros(7, dtype=torch.int64, device=GPU) if classes > 1 else None
        ends = chains(sampler, classes, Uniform(SHAPE)).run(7, labels)
        assert ends.states.shape == (7, *SHAPE)
        for value in ends:
            assert value.device == GPU


def test_a_start_on_the_host_is_found(zero_gradients):
    class OnHost(Uniform):
        def __call__(self, labels, generator):
            return torch.zeros(len(labels), *SHAPE)

    with FakeTensorMode(), pytest.raises(RuntimeError, match="device"):
        chains(SGLD(steps=1), 1, OnHost(SHAPE)).run(7)

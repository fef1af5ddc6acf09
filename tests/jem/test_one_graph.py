"""Laws of SGLD steps that torch.compile makes one graph of."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from oodbench import InputError
from oodbench.jem.sampler import SGLD
from oodbench.jem.training.chains import Chains, ReplayBuffer
from oodbench.jem.training.recipe import Recipe
from oodbench.jem.training.starts import Uniform
from oodbench.jem.training.trainer import Trainer

pytestmark = pytest.mark.filterwarnings("ignore:Guards may run slower on Python 3.13.0")

CLASSES = 3
SAMPLERS = {
    "paper": SGLD(1),
    "coupled noise": SGLD(1, step_size=0.1, noise=None),
    "no noise": SGLD(1, noise=0.0),
    "proximal": SGLD(1, clip=0.01, clamp=1.0),
    "normalised": SGLD(1, normalised=True),
    "ten steps": SGLD(10),
}


@pytest.fixture(params=["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
def backend(request, monkeypatch):
    """Inductor takes seconds of a C++ compiler; the other one is all before it."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=request.param))


def network(width=16):
    return nn.Sequential(nn.Linear(4, width), nn.SiLU(), nn.Linear(width, CLASSES))


def chains(module, sampler, precision="fp32", device="cpu", *, compiled):
    generator = torch.Generator(device).manual_seed(0)
    buffer = ReplayBuffer(60, Uniform((4,)), 0.05, generator, CLASSES)
    return Chains(module.to(device), buffer, sampler, precision, compiled)


def both(sampler, labels, precision, device):
    """Returns the chains' ends without and with a compiler, and both generators."""
    torch.manual_seed(0)
    module = network()
    runs = [
        chains(module, sampler, precision, device, compiled=compiled)
        for compiled in (False, True)
    ]
    ends = [run.run(32, labels).states for run in runs]
    return ends, [run.buffer.generator.get_state() for run in runs]


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("by_class", [False, True], ids=["x", "x given y"])
@pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS)
def test_compiled_states_are_the_same_up_to_rounding(sampler, by_class, device):
    labels = torch.arange(32, device=device) % CLASSES if by_class else None
    ends, generators = both(sampler, labels, "fp32", device)
    torch.testing.assert_close(*ends, rtol=0, atol=1e-6)
    assert torch.equal(*generators)


@pytest.mark.usefixtures("backend")
def test_compiled_bf16_moves_states_by_bf16_slopes(device):
    ends, _ = both(SGLD(1, noise=0.0), None, "bf16", device)
    torch.testing.assert_close(*ends, rtol=0, atol=1e-3)
    exact, _ = both(SGLD(1, noise=0.0), None, "fp32", device)
    assert not torch.equal(ends[1], exact[1])


@pytest.mark.usefixtures("backend")
def test_training_with_compiled_chains_comes_to_the_same_weights(device):
    runs = []
    for compiled in (False, True):
        torch.manual_seed(0)
        module, images = network().to(device), torch.rand(96, 4) * 2 - 1
        labels = torch.arange(96) % CLASSES
        recipe = Recipe(
            epochs=2,
            batch_size=32,
            buffer_size=60,
            weight_xy=0.5,
            precision="fp32",
        )
        runs.append(
            Trainer(
                module, images.to(device), labels.to(device), recipe, compiled=compiled
            )
        )
        assert runs[-1].run()
    for one, other in zip(*(run.module.parameters() for run in runs), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-4)


def test_more_networks_can_be_compiled_than_one_function_may_have_graphs(monkeypatch):
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    for width in range(2, 12):
        chains(network(width), SGLD(1), compiled=True).run(8)


class Saving(nn.Module):
    """Computes its activations again in the backward pass, to save memory."""

    def __init__(self):
        super().__init__()
        self.layers = network()

    def forward(self, x):
        return checkpoint(self.layers, x, use_reentrant=False)


class Branching(nn.Module):
    """Looks at the values of its input."""

    def __init__(self):
        super().__init__()
        self.layers = network()

    def forward(self, x):
        return self.layers(x if x.sum() > 0 else -x)


@pytest.mark.parametrize(
    ("make", "cause"), [(Saving, "RuntimeError: "), (Branching, "Unsupported: ")]
)
def test_a_network_that_cannot_be_compiled_is_refused_in_one_sentence(make, cause):
    run = chains(make(), SGLD(1), compiled=True)
    with pytest.raises(InputError) as refused:
        run.run(8)
    sentence = str(refused.value)
    assert f"one graph ({cause}" in sentence
    assert sentence.endswith("Leave out --compile.")
    assert len(sentence.splitlines()) == 1

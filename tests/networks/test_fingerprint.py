"""A network's key covers all that decides what it computes, and nothing else."""

import functools
import logging
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from oodbench import Network

SHAPE = (1, 4, 4)


def body(*layers, **attributes):
    """Layers with the same weights each time, around what differs."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), *layers, nn.Linear(8, 3))
    for name, value in attributes.items():
        setattr(module, name, value)
    return module


def key(module, **options):
    return Network(module, SHAPE, **options).fingerprint()


class Own(nn.Module):
    """Applies a plain attribute."""

    def __init__(self, act):
        super().__init__()
        self.act = act

    def forward(self, x):
        return self.act(x)


class Scaled(nn.Module):
    """Reads a plain attribute and keeps what it last returned."""

    def __init__(self, scale):
        super().__init__()
        self.scale, self.last, self.calls = scale, None, 0

    def forward(self, x):
        self.calls += 1
        self.last = x * (self.scale.factor if hasattr(self.scale, "factor") else 1)
        return self.last


def hooked(factor):
    module = body()
    module[1].register_forward_hook(lambda *call: call[-1] * factor)
    return module


def listed(factor):
    extra = nn.Linear(1, 1)
    nn.init.constant_(extra.weight, factor)
    return body(extra_layers=[extra])


def unsaved(factor):
    module = body()
    module.register_buffer("factor", torch.tensor(factor), persistent=False)
    return module


def power(exponent):
    return lambda x: x**exponent


PAIRS = {
    "slope": (lambda: body(nn.LeakyReLU(0.01)), lambda: body(nn.LeakyReLU(0.99))),
    "variant": (lambda: body(nn.GELU()), lambda: body(nn.GELU(approximate="tanh"))),
    "eps": (lambda: body(nn.LayerNorm(8)), lambda: body(nn.LayerNorm(8, eps=0.1))),
    "class": (lambda: body(nn.ReLU()), lambda: body(nn.SiLU())),
    "function": (lambda: body(Own(F.relu)), lambda: body(Own(F.silu))),
    "built-in": (lambda: body(Own(torch.relu)), lambda: body(Own(torch.tanh))),
    "lambda": (
        lambda: body(Own(lambda x: x + 1)),
        lambda: body(Own(lambda x: x + 2)),
    ),
    "closure": (lambda: body(Own(power(1))), lambda: body(Own(power(2)))),
    "partial": (
        lambda: body(Own(functools.partial(F.leaky_relu, negative_slope=0.1))),
        lambda: body(Own(functools.partial(F.leaky_relu, negative_slope=0.2))),
    ),
    "object": (
        lambda: body(Scaled(SimpleNamespace(factor=1))),
        lambda: body(Scaled(SimpleNamespace(factor=2))),
    ),
    "tensor": (
        lambda: body(scale=torch.tensor(1.0)),
        lambda: body(scale=torch.tensor(2.0)),
    ),
    "unsaved buffer": (lambda: unsaved(1.0), lambda: unsaved(2.0)),
    "hook": (lambda: hooked(1), lambda: hooked(2)),
    "module in a list": (lambda: listed(1.0), lambda: listed(2.0)),
}


@pytest.mark.parametrize("kind", PAIRS)
def test_networks_of_equal_weights_that_compute_differently_have_two_keys(kind):
    one, other = PAIRS[kind]
    assert key(one()) == key(one())
    assert key(one()) != key(other())


def test_pooling_and_class_numbers_count():
    def pooled(pool):
        return nn.Sequential(pool, nn.Flatten(), nn.LazyLinear(2))

    kinds = [nn.AvgPool2d(2), nn.AvgPool2d(2, 1, 1), nn.MaxPool2d(2)]
    assert len({key(pooled(kind)) for kind in kinds}) == 3
    Own.factor = 1
    before = key(body(Own(F.relu)))
    Own.factor = 2
    assert key(body(Own(F.relu))) != before
    del Own.factor


def test_what_the_forward_pass_keeps_does_not_count():
    network = Network(body(Scaled(None)), SHAPE)
    before = network.fingerprint()
    network(torch.rand(5, *SHAPE))
    assert network.fingerprint() == before
    assert key(body(Scaled(None))) == before


def test_tools_and_devices_do_not_count():
    tools = {"logger": logging.getLogger("a"), "device": torch.device("cpu")}
    others = {"logger": logging.getLogger("b.c"), "device": torch.device("meta")}
    assert key(body(**tools)) == key(body(**others))


@pytest.mark.filterwarnings("ignore:Guards may run slower on Python 3.13.0")
def test_two_compilations_of_one_network_have_one_key():
    one, other = (torch.compile(body(nn.ReLU()), backend="eager") for _ in "ab")
    assert key(one) == key(other)
    assert key(one) != key(torch.compile(body(nn.SiLU()), backend="eager"))


def test_precision_and_normalisation_count():
    keys = {key(body()), key(body(), mean=0.4), key(body(), std=0.4)}
    keys.add(key(body(), precision="bf16"))
    assert len(keys) == 4


@pytest.mark.slow
def test_the_key_is_the_same_in_every_process(tmp_path):
    (tmp_path / "my_layers.py").write_text(
        "from torch import nn\n"
        "class Act(nn.Module):\n"
        "    kinds = {'relu', 'silu', 'gelu'}\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.names = set(self.kinds)\n"
        "        self.act = lambda x: x if 'a' in {'b', 'c', 'd'} else x.relu()\n"
        "    def forward(self, x): return self.act(x)\n"
    )
    (tmp_path / "run.py").write_text(
        "import torch\nfrom torch import nn\nfrom my_layers import Act\n"
        "from oodbench import Network\n"
        "torch.manual_seed(0)\n"
        "net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), Act())\n"
        "print(Network(net, (1, 2, 2)).fingerprint())\n"
    )

    def run(seed):
        environment = {"PYTHONHASHSEED": seed, "PATH": ""}
        command = [sys.executable, "run.py"]
        return subprocess.check_output(command, cwd=tmp_path, env=environment)

    first = run("1")
    assert run("2") == first
    layers = tmp_path / "my_layers.py"
    layers.write_text(layers.read_text().replace("x.relu()", "x.sin()"))
    assert run("1") != first

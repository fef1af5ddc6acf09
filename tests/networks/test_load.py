"""A name or a file becomes a network that computes what its authors' code does."""

import importlib
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
import torchvision
from torch import nn

from oodbench import InputError, Network, Shape, load_network
from oodbench.base import registry
from oodbench.networks.architectures.jem_wrn import JEMWideResNet
from oodbench.networks.architectures.mlp import MLP
from oodbench.networks.build import build
from oodbench.networks.load import as_network

SHARED = Path(
    os.environ.get("OODBENCH_SHARED", Path(__file__).resolve().parents[3] / "shared")
)
needs_shared = pytest.mark.skipif(
    not (SHARED / "checkpoints").is_dir(), reason="the shared checkpoints are not here"
)
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}

NETS = '''
import torch
from torch import nn
from torch.nn import functional as F


class Block(nn.Module):
    """He et al.'s block with the shortcut that pads channels (option A)."""

    def __init__(self, entering, leaving):
        super().__init__()
        self.stride = leaving // entering
        self.conv1 = nn.Conv2d(entering, leaving, 3, self.stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(leaving)
        self.conv2 = nn.Conv2d(leaving, leaving, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(leaving)
        self.pad = (leaving - entering) // 2

    def forward(self, x):
        inner = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        skipped = x[:, :, :: self.stride, :: self.stride]
        return F.relu(inner + F.pad(skipped, (0, 0, 0, 0, self.pad, self.pad)))


class ResNet20(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(Block(16, 16), Block(16, 16), Block(16, 16))
        self.layer2 = nn.Sequential(Block(16, 32), Block(32, 32), Block(32, 32))
        self.layer3 = nn.Sequential(Block(32, 64), Block(64, 64), Block(64, 64))
        self.linear = nn.Linear(64, 10)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        return self.linear(self.layer3(self.layer2(self.layer1(x))).mean((2, 3)))


def act(x):
    return x * torch.sigmoid(1.702 * x)


class MnistNet(nn.Module):
    def __init__(self, classes=10):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 10, 5)
        self.conv2 = nn.Conv2d(10, 20, 5)
        self.fc1 = nn.Linear(320, 50)
        self.fc2 = nn.Linear(50, classes)

    def forward(self, x):
        x = act(F.max_pool2d(self.conv1(x), 2))
        x = act(F.max_pool2d(self.conv2(x), 2))
        return self.fc2(act(self.fc1(x.flatten(1))))


class Careful(nn.Module):
    """Refuses a size with an empty assertion, and evaluates without a return."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(12, 2)

    def train(self, mode=True):
        super().train(mode)

    def forward(self, x):
        assert x.shape[-1] == 2
        return self.linear(x.flatten(1))


class Odd(nn.Linear):
    def load_state_dict(self, *args, **kwargs):
        raise KeyError("no")
'''


@pytest.fixture
def nets(tmp_path):
    path = tmp_path / "nets.py"
    path.write_text(NETS)
    return path


@pytest.fixture
def file(tmp_path):
    """Writes what a checkpoint holds and returns its path."""

    def write(content, name="net.pt"):
        torch.save(content, tmp_path / name)
        return tmp_path / name

    return write


def card(**changes):
    architecture = {"name": "mlp", "inputs": [1, 2, 2], "hidden": [5], "classes": 3}
    whole = {"architecture": architecture, "shape": [1, 2, 2], "mean": [0.5]}
    return json.dumps(whole | {"std": [0.25], "trained_on": "digits"} | changes)


def refusal(model, **options):
    with pytest.raises(InputError) as caught:
        load_network(model, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- the real checkpoints


@needs_shared
def test_a_checkpoint_of_the_jem_paper_computes_what_the_papers_code_does():
    network = load_network(SHARED / "checkpoints" / "jem_wrn10_2.pt")
    expected = np.load(SHARED / "checkpoints" / "jem_wrn10_2.expected.npz")
    pixels = torch.from_numpy(expected["images"]).float().div(255).requires_grad_()
    result = network(pixels)
    (gradient,) = torch.autograd.grad(result.log_px.sum(), pixels)
    computed = {
        "logits": result.logits.detach(),
        "log_px": result.log_px.detach(),
        "max_softmax": result.logits.softmax(1).amax(1).detach(),
        # Per pixel in [-1, 1], which is twice as wide as [0, 1].
        "grad_norm": gradient.flatten(1).norm(dim=1) / 2,
    }
    for name, values in computed.items():
        np.testing.assert_allclose(values.numpy(), expected[name], rtol=1e-4)
    assert network.shape == Shape(3, 32, 32)
    assert network.source["kind"] == "conditional (inferred)"


@needs_shared
def test_the_public_resnet20_loads_with_its_factory(nets):
    network = load_network(
        SHARED / "checkpoints" / "resnet20-12fca82f.th",
        arch=f"{nets}:ResNet20",
        shape=Shape(3, 32, 32),
        **IMAGENET,
    )
    assert network.head is network.module.linear
    assert network.source["state_dict"] == "state_dict; prefix module. removed"
    assert network.source["architecture"].startswith("nets.py@")
    assert str(network.source["sha256"]).startswith("12fca82f")
    assert network.mean == IMAGENET["mean"]
    assert network(torch.rand(2, *network.shape)).features.shape == (2, 64)


@needs_shared
def test_the_outlier_exposure_papers_mnist_network_loads_with_its_factory(nets):
    network = load_network(
        SHARED / "checkpoints" / "mnist_convnet_baseline.pt",
        arch=f"{nets}:MnistNet",
        shape=Shape(3, 28, 28),
    )
    assert network.shape == Shape(1, 28, 28)  # the file's channels
    assert network.head is network.module.fc2


@needs_shared
def test_the_mnist_network_has_its_published_error(nets):
    network = load_network(
        SHARED / "checkpoints" / "mnist_convnet_baseline.pt",
        arch=f"{nets}:MnistNet",
        shape=Shape(1, 28, 28),
    )
    data = np.load(SHARED / "data" / "mnist_test.npz")
    images, labels = data["images"][:2000], data["labels"][:2000]
    pixels = torch.from_numpy(images).float().div(255).view(-1, 1, 28, 28)
    with torch.no_grad():
        wrong = (network(pixels).logits.argmax(1).numpy() != labels).mean()
    assert wrong == pytest.approx(0.0094, abs=0.006)  # on a fifth of the set


# --- recognised files


def test_a_jem_is_recognised_with_its_scale_and_the_size_of_its_buffer(file):
    state = JEMWideResNet(depth=10, width=1, channels=1).state_dict()
    buffer = torch.zeros(2, 1, 40, 36)
    network = load_network(file({"model_state_dict": state, "replay_buffer": buffer}))
    assert network.shape == Shape(1, 40, 36)
    assert (network.mean, network.std) == ((0.5,), (0.5,))
    assert network.name == "net"
    assert network.source["recognised"] == "conditional JEM WRN-10-1"
    assert network.source["norm"] == "none (inferred)"


@pytest.mark.parametrize(("stages", "size"), [(3, 32), (4, 64)])
@pytest.mark.parametrize("buffer", [None, torch.zeros(0, 3, 10**6, 10**6), "x"])
def test_a_jem_without_a_buffer_has_the_size_of_its_stages(file, stages, size, buffer):
    state = JEMWideResNet(depth=10, width=1, stages=stages).state_dict()
    path = file({"model_state_dict": state, "replay_buffer": buffer})
    assert load_network(path).shape == Shape(3, size, size)


def test_what_is_said_of_a_jem_is_recorded_and_tells_networks_apart(file):
    path = file(JEMWideResNet(depth=10, width=1, norm="layer").state_dict())
    layer = load_network(path, norm="layer")
    assert layer.source["norm"] == "layer (given)"
    density = load_network(path, norm="layer", unconditional=True)
    assert density.has_density_head
    assert density.source["kind"] == "unconditional (given)"
    instance = load_network(path, norm="instance")
    prints = {each.fingerprint() for each in (layer, density, instance)}
    assert len(prints) == 3
    assert "--norm instance or --norm layer" in refusal(path)


def test_mean_and_std_that_are_given_replace_the_recognised_ones(file):
    path = file(JEMWideResNet(depth=10, width=1).state_dict())
    network = load_network(path, mean=(0.4, 0.5, 0.6), std=(1.0,))
    assert (network.mean, network.std) == ((0.4, 0.5, 0.6), (1.0,))


def test_the_usual_normalisation_is_for_networks_whose_files_state_none(file, nets):
    usual = ((0.1,), (0.2,))
    jem = file(JEMWideResNet(depth=10, width=1).state_dict(), "jem.pt")
    assert load_network(jem, usual=usual).mean == (0.5,)
    path = file(torch.nn.Linear(4, 3).state_dict())
    nets.write_text(
        "from torch import nn\n"
        "class Flat(nn.Linear):\n"
        "    def forward(self, x):\n"
        "        return super().forward(x.flatten(1))\n"
        "def flat():\n"
        "    return Flat(4, 3)\n"
    )
    options = {"arch": f"{nets}:flat", "shape": Shape(1, 2, 2), "usual": usual}
    network = load_network(path, **options)
    assert (network.mean, network.std) == usual
    assert load_network(path, **options, mean=(0.3,)).mean == (0.3,)


def test_a_card_rebuilds_its_network(tmp_path):
    module = MLP((1, 2, 2), classes=3, hidden=(5,))
    path = tmp_path / "digits.safetensors"
    data = safetensors.torch.save(module.state_dict(), {"oodbench": card()})
    path.write_bytes(data)
    network = load_network(str(path))
    assert network.name == "digits"
    assert (network.shape, network.mean, network.std) == ((1, 2, 2), (0.5,), (0.25,))
    pixels = torch.rand(4, 1, 2, 2)
    torch.testing.assert_close(network(pixels).logits, module((pixels - 0.5) / 0.25))
    assert json.loads(network.source["architecture"])["hidden"] == [5]
    assert network.head is network.module[-1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "its card is damaged"),
        ("[]", "its card is damaged"),
        ("[" * 10**5, "its card is damaged"),
        (card(architecture={"name": "mpl"}), "did you mean 'mlp'"),
        (card(architecture={"name": ["mlp"]}), "its card is damaged"),
        (card(architecture={"name": "mlp", "layers": 3}), "mlp cannot be built with"),
        (card(architecture={"name": "mlp", "hidden": 3}), "mlp cannot be built with"),
        (card(architecture={"name": "mlp", "activation": []}), "cannot be built"),
        (
            card(architecture={"name": "jem_wrn", "depth": 1003}),
            "There is no JEM WRN-1003-10",
        ),
        (
            card(architecture={"name": "jem_wrn", "depth": 10**9 + 3}),
            "its card is damaged",
        ),
        (
            card(
                architecture={
                    "name": "mlp",
                    "inputs": [10**5, 10**5],
                    "hidden": [10**5],
                    "classes": 3,
                }
            ),
            "does not fit mlp",
        ),
        (
            card(architecture={"name": "mlp", "hidden": [1] * 1000}),
            "1000 layers of 4 tensors",
        ),
        (card(shape=[1, 2]), "its card is damaged"),
        (card(shape=[1, 2, 10**9]), "its card is damaged"),
        (card(shape=[1, 2, 3]), "fails on images 1x2x3"),
        (card(mean=["a"]), "its card is damaged"),
        (card(mean=[1, 2]), "2 values for 1 channels"),
        (card(std=[0]), "must be positive"),
    ],
)
def test_a_card_that_is_wrong_is_refused(tmp_path, text, words):
    module = MLP((1, 2, 2), classes=3, hidden=(5,))
    path = tmp_path / "digits.safetensors"
    data = safetensors.torch.save(module.state_dict(), {"oodbench": text})
    path.write_bytes(data)
    assert words in refusal(path)


# --- the user's architectures


def test_a_torchvision_network_loads(file):
    module = torchvision.models.resnet18(num_classes=10).eval()
    state = {f"module.{name}": tensor for name, tensor in module.state_dict().items()}
    network = load_network(
        file({"state_dict": state, "epoch": 3}),
        arch="torchvision.models:resnet18",
        arch_args={"num_classes": "10"},
        shape=Shape(1, 32, 32),
        **IMAGENET,
    )
    assert network.shape == Shape(3, 32, 32)
    assert network.head is network.module.fc
    call = "torchvision.models:resnet18(num_classes=10)"
    assert network.source["architecture"] == call
    pixels = torch.rand(2, 3, 32, 32)
    scaled = torchvision.transforms.functional.normalize(pixels, **IMAGENET)
    torch.testing.assert_close(network(pixels).logits, module(scaled))


def test_the_first_convolution_is_found_in_a_file_without_order(tmp_path):
    (tmp_path / "nets.py").write_text(
        "from torch import nn\n"
        "def build():\n"
        "    return nn.Sequential(nn.Conv2d(3, 2, 1), nn.ReLU(), nn.Sequential(\n"
        "        nn.Conv2d(2, 2, 1, groups=2), nn.Flatten(), nn.Linear(8, 2)))\n"
    )
    state = {
        "2.0.weight": torch.ones(2, 1, 1, 1),
        "2.0.bias": torch.ones(2),
        "0.weight": torch.ones(2, 3, 1, 1),
        "0.bias": torch.ones(2),
        "2.2.weight": torch.ones(2, 8),
        "2.2.bias": torch.ones(2),
    }
    torch.save(state, tmp_path / "net.pt")
    arch = f"{tmp_path / 'nets.py'}:build"
    network = load_network(tmp_path / "net.pt", arch=arch, shape=Shape(1, 2, 2))
    assert network.shape == Shape(3, 2, 2)


def test_the_wrong_architecture_is_told_by_names_and_shapes(file):
    message = refusal(
        file(torchvision.models.resnet18(num_classes=7).state_dict()),
        arch="torchvision.models:resnet34",
        shape=Shape(3, 32, 32),
    )
    assert "80 missing ('layer1.2.conv1.weight'" in message
    assert "2 of another form ('fc.weight' 7x512 for 1000x512" in message
    assert message.endswith(
        "--arg KEY=VALUE gives torchvision.models:resnet34 other arguments."
    )


def test_an_unknown_architecture_is_asked_for(file):
    message = refusal(file({"model": {"stem.weight": torch.ones(2, 2)}}))
    assert "'stem.weight'" in message
    assert "--arch package.module:factory" in message


def test_networks_that_behave_oddly_are_loaded_or_refused(file, nets):
    path = file({"linear.weight": torch.ones(2, 12), "linear.bias": torch.ones(2)})
    careful = f"{nets}:Careful"
    assert load_network(path, arch=careful, shape=Shape(3, 2, 2)).classes == 2
    message = refusal(path, arch=careful, shape=Shape(3, 3, 3))
    assert "fails on images 3x3x3 (AssertionError: )" in message
    odd = {"in_features": "12", "out_features": "2"}
    path = file(nn.Linear(12, 2).state_dict())
    message = refusal(path, arch=f"{nets}:Odd", arch_args=odd, shape=Shape(3, 2, 2))
    assert "cannot be put into" in message


# --- names and options


def test_a_plug_in_builds_its_own_network(monkeypatch):
    network = Network(MLP((1, 2, 2), classes=2), Shape(1, 2, 2), name="mine")
    monkeypatch.setattr(registry, "names", lambda kind: ["mine"])
    monkeypatch.setattr(registry, "load", lambda kind, name: lambda: network)
    assert load_network("mine") is network
    assert "are for files" in refusal("mine", arch="a:b")
    assert "are for files" in refusal("mine", unconditional=False)
    monkeypatch.setattr(registry, "load", lambda kind, name: dict)
    assert "is a dict" in refusal("mine")
    monkeypatch.setattr(registry, "load", lambda kind, name: lambda: 1 // 0)
    assert "failed with ZeroDivisionError" in refusal("mine")


def test_a_misspelt_name_and_a_missing_file_are_told_apart(tmp_path):
    assert "did you mean 'jem-digits'" in refusal("jem-digit")
    assert "There is no file" in refusal("jem-digit.pt")
    assert "There is no file" in refusal(tmp_path / "jem-digit")
    assert "There is no model or file" in refusal("x" * 300)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"arch_args": {"a": "1"}}, "there is no --arch"),
        ({"arch": "torch.nn:Linear", "norm": "batch"}, "recognised JEM"),
        ({"arch": "torch.nn:Linear", "unconditional": False}, "recognised JEM"),
        ({"arch": "torch.nn:Linear"}, "give a shape"),
        ({"norm": "batch"}, "not recognised"),
    ],
)
def test_options_that_would_do_nothing_are_refused(file, options, words):
    assert words in refusal(file(nn.Linear(2, 2).state_dict()), **options)


def test_a_size_that_a_network_does_not_take_is_refused(tiny, tmp_path):
    weights = MLP((1, 2, 2), classes=3, hidden=(5,)).state_dict()
    carded = safetensors.torch.save(weights, {"oodbench": card()})
    (tmp_path / "carded.safetensors").write_bytes(carded)
    for model in ("ce-digits", tmp_path / "carded.safetensors", tiny):
        own = as_network(model).shape
        assert as_network(model, size=own[1:]).shape == own
        words = f"own size of images, {own.height}x{own.width}, and does not take 9x7"
        with pytest.raises(InputError, match=words):
            as_network(model, size=(9, 7))


def test_what_is_no_model_is_refused_with_what_to_pass(tiny):
    assert as_network(tiny) is tiny
    assert as_network("ce-digits").name == "ce-digits"
    with pytest.raises(InputError, match=r"oodbench\.Network\(module, shape=\(3, 224"):
        as_network(torchvision.models.resnet18())
    with pytest.raises(InputError, match="not a dict"):
        as_network({})


# --- oodbench's own architectures by name


@pytest.mark.parametrize("arch", ["mlp", "cnn", "jem_wrn"])
def test_an_architecture_of_oodbench_is_built_with_the_sizes_of_its_tensors(file, arch):
    shape = Shape(1, 16, 16) if arch != "jem_wrn" else Shape(1, 32, 32)
    arguments = {
        "mlp": {"hidden": "7,5", "activation": "silu"},
        "cnn": {"width": "6", "activation": "silu"},
        "jem_wrn": {"depth": "10", "width": "1", "activation": "silu"},
    }[arch]
    module, card = build(arch, arguments, shape, 3, seed=0)
    path = file({"model": module.state_dict()})
    network = load_network(
        path, arch=arch, arch_args={"activation": "silu"}, shape=shape
    )
    pixels = torch.rand(4, *shape)
    expected = module.eval()(2 * pixels - 1)
    torch.testing.assert_close(network(pixels).logits, expected)
    settings = json.loads(str(network.source["architecture"]))
    assert settings.items() >= card.items()


def test_a_named_architecture_takes_its_own_number_of_channels(file):
    module, _ = build("cnn", {}, Shape(1, 8, 8), 3, seed=0)
    network = load_network(
        file(module.state_dict()), arch="cnn", shape=Shape(3, 8, 8), std=(1,)
    )
    assert network.shape == (1, 8, 8)


def test_a_misspelt_architecture_is_refused_with_the_nearest(file):
    path = file(MLP((1, 2, 2), classes=2).state_dict())
    message = refusal(path, arch="jem_wrm", shape=Shape(1, 2, 2))
    assert "or one of: allconv, " in message
    message = refusal(path, arch="mlp", arch_args={"hiden": "3"}, shape=Shape(1, 2, 2))
    assert "did you mean 'hidden'" in message


# --- which weights, and what is beside them


FLAT = """
from torch import nn
def net(): return nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
def half(): return net().half()
class Blur(nn.Module):
    def __init__(self):
        super().__init__()
        import torch
        self.register_buffer("blur", torch.full((3, 1, 3, 3), 1 / 9))
        self.conv = nn.Conv2d(3, 2, 3)
    def forward(self, x):
        x = nn.functional.conv2d(x, self.blur, padding=1, groups=3)
        return self.conv(x).mean((2, 3))
"""


@pytest.fixture
def flat(tmp_path):
    path = tmp_path / "flat.py"
    path.write_text(FLAT)
    return {"arch": f"{path}:net", "shape": Shape(1, 2, 2)}


def test_the_weights_that_are_taken_are_said_and_can_be_chosen(file, flat, caplog):
    plain, mean = (nn.Sequential(nn.Flatten(), nn.Linear(4, 2)) for _ in "ab")
    path = file({"state_dict": plain.state_dict(), "state_dict_ema": mean.state_dict()})
    pixels = torch.rand(3, 1, 2, 2)
    network = load_network(path, **flat)
    assert torch.equal(network(pixels).logits, mean(pixels))
    assert network.source["state_dict"] == "state_dict_ema"
    assert "state_dict_ema are taken, and not state_dict; --weights" in caplog.text
    caplog.clear()
    chosen = load_network(path, weights="model", **flat)
    assert torch.equal(chosen(pixels).logits, plain(pixels))
    assert chosen.source["state_dict"] == "state_dict"
    assert not caplog.text
    assert "no weights 'swa'" in refusal(path, weights="swa", **flat)


def test_what_is_left_out_is_said(file, flat, caplog):
    state = nn.Sequential(nn.Flatten(), nn.Linear(4, 2)).state_dict()
    tensors = {f"model.{k}": v for k, v in state.items()} | {"loss.w": torch.ones(1)}
    network = load_network(file(tensors), **flat)
    how = "bare state dict; prefix model. removed; left out: loss.w"
    assert network.source["state_dict"] == how
    assert "left out: loss.w" in caplog.text


def test_a_half_module_takes_the_weights_of_the_file_in_full(file, flat):
    plain = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    half = flat | {"arch": flat["arch"].replace(":net", ":half")}
    network = load_network(file(plain.state_dict()), **half)
    pixels = torch.rand(3, 1, 2, 2)
    torch.testing.assert_close(network(pixels).logits, plain(pixels))
    assert network.source["converted"] == "torch.float16 to float32"


def test_a_network_that_first_blurs_each_colour_takes_three_channels(file, flat):
    state = {"blur": torch.full((3, 1, 3, 3), 1 / 9)}
    state |= {f"conv.{k}": v for k, v in nn.Conv2d(3, 2, 3).state_dict().items()}
    arch = flat["arch"].replace(":net", ":Blur")
    for channels in (1, 3):
        shape = Shape(channels, 8, 8)
        assert load_network(file(state), arch=arch, shape=shape).shape == (3, 8, 8)


def test_the_code_that_a_factory_imports_is_in_the_key(file, tmp_path):
    def run(body):
        layers = "from torch import nn\nclass Act(nn.Module):\n    def forward"
        (tmp_path / "own_layers.py").write_text(f"{layers}(self, x): return {body}\n")
        sys.modules.pop("own_layers", None)
        importlib.invalidate_caches()
        return load_network(path, arch=arch, shape=Shape(1, 2, 2)).fingerprint()

    (tmp_path / "own.py").write_text(
        "from own_layers import Act\nfrom torch import nn\n"
        "def net(): return nn.Sequential(nn.Flatten(), nn.Linear(4, 2), Act())\n"
    )
    arch = f"{tmp_path / 'own.py'}:net"
    path = file(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)).state_dict())
    first = run("x.relu()")
    assert run("x.relu()") == first
    assert run("x.sin() * 7") != first
    sys.modules.pop("own_layers", None)


def test_errors_inside_a_file_name_it(file):
    path = file({"a": torch.tensor(float("nan"))})
    assert refusal(path).startswith(f"{path}: ")

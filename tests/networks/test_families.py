"""Checkpoints of known families are recognised and compute what their authors' do."""

import json
import os
import re
import runpy
import subprocess
import sys
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
import torchvision
from PIL import Image
from torch import nn
from torch.nn import functional as F

from oodbench import InputError, Network, Shape, load_network
from oodbench.networks.architectures._skeleton import without_weights
from oodbench.networks.build import build_own
from oodbench.networks.normalisation import NORMALISATIONS
from oodbench.networks.recognise import recognise

DOCS = Path(__file__).parents[2] / "docs"
PAGE = runpy.run_path(str(DOCS / "families.py"))
SHARED = Path(
    os.environ.get("OODBENCH_SHARED", Path(__file__).resolve().parents[3] / "shared")
)
needs_shared = pytest.mark.skipif(
    not (SHARED / "checkpoints").is_dir(), reason="the shared checkpoints are not here"
)


@pytest.fixture
def file(tmp_path):
    """Writes what a checkpoint holds and returns its path."""

    def write(content, name="net.pt", **options):
        torch.save(content, tmp_path / name, **options)
        return tmp_path / name

    return write


def randomised(module):
    """A module in evaluation mode whose batch norms do something."""
    generator = torch.Generator().manual_seed(0)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for tensor in (layer.running_mean, layer.weight.data, layer.bias.data):
                tensor.add_(0.2 * torch.randn(tensor.shape, generator=generator))
            layer.running_var.uniform_(0.5, 2, generator=generator)
    return module.eval()


def pixels_for(network, count=2):
    generator = torch.Generator().manual_seed(1)
    return torch.rand(count, *network.shape, generator=generator)


def check_same(network, module):
    """Whether a network computes what a module does on normalised images."""
    pixels = pixels_for(network).contiguous(memory_format=torch.channels_last)
    mean, std = (torch.tensor(v).view(1, -1, 1, 1) for v in (network.mean, network.std))
    with torch.no_grad():
        expected = module((pixels - mean) / std)
        torch.testing.assert_close(network(pixels).logits, expected, rtol=0, atol=1e-5)


# --- every example, in every container


def prefixed(prefix, state):
    return {prefix + name: tensor for name, tensor in state.items()}


CONTAINERS = {
    "bare": lambda state: state,
    "state_dict": lambda state: {"state_dict": state, "optimizer": {"state": {}}},
    "net": lambda state: {"net": prefixed("module.", state)},
    "model": lambda state: {"model": prefixed("model.", state)},
    "lightning": lambda state: {
        "pytorch-lightning_version": "2.0",
        "state_dict": prefixed("net.model.", state) | {"acc.tp": torch.zeros(1)},
    },
    "old": lambda state: {k: v for k, v in state.items() if "num_batches" not in k},
}


@pytest.mark.parametrize("number", range(len(PAGE["EXAMPLES"])))
def test_every_example_loads_from_its_container_with_equal_logits(number, file):
    example = PAGE["EXAMPLES"][number]
    settings = dict(example.settings)
    if example.family == "torchvision_model":
        settings["classes"] = 7  # so that it takes small images
    module = randomised(build_own(example.family, settings))
    container = list(CONTAINERS)[number % len(CONTAINERS)]
    content = CONTAINERS[container](module.state_dict())
    if container != "bare":
        content |= dict.fromkeys(example.keys, 90.0)
    network = load_network(file(content, "net.pth.tar"), shape=Shape(3, 32, 32))
    assert json.loads(network.source["architecture"])["name"] == example.family
    assert network.head.in_features
    check_same(network, module)


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("old_format", [False, True])
def test_one_network_loads_from_every_container(container, old_format, file):
    module = randomised(build_own("cifar_resnet", {"classes": 3, "depth": 8}))
    content = CONTAINERS[container](module.state_dict())
    new = {"_use_new_zipfile_serialization": not old_format}
    check_same(load_network(file(content, **new)), module)


def test_safetensors_without_a_card_are_recognised(tmp_path):
    module = randomised(build_own("wide_resnet", {"classes": 3, "depth": 10}))
    safetensors.torch.save_file(module.state_dict(), tmp_path / "net.safetensors")
    check_same(load_network(tmp_path / "net.safetensors"), module)


def test_the_page_is_up_to_date():
    written = (DOCS / "families.md").read_text("utf-8")
    assert PAGE["page"]() == written, "run `python docs/families.py`"


# --- the networks against others that were written apart


def small_torchvision(**settings):
    """ResNet-18 of torchvision with the stem that small images need."""
    module = torchvision.models.resnet18(**settings)
    module.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
    return module


def renamed(state, pairs):
    for old, new in pairs:
        state = {re.sub(old, new, name): tensor for name, tensor in state.items()}
    return state


def test_a_small_stem_keeps_max_pooling_where_the_names_are_huyvnphans(file):
    module = randomised(small_torchvision(num_classes=10))
    path = file(module.state_dict())
    network = load_network(path)
    assert "ReLU; max-pooling after the stem" in network.source["assumed"]
    check_same(network, module)
    module.maxpool = nn.Identity()
    arguments = {"maxpool": "False"}
    network = load_network(path, arch="small_resnet", arch_args=arguments)
    assert "no max-pooling after the stem" in network.source["assumed"]
    check_same(network, module)


@pytest.mark.parametrize(
    ("kind", "head", "mean"),
    [
        ("resnet18", "fc", "cifar10"),
        ("resnet18", "linear", "cifar10-kuangliu"),
        ("resnet50", "linear", "cifar10-kuangliu"),
    ],
)
def test_openoods_and_kuanglius_resnets_are_torchvisions_without_max_pooling(
    kind, head, mean, file
):
    module = torchvision.models.get_model(kind, num_classes=10)
    module.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
    module.maxpool = nn.Identity()
    state = randomised(module).state_dict()
    names = [("downsample", "shortcut"), (r"^fc\.", f"{head}.")]
    network = load_network(file({"net": renamed(state, names)}))
    assert network.std == NORMALISATIONS[mean].std
    check_same(network, module)


def test_the_densenet_is_torchvisions_with_a_small_stem(file):
    module = torchvision.models.DenseNet(12, (2, 2, 2), 24, 4, num_classes=10)
    body = module.features
    body.conv0 = nn.Conv2d(3, 24, 3, 1, 1, bias=False)
    body.norm0 = body.relu0 = body.pool0 = nn.Identity()
    state = randomised(module).state_dict()
    names = [
        (r"^features\.conv0", "conv1"),
        (r"^features\.norm5", "bn1"),
        (r"^features\.transition(\d)\.norm", r"trans\1.bn1"),
        (r"^features\.transition(\d)\.conv", r"trans\1.conv1"),
        (r"denselayer1\.", "layer.0."),
        (r"denselayer2\.", "layer.1."),
        (r"^features\.denseblock", "block"),
        (r"norm(\d)", r"bn\1"),
        (r"^classifier", "fc"),
    ]
    network = load_network(file({"state_dict": renamed(state, names)}))
    assert network.source["recognised"] == "DenseNet-BC of depth 16, growth 12"
    check_same(network, module)


class FromState(nn.Module):
    """A network that is written as one function of its state dict."""

    def __init__(self, state, function):
        super().__init__()
        self.state, self.function = state, function

    def forward(self, x):
        return self.function(self.state, x)


def norm(state, name, x):
    parts = ("running_mean", "running_var", "weight", "bias")
    return F.batch_norm(x, *(state[f"{name}.{part}"] for part in parts))


def option_a(state, x):
    x = F.relu(norm(state, "bn1", F.conv2d(x, state["conv1.weight"], padding=1)))
    for stage in (1, 2, 3):
        name, stride = f"layer{stage}.0", 1 if stage == 1 else 2
        y = F.conv2d(x, state[f"{name}.conv1.weight"], stride=stride, padding=1)
        y = F.relu(norm(state, f"{name}.bn1", y))
        y = norm(
            state, f"{name}.bn2", F.conv2d(y, state[f"{name}.conv2.weight"], padding=1)
        )
        if stride == 2:
            zeros = torch.zeros(len(x), x.shape[1] // 2, *y.shape[2:])
            x = torch.cat([zeros, x[..., ::2, ::2], zeros], 1)
        x = F.relu(x + y)
    x = F.avg_pool2d(x, 8).flatten(1)
    return F.linear(x, state["linear.weight"], state["linear.bias"])


def wide(state, x):
    x = F.conv2d(x, state["conv1.weight"], padding=1)
    for stage in (1, 2, 3):
        name, stride = f"block{stage}.layer.0", 1 if stage == 1 else 2
        x = F.relu(norm(state, f"{name}.bn1", x))  # the shortcut gets it, too
        y = F.conv2d(x, state[f"{name}.conv1.weight"], stride=stride, padding=1)
        y = F.relu(norm(state, f"{name}.bn2", y))
        y = F.conv2d(y, state[f"{name}.conv2.weight"], padding=1)
        x = y + F.conv2d(x, state[f"{name}.convShortcut.weight"], stride=stride)
    x = F.avg_pool2d(F.relu(norm(state, "bn1", x)), 8).flatten(1)
    return F.linear(x, state["fc.weight"], state["fc.bias"])


def deep_mind(state, x):
    x = F.conv2d(
        (x - state["mean"]) / state["std"], state["init_conv.weight"], None, 1, 1
    )
    for stage, block in ((0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)):
        name, step = f"layer.{stage}.block.{block}", 2 if stage and not block else 1
        first = F.silu(norm(state, f"{name}.batchnorm_0", x))
        y = F.conv2d(first, state[f"{name}.conv_0.weight"], None, 1, 1)
        # Padded on the right and below alone: the outputs at odd places.
        y = y[:, :, step - 1 :: step, step - 1 :: step]
        y = F.silu(norm(state, f"{name}.batchnorm_1", y))
        y = F.conv2d(y, state[f"{name}.conv_1.weight"], None, 1, 1)
        if (shortcut := state.get(f"{name}.shortcut.weight")) is not None:
            x = F.conv2d(first[:, :, ::step, ::step], shortcut)
        x = x + y
    x = F.avg_pool2d(F.silu(norm(state, "batchnorm", x)), 8).flatten(1)
    return F.linear(x, state["logits.weight"], state["logits.bias"])


def all_conv(state, x):
    def step(x, at, padding):
        weight, bias = (state[f"features.{at}.{part}"] for part in ("weight", "bias"))
        x = norm(state, f"features.{at + 1}", F.conv2d(x, weight, bias, 1, padding))
        return x * torch.sigmoid(1.702 * x)

    for at in (0, 3, 6):
        x = step(x, at, 1)
    x = F.max_pool2d(x, 2)
    for at in (11, 14, 17):
        x = step(x, at, 1)
    x = step(F.max_pool2d(x, 2), 22, 0)
    x = step(step(x, 25, 1), 28, 1)
    assert x.shape[2:] == (10, 10)
    x = x[..., :8, :8].mean((2, 3))
    return F.linear(x, state["classifier.weight"], state["classifier.bias"])


def ccexam(blocks, head):
    """ccexam's networks: convolutions and their norms by block, then linear layers."""

    def function(state, x):
        for block in blocks:
            for at, normed in block:
                weight, bias = (state[f"features.{at}.{k}"] for k in ("weight", "bias"))
                x = F.conv2d(x, weight, bias, padding=1)
                x = F.relu(norm(state, f"features.{normed}", x) if normed else x)
            x = F.max_pool2d(x, 2)
        first, last = (
            [state[f"classifier.{at}.{k}"] for k in ("weight", "bias")] for at in head
        )
        return F.linear(F.relu(F.linear(x.flatten(1), *first)), *last)

    return function


MNIST = ccexam([[("0", "")], [("3", "")]], "02")
USPS = ccexam([[("0", "1")], [("4", "5")]], "14")
SVHN = ccexam([[(f"{n}.0", f"{n}.1"), (f"{n}.3", f"{n}.4")] for n in range(3)], "14")


@pytest.mark.parametrize(
    ("family", "settings", "function"),
    [
        ("ccexam_digits", {}, MNIST),
        ("ccexam_digits", {"side": 16, "regularised": True}, USPS),
        ("ccexam_svhn", {}, SVHN),
        ("cifar_resnet", {"depth": 8}, option_a),
        ("wide_resnet", {"depth": 10, "width": 2}, wide),
        ("dm_wide_resnet", {"depth": 16, "width": 1, "normalises": True}, deep_mind),
        ("dm_wide_resnet", {"depth": 16, "width": 2, "normalises": True}, deep_mind),
        ("allconv", {}, all_conv),
    ],
)
def test_a_network_is_the_function_of_its_weights(family, settings, function, file):
    state = randomised(build_own(family, {"classes": 4, **settings})).state_dict()
    network = load_network(file(dict(state)))
    check_same(network, FromState(state, function))


def test_deepminds_network_normalises_by_itself_where_its_file_says_how(file):
    settings = {"classes": 4, "depth": 10, "width": 1}
    module = build_own("dm_wide_resnet", {**settings, "normalises": True})
    state = randomised(module).state_dict()
    state["mean"].copy_(torch.tensor([0.3, 0.4, 0.5]).view(3, 1, 1))
    state["std"].fill_(0.25)
    network = load_network(file(dict(state)))
    assert (set(network.mean), set(network.std)) == ({0}, {1})
    check_same(network, module)
    pixels = pixels_for(network)
    plain = load_network(
        file({k: v for k, v in state.items() if k not in ("mean", "std")}),
        mean=(0.3, 0.4, 0.5),
        std=(0.25,) * 3,
    )
    with torch.no_grad():
        torch.testing.assert_close(plain(pixels).logits, network(pixels).logits)
    relu = load_network(
        file(dict(state)), arch="dm_wide_resnet", arch_args={"activation": "relu"}
    )
    assert "relu" in relu.source["assumed"]


def test_the_stage_that_trades_never_uses_is_left_out(file):
    module = randomised(build_own("wide_resnet", {"classes": 3, "depth": 10}))
    state = module.state_dict()
    twin = {f"sub_{k}": v for k, v in state.items() if k.startswith("block1.")}
    network = load_network(file(dict(state) | twin))
    check_same(network, module)
    assert "sub_block1.layer.0.bn1.weight" in network.source["state_dict"]


def test_the_densenet_of_davis_has_other_names(file):
    plain = randomised(build_own("densenet_bc", {"classes": 4, "depth": 10}))
    names = [("^", "encoder."), (r"^encoder\.fc\.", "output_layer.")]
    network = load_network(file(renamed(plain.state_dict(), names)))
    assert network.source["recognised"].endswith("as in DAVIS")
    check_same(network, plain)


@pytest.mark.parametrize(
    "family",
    ["cifar_resnet", "small_resnet", "wide_resnet", "densenet_bc", "davis_densenet"],
)
def test_the_features_are_the_mean_of_the_last_blocks_map(family):
    depth = {"wide_resnet": 10, "densenet_bc": 10, "davis_densenet": 10}.get(family)
    settings = {"classes": 4} | ({"depth": depth} if depth else {})
    network = Network(randomised(build_own(family, settings)), (3, 32, 32))
    found = network(torch.rand(2, 3, 32, 32), with_maps=True)
    mean = found.maps[network.block_names[-1]].mean((2, 3))
    torch.testing.assert_close(mean, found.features)


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (["visual.conv1.weight", "logit_scale"], "CLIP model, .* --arch openclip:"),
        (["vision_model.head.weight", "logit_scale"], "names of transformers; take"),
        (["components", "reasoning_layer.weight"], "no logits and no linear head"),
    ],
)
def test_what_is_no_classifier_is_refused_with_the_reason(names, why, file):
    path = file({name: torch.ones(2, 2) for name in names})
    with pytest.raises(InputError, match=why):
        load_network(path)


def test_the_vera_network_lies_under_its_own_key(file):
    module = build_own("vera_wrn", {"classes": 4, "depth": 10, "width": 1}).eval()
    wrapped = prefixed("logp_net.", module.state_dict())
    generator = {"linear.weight": torch.ones(2, 2)}
    network = load_network(file({"model": {"logp_net": wrapped, "g": generator}}))
    assert network.source["recognised"] == "VERA WRN-10-1"
    check_same(network, module)


# --- torchvision


@pytest.mark.parametrize("model", ["squeezenet1_1", "mnasnet0_5", "shufflenet_v2_x0_5"])
def test_classifiers_of_torchvision_are_recognised(model, file):
    module = randomised(torchvision.models.get_model(model, num_classes=9))
    network = load_network(file(module.state_dict()), shape=Shape(3, 64, 64))
    assert network.source["recognised"] == f"{model} of torchvision"
    assert network.shape == (3, 64, 64)
    check_same(network, module)


def test_a_network_for_imagenet_takes_its_own_size(file):
    module = randomised(torchvision.models.resnet18())
    path = file(module.state_dict())
    assert load_network(path, shape=Shape(3, 32, 32)).shape == (3, 224, 224)
    assert load_network(path, size=(64, 48)).shape == (3, 64, 48)


def test_a_vision_transformers_size_is_read_off_its_places():
    for model, side in (("vit_b_32", 96), ("vit_h_14", 518)):
        settings = {"model": model, "classes": 3, "image_size": side}
        with without_weights():
            module = build_own("torchvision_model", settings)
        found = recognise(module.state_dict())
        assert (found.settings["model"], found.usual.side) == (model, side)


@pytest.mark.parametrize("aux_logits", [True, False])
def test_heads_that_only_serve_training_may_be_absent(aux_logits):
    with without_weights():
        module = torchvision.models.googlenet(
            aux_logits=aux_logits, init_weights=False, num_classes=5
        )
    settings = recognise(module.state_dict()).settings
    expected = {"model": "googlenet", "aux_logits": aux_logits, "classes": 5}
    assert settings == expected


@pytest.mark.slow
def test_every_classifier_of_torchvision_is_recognised():
    for model in torchvision.models.list_models(module=torchvision.models):
        settings = {"model": model, "classes": 11}
        with without_weights():
            module = build_own("torchvision_model", settings)
        assert recognise(module.state_dict()).settings["model"] == model


# --- what is assumed


def test_the_script_that_wrote_a_resnet_decides_its_normalisation(file, caplog):
    state = build_own("cifar_resnet", {"classes": 10}).state_dict()
    for keys, name in [
        ({"best_prec1": 91.7}, "imagenet"),
        ({"acc": 92.0, "epoch": 3}, "cifar10-kuangliu"),
        ({}, "cifar10-kuangliu"),
    ]:
        caplog.clear()
        network = load_network(file({"state_dict": state} | keys))
        assert network.std == NORMALISATIONS[name].std
        (said,) = (record.getMessage() for record in caplog.records)
        assert f"normalisation {name} (" in said
        assert "others of this shape" in said
        assert network.source["assumed"] in said


def test_an_own_architecture_is_recognised_without_torchvision(file):
    path = file(build_own("wide_resnet", {"depth": 10, "classes": 10}).state_dict())
    code = (
        f"import sys; from oodbench import load_network; load_network({str(path)!r}); "
        "sys.exit('torchvision' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_is_given_is_not_assumed(file):
    path = file(build_own("cifar_resnet", {"classes": 10}).state_dict())
    network = load_network(path, mean="imagenet")
    assert (network.mean, network.std) == NORMALISATIONS["imagenet"][:2]
    assert "normalisation" not in network.source["assumed"]
    assert load_network(path, mean="imagenet", std=(1.0,)).std == (1.0,)
    with pytest.raises(InputError, match="did you mean 'imagenet'"):
        load_network(path, mean="imagnet")


def test_a_normalisation_has_a_name_on_the_command_line(oodbench):
    options = ("--model", "net.pt", "--mean")
    assert "did you mean 'imagenet'" in oodbench("run", *options, "imagnet")[2]
    assert "There is no file net.pt" in oodbench("run", *options, "imagenet")[2]


def test_another_activation_can_be_chosen(file):
    module = build_own("oe_convnet", {"classes": 10, "activation": "relu"}).eval()
    path = file(module.state_dict())
    assert "activation quick_gelu" in load_network(path).source["assumed"]
    relu = load_network(path, arch="oe_convnet", arch_args={"activation": "relu"})
    check_same(relu, module)


def test_weights_of_another_family_are_refused(file):
    path = file(build_own("cifar_resnet", {"classes": 10}).state_dict())
    with pytest.raises(InputError, match=r"no allconv .*the first tensors"):
        load_network(path, arch="allconv")
    with pytest.raises(InputError, match="and this is ResNet-20 for CIFAR"):
        load_network(path, norm="batch")


@pytest.mark.parametrize("number", range(len(PAGE["EXAMPLES"])))
def test_tensors_of_odd_shapes_are_never_a_fault(number):
    example = PAGE["EXAMPLES"][number]
    state = build_own(example.family, example.settings).state_dict()
    names = [name for name in state if name.endswith(("weight", "bias"))]
    for name in (names[0], names[-2], names[-1]):
        for shape in [(), (0,), (7,), (0, 0), (1, 2, 3), (3, 0, 1, 1)]:
            found = recognise(dict(state) | {name: torch.ones(shape)})
            assert found is None or found.usual.title


def test_a_vision_transformer_of_odd_shapes_is_no_fault():
    with without_weights():
        state = torchvision.models.vit_b_32(num_classes=3).state_dict()
    for name in ("conv_proj.weight", "encoder.pos_embedding"):
        for shape in [(), (0,), (1, 0, 5), (1, 2, 3, 14)]:
            assert recognise(dict(state) | {name: torch.ones(shape)}) is None


# --- the real checkpoints


REAL = {
    "resnet20-12fca82f.th": ("ResNet-20 for CIFAR", 0.8103),
    "resnet20_net_acc_epoch.pth": ("ResNet-20 for CIFAR", 0.81),
    "densenet100bc12_cifar10.pth.tar": ("DenseNet-BC of depth 100, growth 12", 0.823),
    "mnist_convnet_baseline.pt": ("the MNIST ConvNet of Outlier Exposure", 0.9906),
}


def real_images(name):
    """Images `[N, C, H, W]` in [0, 1] of the set that a checkpoint is for."""
    if name.startswith("mnist"):
        data = np.load(SHARED / "data" / "mnist_test.npz")
        images = data["images"][:1000].reshape(-1, 28, 28, 1)
    else:
        data = np.load(SHARED / "data" / "cifar10_test.jpegs.npz")
        packed, ends = data["bytes"].tobytes(), data["offsets"][:201]
        images = np.stack(
            [
                np.asarray(Image.open(BytesIO(packed[start:end])))
                for start, end in pairwise(ends)
            ]
        )
    pixels = torch.from_numpy(images).float().div(255).permute(0, 3, 1, 2)
    return pixels, data["labels"][: len(images)]


@needs_shared
@pytest.mark.parametrize("name", REAL)
def test_a_real_checkpoint_is_recognised_and_classifies(name):
    title, accuracy = REAL[name]
    network = load_network(SHARED / "checkpoints" / name)
    assert network.source["recognised"] == title
    pixels, labels = real_images(name)
    with torch.no_grad():
        logits = torch.cat([network(part).logits for part in pixels.split(100)])
    right = (logits.argmax(1).numpy() == labels).mean()
    assert right == pytest.approx(accuracy, abs=0.08)  # three deviations of 200 images

"""A checkpoint is explained without running it, and converted without loss."""

import json

import pytest
import torch
import torchvision

from oodbench import InputError, Shape, load_network
from oodbench.networks.architectures.jem_wrn import JEMWideResNet
from oodbench.networks.build import build_own
from oodbench.networks.convert import convert
from oodbench.networks.inspection import inspect_file


@pytest.fixture
def file(tmp_path, monkeypatch):
    """Writes what a checkpoint holds into the current folder; returns its path."""
    monkeypatch.chdir(tmp_path)

    def write(content, name="net.pt"):
        torch.save(content, tmp_path / name)
        return tmp_path / name

    return write


def resnet(**settings):
    torch.manual_seed(0)
    return build_own("cifar_resnet", {"classes": 10, "depth": 8, **settings}).eval()


# --- inspect


@pytest.fixture
def cached(tmp_path, monkeypatch):
    """Puts files of the repository a/b into the local cache; there is no network."""
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    commit = "0123456789abcdef0123456789abcdef01234567"
    folder = tmp_path / "hub" / "models--a--b"
    snapshot = folder / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    for name in ("main", "v1"):
        (folder / "refs" / name).write_text(commit)
    return snapshot


@pytest.mark.parametrize("address", ["hf://a/b/net.pt", "hf://a/b/net.pt@v1"])
def test_a_file_of_hugging_face_is_explained_from_the_cache(file, cached, address):
    local = file(resnet().state_dict())
    torch.save(resnet().state_dict(), cached / "net.pt")
    facts = inspect_file(address)
    assert facts["file"] == address
    assert facts["command"].startswith(f"oodbench run --model {address} --in cifar10")
    assert facts["recognised"] == inspect_file(local)["recognised"]


def test_without_a_network_one_sentence_says_so(cached):
    with pytest.raises(
        InputError, match=r"other.pt@v2 cannot be downloaded and is not"
    ):
        inspect_file("hf://a/b/other.pt@v2")
    (cached / "model.safetensors").touch()
    with pytest.raises(InputError, match=r"its files \(here: model.safetensors\)"):
        inspect_file("hf://a/b")


def test_a_recognised_file_is_explained(file):
    state = {f"module.{k}": v for k, v in resnet().state_dict().items()}
    facts = inspect_file(file({"net": state, "acc": 92.5, "args": {"lr": 1}}))
    assert facts["container"] == "net"
    assert facts["beside weights"] == {"acc": "92.5", "args": "dict of 1"}
    assert facts["first"][0] == "module.conv1.weight 16x3x3x3"
    assert facts["last"][1:] == ["module.linear.weight 10x64", "module.linear.bias 10"]
    weights = sum(each.numel() for each in resnet().parameters())
    assert facts["parameters"] == weights
    assert facts["recognised"] == "ResNet-8 for CIFAR"
    assert "prefix module. removed" in facts["because"]
    assert facts["images"] == "3x32x32"
    assert "cifar10-kuangliu (the file has the key acc" in facts["assumed"]
    assert facts["command"].endswith("net.pt --in cifar10 --out cifar100,svhn")


def test_the_nearest_families_and_what_differs_are_named(file):
    state = dict(resnet().state_dict()) | {"extra.weight": torch.ones(2)}
    state["linear.weight"] = torch.ones(10, 32)
    facts = inspect_file(file(state))
    assert facts["recognised"] is None
    difference = facts["nearest"]["cifar_resnet"]
    assert "1 unexpected (extra.weight)" in difference
    assert "1 of another form (linear.weight 10x32 for 10x64)" in difference
    assert "--arch FILE.py:FUNCTION" in facts["command"]


def test_a_file_like_one_of_torchvision_is_compared_with_it(file):
    state = torchvision.models.squeezenet1_1().state_dict()
    del state["features.3.squeeze.bias"]
    facts = inspect_file(file(dict(state)))
    assert "1 missing (features.3.squeeze.bias)" in facts["nearest"]["squeezenet1_1"]


def test_a_norm_that_must_be_told_is_named(file):
    state = JEMWideResNet(depth=10, width=1, norm="layer").state_dict()
    facts = inspect_file(file({"model_state_dict": state}))
    assert facts["missing"] == "the norm (--norm)"
    assert "--norm instance" in facts["command"]


def test_a_file_of_code_is_refused_unrun(file, oodbench, tmp_path):
    torch.save(resnet(), tmp_path / "module.pt")
    code, _, errors = oodbench("inspect", "module.pt")
    assert code == 3
    assert "is a whole pickled module, which is code and was not run" in errors


def test_the_command_prints_eighty_columns_or_json(file, oodbench):
    path = file({"state_dict": resnet().state_dict(), "best_prec1": 91.0, "\x1b[2J": 1})
    code, out, _ = oodbench("inspect", str(path), "--json")
    assert code == 0
    assert json.loads(out) == json.loads(json.dumps(inspect_file(path)))
    _, out, _ = oodbench("inspect", path.name)
    assert max(map(len, out.splitlines())) <= 80
    assert "\x1b" not in out
    assert "recognised      ResNet-8 for CIFAR\n" in out


# --- convert


def test_a_converted_file_gives_equal_logits_and_says_what_was_assumed(file, tmp_path):
    path = file({"state_dict": resnet().state_dict(), "best_prec1": 91.0})
    names = [f"class {number}" for number in range(10)]
    to = tmp_path / "new.safetensors"
    written = convert(path, to, class_names=names, source="here", licence="MIT")
    assert written == json.loads(to.with_suffix(".json").read_text())
    assert (written["source"], written["licence"]) == ("here", "MIT")
    before, after = load_network(path), load_network(to)
    assert written["converted_from"]["sha256"] == before.source["sha256"]
    assert after.source["assumed"] == before.source["assumed"]
    assert (after.mean, after.std) == (before.mean, before.std)
    assert after.class_names == tuple(names)
    pixels = torch.rand(3, *before.shape)
    assert torch.equal(before(pixels).logits, after(pixels).logits)


def test_a_network_of_a_factory_is_converted_with_its_call(file, tmp_path):
    module = torchvision.models.squeezenet1_1(num_classes=3).eval()
    given = {"arch": "torchvision.models:squeezenet1_1"}
    given["arch_args"] = {"num_classes": "3"}
    to = tmp_path / "new.safetensors"
    path = file(module.state_dict())
    written = convert(path, to, shape=Shape(3, 64, 64), mean="imagenet", **given)
    call = "torchvision.models:squeezenet1_1(num_classes=3)"
    assert written["architecture"] == {"factory": call}
    network = load_network(to, **given)
    pixels = torch.rand(1, 3, 64, 64)
    normalised = torchvision.transforms.functional.normalize(
        pixels, network.mean, network.std
    )
    torch.testing.assert_close(network(pixels).logits, module(normalised))


@pytest.mark.parametrize(
    ("to", "names", "words"),
    [
        ("new.pt", [], "must end in .safetensors"),
        ("new.safetensors", ["a"], "1 class names, and the network has 10 classes"),
    ],
)
def test_what_cannot_be_converted_is_refused(file, tmp_path, to, names, words):
    path = file(resnet().state_dict())
    with pytest.raises(InputError, match=words):
        convert(path, tmp_path / to, class_names=names)


def test_the_command_converts(file, oodbench):
    path = file(resnet().state_dict())
    options = ("--mean", "imagenet", "--class-names", "a,b,c,d,e,f,g,h,i,j")
    code, out, errors = oodbench(
        "convert", str(path), "--to", "b.safetensors", *options
    )
    assert code == 0, errors
    assert out == "b.safetensors: cifar_resnet, 3x32x32, with its card.\n"
    assert (
        "normalisation" not in inspect_file(path.with_name("b.safetensors"))["assumed"]
    )

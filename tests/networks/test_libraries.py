"""Networks of timm and transformers load with their own preprocessing."""

import json
import os
import subprocess
import sys

import pytest
import torch
import torchvision

from oodbench import InputError, load_network


def normalised(network, pixels):
    mean, std = list(network.mean), list(network.std)
    return torchvision.transforms.functional.normalize(pixels, mean, std)


# --- timm


def test_a_file_of_a_timm_model_takes_timms_preprocessing(tmp_path):
    timm = pytest.importorskip("timm")
    module = timm.create_model("test_resnet", num_classes=7).eval()
    state = {f"module.{name}": each for name, each in module.state_dict().items()}
    torch.save({"state_dict": state}, tmp_path / "net.pt")
    network = load_network(tmp_path / "net.pt", arch="timm:test_resnet")
    config = timm.data.resolve_model_data_config(module)
    assert (network.mean, network.std) == (config["mean"], config["std"])
    assert network.shape == config["input_size"]
    assert network.classes == 7
    pixels = torch.rand(2, *network.shape)
    expected = module(normalised(network, pixels))
    torch.testing.assert_close(network(pixels).logits, expected)
    assert "timm's own weights" in network.source["assumed"]
    smaller = load_network(tmp_path / "net.pt", arch="timm:test_resnet", size=(64, 64))
    assert smaller.shape == (3, 64, 64)


def test_a_misspelt_timm_model_is_refused(tmp_path):
    pytest.importorskip("timm")
    with pytest.raises(InputError, match="did you mean 'resnet18'"):
        load_network("timm:resnet18x")


@pytest.mark.parametrize(
    ("library", "call", "extra"),
    [
        ("timm", lambda: load_network("timm:resnet18"), "oodbench.timm."),
        (
            "huggingface_hub",
            lambda: load_network("hf://a/b/c.pt"),
            "oodbench.transformers.",
        ),
    ],
)
def test_a_missing_extra_is_one_sentence(monkeypatch, library, call, extra):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(InputError, match=f"{library} is not installed; .*{extra}"):
        call()


# --- transformers


@pytest.fixture
def folder(tmp_path):
    """A small vision transformer as transformers saves it."""
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=32,
        patch_size=16,
        id2label={0: "cat", 1: "dog", 2: "owl"},
    )
    transformers.ViTForImageClassification(config).save_pretrained(tmp_path / "vit")
    preprocessing = {
        "do_normalize": True,
        "size": {"height": 32, "width": 32},
        "image_mean": [0.5, 0.4, 0.3],
        "image_std": [0.2, 0.3, 0.4],
    }
    path = tmp_path / "vit" / "preprocessor_config.json"
    path.write_text(json.dumps(preprocessing))
    return tmp_path / "vit"


def test_a_folder_of_transformers_brings_all_that_is_needed(folder):
    transformers = pytest.importorskip("transformers")
    network = load_network(folder)
    assert (network.mean, network.std) == ((0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
    assert (network.name, network.shape) == ("vit", (3, 32, 32))
    assert network.class_names == ("cat", "dog", "owl")
    assert network.head is network.module.classifier
    module = transformers.ViTForImageClassification.from_pretrained(folder).eval()
    pixels = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        expected = module(normalised(network, pixels)).logits
    torch.testing.assert_close(network(pixels).logits, expected, rtol=0, atol=1e-5)
    with pytest.raises(InputError, match="options that describe a checkpoint are"):
        load_network(folder, mean="imagenet")


def test_a_folder_without_its_preprocessing_is_refused(folder):
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(InputError, match="gives the size and normalisation"):
        load_network(folder)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("do_flip_channel_order", True, "has do_flip_channel_order, and"),
        ("include_top", True, "has include_top, and"),
        ("do_rescale", False, "has do_rescale = false, and"),
        ("rescale_factor", 1 / 127.5, "has rescale_factor = 0.0078"),
        ("image_mean", None, "has no image_mean, and"),
    ],
)
def test_preprocessing_that_is_no_normalisation_is_refused(folder, key, value, words):
    file = folder / "preprocessor_config.json"
    content = json.loads(file.read_text()) | {"rescale_factor": 0.00392156862745098}
    file.write_text(json.dumps(content))
    load_network(folder)
    content |= {key: value}
    content = {name: each for name, each in content.items() if each is not None}
    file.write_text(json.dumps(content))
    with pytest.raises(InputError, match=words):
        load_network(folder)


def test_weights_that_a_folder_lacks_are_not_made_up(folder):
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    del weights["classifier.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match=r"lacks 1 weights, such as 'class"):
        load_network(folder)


@pytest.mark.parametrize("address", ["hf://a", "hf:///b", "hf://a//c.pt"])
def test_what_is_no_address_is_refused(address):
    with pytest.raises(InputError, match="is no address; write hf://OWNER/REPO"):
        load_network(address)


@pytest.mark.slow
def test_without_a_network_the_cache_is_used_or_one_sentence_printed(tmp_path):
    pytest.importorskip("huggingface_hub")
    commit = "0123456789abcdef0123456789abcdef01234567"
    folder = tmp_path / "models--a--b"
    (folder / "snapshots" / commit).mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(commit)
    (folder / "snapshots" / commit / "c.pt").touch()
    code = "from oodbench import load_network; load_network({!r})"
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(tmp_path)}
    said = [
        subprocess.run(
            [sys.executable, "-c", code.format(address)],
            env=environment,
            capture_output=True,
            text=True,
        ).stderr.splitlines()[-1]
        for address in ("hf://a/b/c.pt", "hf://a/b/d.pt@v1")
    ]
    assert "is empty; copy or download it again" in said[0]
    assert "cannot be downloaded and is not in the cache" in said[1]

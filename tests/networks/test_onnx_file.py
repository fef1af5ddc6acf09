"""ONNX files as networks: logits, features, no gradients."""

import sys

import pytest
import torch
from made_onnx import TwoLayers, write

from oodbench import InputError, Network, Shape, load_network
from oodbench.networks.inspection import inspect_file
from oodbench.scoring.engine import Engine, lacks
from oodbench.scoring.spec import open_detector

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
MOMENTS = {"mean": (0.5,), "std": (0.25,)}


@pytest.fixture
def two_layers():
    """The network of the files, in torch."""
    return Network(TwoLayers(), (1, 4, 4), "two_layers", (0.5,), (0.25,))


def test_logits_and_features_are_those_of_the_network(two_layers, tmp_path):
    network = load_network(write(tmp_path / "a.onnx"), **MOMENTS)
    pixels = torch.rand(5, 1, 4, 4)
    for some in (pixels, pixels[:1]):
        found, expected = network(some), two_layers(some)
        torch.testing.assert_close(found.logits, expected.logits)
        torch.testing.assert_close(found.features, expected.features)
    assert network.head is None
    assert network.shape == (1, 4, 4)


def test_a_file_for_one_image_runs_image_by_image(two_layers, tmp_path):
    network = load_network(write(tmp_path / "a.onnx", count=1), **MOMENTS)
    pixels = torch.rand(5, 1, 4, 4)
    torch.testing.assert_close(network(pixels).features, two_layers(pixels).features)


def test_free_sizes_are_those_of_the_set(tmp_path):
    file = write(tmp_path / "a.onnx", sides=("H", "W"))
    assert load_network(file, shape=Shape(1, 4, 4)).shape == (1, 4, 4)
    with pytest.raises(InputError, match="size of its images is free; give a shape"):
        load_network(file)


def test_detectors_without_gradients_score_as_on_the_network(
    two_layers, tmp_path, images
):
    network = load_network(write(tmp_path / "a.onnx"), **MOMENTS)
    found = {}
    for one in (two_layers, network):
        detectors = {n: open_detector(n).detector for n in ("energy", "knn:k=3", "tta")}
        engine = Engine(one, detectors)
        assert engine.fit("train", images, tell=lambda _: None) == {}
        scored = engine.score(images, has_labels=False, tell=lambda _: None)
        assert scored.failures == {}
        found[one.name] = scored.scores
    for name, expected in found["two_layers"].items():
        assert found["a"][name] == pytest.approx(expected, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize(
    ("detector", "why"),
    [
        ("jem_grad_norm", "an ONNX file, which gives no gradients"),
        ("odin", "an ONNX file, which gives no gradients"),
        ("gram", "no feature maps"),
        ("vim", "no linear layer whose output is the logits"),
    ],
)
def test_other_detectors_are_refused_in_one_sentence(tmp_path, detector, why):
    network = load_network(write(tmp_path / "a.onnx"))
    assert why in lacks(network, open_detector(detector).detector)
    with pytest.raises(InputError, match="gives no gradients"):
        network(torch.rand(2, 1, 4, 4, requires_grad=True))


def test_without_an_output_of_that_name_there_are_no_features(tmp_path):
    network = load_network(write(tmp_path / "a.onnx", outputs=["logits"]))
    assert not network.has_features
    first = load_network(write(tmp_path / "b.onnx", outputs=["features", "logits"]))
    assert first.classes == 8  # the first output is the logits, whatever its name


def test_the_key_is_that_of_the_content(tmp_path):
    first = load_network(write(tmp_path / "a.onnx"))
    same = load_network(write(tmp_path / "b.onnx"))
    other = load_network(write(tmp_path / "c.onnx", count=1))
    assert first.fingerprint() == same.fingerprint()
    assert first.fingerprint() != other.fingerprint()
    assert first.source["assumed"].startswith("mean 0 or std 1")


def test_weights_in_a_file_beside_it_decide_the_key(tmp_path):
    onnx = pytest.importorskip("onnx")
    for folder, change in (("a", 0), ("b", 1)):
        (tmp_path / folder).mkdir()
        model = onnx.load(write(tmp_path / folder / "net.onnx"))
        (weight,) = (w for w in model.graph.initializer if w.name == "head.weight")
        values = onnx.numpy_helper.to_array(weight) + change
        weight.CopyFrom(onnx.numpy_helper.from_array(values, "head.weight"))
        onnx.save(
            model,
            tmp_path / folder / "net.onnx",
            save_as_external_data=True,
            location="weights.bin",
            size_threshold=0,
        )
    first, other = (load_network(tmp_path / n / "net.onnx") for n in ("a", "b"))
    assert first.fingerprint() != other.fingerprint()
    pixels = torch.rand(2, 1, 4, 4)
    torch.testing.assert_close(first(pixels).logits, TwoLayers()(pixels))
    (tmp_path / "a" / "weights.bin").unlink()
    with pytest.raises(InputError, match="cannot be read as ONNX"):
        load_network(tmp_path / "a" / "net.onnx")


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ({"count": 4}, "takes 4 images at once"),
        ({"sides": (16,)}, r"takes tensor\(float\) \['N', 1, 16\]; a network takes"),
    ],
)
def test_what_takes_no_images_is_refused(tmp_path, made, message):
    with pytest.raises(InputError, match=message):
        load_network(write(tmp_path / "a.onnx", **made))


def test_damage_options_and_missing_libraries_are_one_sentence(tmp_path, monkeypatch):
    path = tmp_path / "a.onnx"
    path.write_bytes(b"no graph")
    with pytest.raises(InputError, match=r"a\.onnx cannot be read as ONNX"):
        load_network(path)
    with pytest.raises(InputError, match="leave --arch, --arg"):
        load_network(path, arch="mlp")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match=r"onnxruntime is not installed; .*\[onnx\]"):
        load_network(path)


def test_inspect_explains_it(tmp_path):
    facts = inspect_file(write(tmp_path / "a.onnx"))
    assert facts["container"] == "ONNX graph of opset 18"
    assert facts["images"] == "Nx1x4x4"
    assert facts["outputs"] == {"logits": "Nx6, logits", "features": "Nx8, features"}
    assert "no gradients" in facts["gives"]
    assert "--mean" in facts["missing"]


def test_it_is_run_by_its_file(oodbench, tmp_path):
    write(tmp_path / "net.onnx", sides=("H", "W"))
    code, out, errors = oodbench(
        "run", "--model", "net.onnx", "--in", "digits:0-5", "--out", "digits:6-9",
        "--detectors", "energy,knn:k=5,odin", "--limit", "20", "--no-plots",
        "--size", "4",
    )  # fmt: skip
    assert code == 0, errors
    assert "knn" in out
    assert "odin on net: the network is an ONNX file, which gives no" in errors


@pytest.mark.parametrize(
    ("card", "message"),
    [
        ("{", "card in .* is damaged"),
        ("3", "card in .* is damaged"),
        ('{"class_names": ["a"]}', "names 1 classes, and its network has 6"),
    ],
)
def test_a_damaged_card_is_refused(tmp_path, card, message):
    onnx = pytest.importorskip("onnx")
    path = write(tmp_path / "a.onnx")
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {"oodbench": card})
    onnx.save(model, path)
    with pytest.raises(InputError, match=message):
        load_network(path)

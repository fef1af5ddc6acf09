"""Networks written as ONNX give the numbers of torch, and load again."""

import json

import numpy as np
import pytest
import torch

from oodbench import InputError, Network, Scorer, Split, load_network, run, threshold
from oodbench.networks.load import as_network
from oodbench.networks.result import Joint
from oodbench.scoring.engine import Engine
from oodbench.scoring.exported import export
from oodbench.scoring.spec import open_detector
from oodbench.testing import problem

pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
runtime = pytest.importorskip("onnxruntime")

EXACT = ["energy", "msp", "max_logit", "entropy", "log_px"]


def session(path):
    return runtime.InferenceSession(path, providers=["CPUExecutionProvider"])


def scores(network, name, images):
    engine = Engine(network, {name: open_detector(name).detector})
    scored = engine.score(images, has_labels=False, tell=lambda _: None)
    return scored.scores[name]


def pixels_of(images):
    return np.moveaxis(images.images, -1, 1).astype(np.float32) / 255


@pytest.mark.parametrize(
    "name", [*EXACT[:1], *(pytest.param(n, marks=pytest.mark.slow) for n in EXACT[1:])]
)
def test_scores_under_onnxruntime_are_those_of_the_run(tiny, images, tmp_path, name):
    file = tmp_path / "net.onnx"
    assert export(tiny, file, open_detector(name).detector) == ("logits", "scores")
    logits, found = session(file).run(None, {"pixels": pixels_of(images)})
    assert found == pytest.approx(scores(tiny, name, images), rel=1e-4, abs=1e-4)
    assert logits.shape == (40, 6)
    (one,) = session(file).run(["scores"], {"pixels": pixels_of(images)[:1]})
    assert one == pytest.approx(found[:1], rel=1e-6)
    again = scores(load_network(file), name, images)
    assert again == pytest.approx(found, rel=1e-4, abs=1e-4)


class OwnDensity(torch.nn.Module):
    """log p(x) has a head of its own."""

    def __init__(self):
        super().__init__()
        self.classes, self.density = torch.nn.Linear(16, 3), torch.nn.Linear(16, 1)

    def forward(self, pixels):
        flat = pixels.flatten(1)
        return Joint(self.classes(flat), self.density(flat)[:, 0])


@pytest.mark.parametrize("detector", [None, "energy"])
def test_a_head_of_its_own_for_log_px_is_in_the_file(tmp_path, detector):
    network = Network(OwnDensity(), (1, 4, 4))
    chosen = None if detector is None else open_detector(detector).detector
    names = export(network, tmp_path / "net.onnx", chosen)
    assert names == ("logits", "features" if chosen is None else "scores", "log_px")
    again, pixels = load_network(tmp_path / "net.onnx"), torch.rand(5, 1, 4, 4)
    assert again.has_density_head
    torch.testing.assert_close(again(pixels).log_px, network(pixels).log_px)
    torch.testing.assert_close(again(pixels).logits, network(pixels).logits)


@pytest.mark.slow
def test_a_network_is_loaded_again_from_its_onnx_file(tiny, images, tmp_path):
    tiny.class_names = ("a", "b", "c", "d", "e", "f")
    assert export(tiny, tmp_path / "net.onnx") == ("logits", "features")
    again = load_network(tmp_path / "net.onnx")
    assert (again.mean, again.std, again.shape) == ((0,), (1,), (1, 4, 4))
    assert again.class_names == tiny.class_names
    assert "assumed" not in again.source
    pixels = torch.from_numpy(pixels_of(images))
    found, expected = again(pixels), tiny(pixels)
    torch.testing.assert_close(found.logits, expected.logits, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.features, expected.features)
    with pytest.raises(InputError, match="normalises its images itself"):
        load_network(tmp_path / "net.onnx", mean="half")
    with pytest.raises(InputError, match="net is an ONNX file already"):
        export(again, tmp_path / "again.onnx")


def test_a_fitted_score_of_logits_is_written(tiny, images, tmp_path):
    pixels = torch.from_numpy(pixels_of(images))
    labels = tiny(pixels).logits.argmax(1).numpy()
    labels[:8] = (labels[:8] + 1) % 6
    detector = open_detector("temp_scaling").detector
    known = Split(images.images, labels)
    engine = Engine(tiny, {"it": detector})
    assert engine.fit("val", known, tell=lambda _: None) == {}
    export(tiny, tmp_path / "net.pt2", detector)
    _, found = torch.export.load(tmp_path / "net.pt2").module()(pixels)
    scored = engine.score(images, has_labels=False, tell=lambda _: None)
    assert found.numpy() == pytest.approx(scored.scores["it"], rel=1e-5)


@pytest.mark.slow
def test_zero_shot_classifiers_and_jems_are_written_too(tmp_path):
    for network, name in ((problem.zero_shot(), "msp"), ("jem-digits", "log_px")):
        network = as_network(network)
        file = tmp_path / "net.onnx"
        export(network, file, open_detector(name).detector)
        pixels = torch.rand(7, *network.shape)
        logits, _ = session(file).run(None, {"pixels": pixels.numpy()})
        expected = network(pixels).logits.detach().numpy()
        assert logits == pytest.approx(expected, rel=1e-4, abs=1e-4)


@pytest.mark.slow
def test_a_threshold_is_shipped_as_onnx(tiny, images, tmp_path):
    np.savez(tmp_path / "in.npz", images=images.images, labels=images.labels)
    np.savez(tmp_path / "out.npz", images=255 - images.images)
    results = run(
        tiny, f"npz:{tmp_path}/in.npz", f"npz:{tmp_path}/out.npz",
        detectors="energy", quiet=True, results=tmp_path / "runs",
    )  # fmt: skip
    made = threshold(results, model="tiny", detector="energy")
    scorer = Scorer.load(made, model=tiny)
    scorer.export(tmp_path / "energy.onnx")
    opened = session(tmp_path / "energy.onnx")
    _, found, accepted = opened.run(None, {"pixels": pixels_of(images)})
    expected = scorer.scores(images.images)
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-4)
    clear = abs(expected - scorer.threshold) > 1e-3
    assert np.array_equal(accepted[clear], expected[clear] >= scorer.threshold)
    card = json.loads(opened.get_modelmeta().custom_metadata_map["oodbench"])
    assert card["detector"] == "energy"
    assert card["threshold"] == scorer.threshold


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--detector", "knn", "--to", "a.onnx"], "Only scores of logits"),
        (["--detector", "temp_scaling", "--to", "a.onnx"], "is fitted; make a thresho"),
        (["--detector", "energy", "--to", "a.safetensors"], "that end in .onnx or"),
        (["--detector", "enrgy", "--to", "a.onnx"], "did you mean 'energy'"),
    ],
)
def test_what_cannot_be_written_is_one_sentence(oodbench, tmp_path, options, message):
    code, _, errors = oodbench("convert", "ce-digits", *options)
    assert code != 0
    assert message in errors
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_command_writes_onnx(oodbench, tmp_path):
    code, out, errors = oodbench(
        "convert", "ce-digits", "--detector", "energy", "--to", "energy.onnx",
        "--licence", "MIT",
    )  # fmt: skip
    assert (code, errors) == (0, "")
    assert out == "energy.onnx: pixels in [0, 1] to logits, scores.\n"
    meta = session(tmp_path / "energy.onnx").get_modelmeta()
    assert json.loads(meta.custom_metadata_map["oodbench"])["licence"] == "MIT"
    code, _, errors = oodbench("convert", "ce-digits", "--detector", "gen",
                               "--to", "gen.onnx")  # fmt: skip
    assert code != 0
    assert "ce-digits as ONNX does not work" in errors
    assert not (tmp_path / "gen.onnx").exists()

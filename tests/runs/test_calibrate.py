import json

import numpy as np
import pytest
import torch

from oodbench import Dataset, InputError, Network, Shape, Split, load_network
from oodbench.data.fit_split import fit_split
from oodbench.data.image_set import open_images
from oodbench.data.spec import open_dataset
from oodbench.metrics.temperature import fit_temperature
from oodbench.output.plots import reliability
from oodbench.results.recalibrated import to_json
from oodbench.runs.tuning.calibrate import calibrate, recalibrate
from oodbench.scoring.logits import labelled_logits

SHAPE = Shape(1, 2, 2)
MEANS = np.array([[0.2, 0.2, 0.5, 0.5], [0.5, 0.2, 0.2, 0.5], [0.5, 0.5, 0.2, 0.2]])
SPREAD = 0.15
NUMBERS = {"accuracy", "nll", "brier", "ece", "adaptive_ece"}


class Mixture(torch.nn.Module):
    """The posterior of equal Gaussians around MEANS, its logits times a sharpness."""

    def __init__(self, sharpness):
        super().__init__()
        self.means = torch.nn.Parameter(torch.tensor(MEANS).float())
        self.sharpness = sharpness

    def forward(self, images):
        distances = torch.cdist(images.flatten(1), self.means).square()
        return -self.sharpness * distances / (2 * SPREAD**2)


def split_of(seed, count=3000):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)
    pixels = rng.normal(MEANS[labels], SPREAD)
    # Only what lies in [0, 1] is an image; leaving out the rest keeps the posterior.
    kept = ((pixels >= 0) & (pixels <= 1)).all(1)
    images = pixels[kept].reshape(-1, 2, 2, 1).astype(np.float32)
    return Split(images, labels[kept])


def dataset_of(splits, name="gaussians"):
    return Dataset(name, lambda stage, _: splits[stage], "far", tuple(splits))


BOTH = dataset_of({"val": split_of(0), "test": split_of(1)})


@pytest.fixture
def sets(tmp_path):
    """Writes val and test images of the digits, with labels and without."""
    for stage in ("val", "test"):
        split = open_dataset("digits:0-7").load(stage, Shape(1, 8, 8))
        images = np.rint(255 * split.images).astype(np.uint8)
        np.savez(tmp_path / f"{stage}.npz", images=images, labels=split.labels)
        np.savez(tmp_path / f"{stage}-bare.npz", images=images)


def content(folder):
    return json.loads((folder / "calibration.json").read_text())


@pytest.mark.parametrize("sharpness", [0.25, 1, 4])
def test_an_analytic_network_becomes_calibrated(sharpness):
    network = Network(Mixture(sharpness), SHAPE, "mixture")
    fit = open_images(BOTH, "val", SHAPE)
    (found,) = calibrate(network, BOTH, device="cpu")
    assert found.temperature == pytest.approx(sharpness, rel=0.15)
    assert found.after.values["ece"] < 0.03
    assert found.after.values["accuracy"] == found.before.values["accuracy"]
    if sharpness != 1:
        assert found.before.values["ece"] > 0.05
    assert (fit.stage, found.fitted_on["key"]) == ("val", fit.key)


def test_a_set_named_for_fitting_gives_the_wanted_split_or_its_only_one():
    alone = dataset_of({"test": split_of(2)}, "alone")
    assert fit_split(BOTH, "val", named=False) == "val"
    assert fit_split(BOTH, "val", named=True) == "val"
    assert fit_split(alone, "val", named=True) == "test"
    two = dataset_of({"train": split_of(3), "test": split_of(4)}, "two")
    for dataset, named in ((alone, False), (two, True)):
        with pytest.raises(InputError, match=f"^{dataset.name} has no val .* to fit"):
            fit_split(dataset, "val", named=named)


def test_the_graded_images_cannot_fit_the_temperature():
    network = Network(Mixture(1), SHAPE, "mixture")
    sample = open_images(BOTH, "test", SHAPE)
    with pytest.raises(InputError, match="test split of gaussians holds the images"):
        recalibrate(network, sample, sample)


def test_no_best_temperature_is_said_of_which_network():
    network = Network(Mixture(1), SHAPE, "mixture")
    inside, fit = open_images(BOTH, "test", SHAPE), open_images(BOTH, "val", SHAPE, 1)
    with pytest.raises(InputError, match=r"^mixture: All 1 predictions"):
        recalibrate(network, inside, fit)


def test_bundled_models_are_calibrated_from_the_command_line(oodbench, tmp_path):
    code, out, told = oodbench("calibrate", "--device", "cpu", "--to", "here")
    assert code == 0
    head, _, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in out.strip().splitlines()
    ]
    assert head == [
        "model", "scaling", "T", "accuracy %", "NLL", "Brier", "ECE %",
        "adaptive ECE %",
    ]  # fmt: skip
    names = [("jem-digits", "before"), ("jem-digits", "after")]
    names += [("ce-digits", "before"), ("ce-digits", "after")]
    assert [tuple(row[:2]) for row in rows] == names
    assert "217 val images of digits:0-7; graded: 363 test images" in told

    written = content(tmp_path / "here")
    assert (written["kind"], written["bins"]) == ("oodbench calibration", 20)
    for index, one in enumerate(written["models"]):
        network = load_network(one["model"]["name"])
        assert one["model"]["key"] == network.fingerprint()
        val = open_images(open_dataset("digits:0-7"), "val", network.shape)
        expected = fit_temperature(*labelled_logits(network, val))
        assert one["temperature"] == pytest.approx(expected)
        assert rows[2 * index + 1][2] == f"{one['temperature']:#.4g}"
        for row, when in zip(rows[2 * index :], ("before", "after"), strict=False):
            numbers = one[when]
            assert numbers.keys() == NUMBERS | {"reliability"}
            bins = {key: np.array(each) for key, each in numbers["reliability"].items()}
            assert bins["images"].sum() == one["inside"]["images"] == 363
            gaps = np.abs(bins["expected"] - bins["correct"])
            assert numbers["ece"] == pytest.approx(gaps.sum() / 363)
            assert row[6] == f"{100 * numbers['ece']:.2f}"
        assert one["before"]["accuracy"] == one["after"]["accuracy"]
        assert (one["fitted_on"]["split"], one["inside"]["split"]) == ("val", "test")

    pictures = sorted((tmp_path / "here").glob("reliability-*"))
    assert [path.suffix for path in pictures] == [".png", ".svg"] * 2


def test_the_temperature_can_come_from_another_set(oodbench, sets, tmp_path):
    task = ("calibrate", "--model", "ce-digits", "--in", "npz:test.npz", "--to", "here")
    code, _, told = oodbench(*task, "--fit", "npz:val.npz", "--limit", "150")
    assert code == 0
    assert "150 test images of val; graded: 150 test images of test" in told
    (one,) = content(tmp_path / "here")["models"]
    assert (one["fitted_on"]["name"], one["fitted_on"]["limit"]) == ("val", 150)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--in", "npz:test.npz"], "test has no val split, only test"),
        (["--in", "npz:test.npz", "--fit", "npz:test.npz"], "holds the images that"),
        (["--fit", "npz:val-bare.npz"], "test split of val-bare has no labels"),
        (["--in", "npz:test-bare.npz", "--fit", "npz:val.npz"], "test-bare has no"),
        (["--in", "digits"], "labels up to 9, but ce-digits has 8 classes (0-7)"),
        (["--limit", "5"], "ce-digits: All 5 predictions"),
    ],
)
def test_what_cannot_be_calibrated_is_said_in_one_sentence(
    oodbench, sets, arguments, message
):
    code, out, told = oodbench("calibrate", "--model", "ce-digits", *arguments)
    assert (code, out) == (3, "")
    assert message in told
    assert told.startswith("Error: ")
    assert told.count("\n") == 1


def test_any_name_of_a_network_can_be_written_and_drawn(tmp_path):
    network = Network(Mixture(1), SHAPE, "../a|b\n\x1b[31m\ud800")
    (found,) = calibrate(network, BOTH, device="cpu")
    (written,) = json.loads(to_json([found]))["models"]
    assert written["model"]["name"] == network.name
    for path in reliability.draw(found, tmp_path):
        assert path.is_file()
        assert path.parent == tmp_path

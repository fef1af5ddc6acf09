"""Noise on evaluated images: each image's own, part of the key, never unsaid."""

import numpy as np
import pytest
import torch

from oodbench import Dataset, InputError, Shape, Split, rows, run, threshold
from oodbench.base.processes import Processes
from oodbench.data.feed import feed
from oodbench.data.image_set import open_images
from oodbench.data.input_noise import InputNoise
from oodbench.runs import chunks

SHAPE = Shape(3, 16, 16)
GREY = np.full((50, 16, 16, 3), 128, np.uint8)
SET = Dataset("grey", lambda *_: Split(GREY), "far")


def noisy(spans, limit=None, workers=0, name="grey", deviation=0.03):
    images = open_images(Dataset(name, SET.load, "far"), "test", SHAPE, limit)
    noise = InputNoise.of(images, deviation)
    fed = feed(
        images.split.images, spans, SHAPE, device=torch.device("cpu"),
        workers=workers, noise=noise,
    )  # fmt: skip
    return torch.cat([each.pixels for each in fed]) - 128 / 255


def test_noise_has_the_stated_deviation_in_pixels_from_minus_one_to_one():
    noise = 2 * noisy([(0, 50)])
    assert float(noise.std()) == pytest.approx(0.03, rel=0.02)
    assert float(noise.mean()) == pytest.approx(0, abs=1e-3)
    assert float(noise.flatten(1).std(1).min()) > 0.02
    assert len(torch.unique(noise[:, 0, 0, 0])) == 50


@pytest.mark.parametrize(
    ("spans", "workers"), [([(0, 7), (7, 50)], 0), ([(0, 30), (30, 50)], 2)]
)
def test_batches_and_processes_do_not_change_the_noise(spans, workers):
    assert torch.equal(noisy(spans, workers=workers), noisy([(0, 50)]))


def test_a_limit_leaves_each_image_its_noise():
    assert torch.equal(noisy([(0, 5)], limit=5), noisy([(0, 50)])[::10])


def test_sets_of_other_names_have_other_noise():
    assert not torch.equal(noisy([(0, 50)], name="other"), noisy([(0, 50)]))


def test_equal_images_of_another_name_in_one_run_have_noise_of_their_own(
    tiny, images, tmp_path
):
    inside = Dataset("in", lambda *_: Split(images.images), "far")
    pixels = np.random.default_rng(1).integers(90, 256, (9, 4, 4, 1), dtype=np.uint8)

    def scored(*names):
        out = [Dataset(name, lambda *_: Split(pixels), "far") for name in names]
        folder = tmp_path / "-".join(names)
        run(
            tiny, inside, out, detectors="msp", device="cpu", results=folder,
            input_noise=0.5, quiet=True,
        )  # fmt: skip
        (cell,) = folder.glob("*/*/two-*/*.npy")
        return np.load(cell)

    assert np.array_equal(scored("one", "two"), scored("two"))


@pytest.fixture
def go(tiny, images, tmp_path):
    rng = np.random.default_rng(1)
    far = rng.integers(90, 256, (40, 4, 4, 1), dtype=np.uint8)
    inside = Dataset("in", lambda *_: Split(images.images, images.labels), "far")
    out = Dataset("out", lambda *_: Split(far), "far")

    def go(folder=tmp_path, noise=0.5, **options):
        return run(
            tiny, inside, out, detectors="msp,jem_grad_norm", device="cpu",
            results=folder, input_noise=noise, quiet=True, **options,
        )  # fmt: skip

    return go


def scores(folder):
    return {path.name: np.load(path) for path in sorted(folder.rglob("*.npy"))}


def test_noise_is_another_cell_and_no_twin_of_the_one_without(go, tmp_path):
    assert go(noise=0).computed == 4
    result = go(overwrite="stale")
    assert (result.computed, result.removed) == (4, 0)
    assert set(rows(tmp_path).model) == {"tiny", "tiny (input noise 0.5)"}
    record = result.sets[0].read()
    assert record["model"]["input_noise"] == 0.5
    assert go().computed == 0
    assert go(noise=0.25).computed == 4


def test_noise_is_the_same_in_other_batches_chunks_and_processes(
    go, tmp_path, monkeypatch
):
    go(tmp_path / "whole")
    go(tmp_path / "small", batch_size=7)
    monkeypatch.setattr(chunks, "CHUNK", 8)
    go(tmp_path / "chunks", batch_size=8)
    monkeypatch.setattr(Processes, "agree", lambda self, decision: decision)
    monkeypatch.setattr(Processes, "wait", lambda self: None)
    for rank in (1, 0):
        fellow = Processes(rank, 2)
        monkeypatch.setattr(
            "oodbench.runs.run.join", lambda device, fellow=fellow: (fellow, device)
        )
        go(tmp_path / "shared", batch_size=8)
    whole = scores(tmp_path / "whole")
    assert len(whole) == 2
    for name in ("small", "chunks", "shared"):
        for cell, values in scores(tmp_path / name).items():
            assert values == pytest.approx(whole[cell], rel=1e-4, abs=1e-5)


def test_no_threshold_is_made_of_noisy_scores(go, tmp_path):
    go()
    with pytest.raises(InputError, match="without --input-noise"):
        threshold(tmp_path, model="tiny (input noise 0.5)", detector="msp")


@pytest.mark.parametrize("noise", [-0.1, float("nan"), float("inf")])
def test_a_deviation_that_is_none_is_refused(go, noise):
    with pytest.raises(InputError, match="input noise must be a number of at least 0"):
        go(noise=noise)

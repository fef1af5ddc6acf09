"""Shipped thresholds: the scores of the run, without its images, in any thread."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image

from oodbench import InputError, Scorer, run, score, threshold

DETECTORS = ["energy", "odin", "knn:k=3", "react+knn:k=3", "vim", "pixel_knn"]


@pytest.fixture
def made(tiny, tmp_path):
    """Returns pixels, and what makes a threshold in a folder and a run beside it."""
    rng = np.random.default_rng(0)
    sets = {}
    for name in ("in", "train", "out"):
        sets[name] = rng.integers(0, 256, (40, 4, 4, 1), np.uint8)
        np.savez(tmp_path / f"{name}.npz", images=sets[name], labels=np.arange(40) % 6)
    results = run(
        tiny,
        f"npz:{tmp_path}/in.npz",
        f"npz:{tmp_path}/out.npz",
        fit=f"npz:{tmp_path}/train.npz",
        detectors=DETECTORS,
        device="cpu",
        quiet=True,
        results=tmp_path / "runs",
    )

    def make(detector, **options):
        to = tmp_path / "made" / f"{detector.replace(':', '_')}.json"
        threshold(results, model="tiny", detector=detector, to=to, **options)
        (cell,) = tmp_path.glob(f"runs/*/*/in-*/{to.stem}-*.npy")
        return to, np.load(cell)

    return sets["in"], make


@pytest.mark.parametrize("detector", DETECTORS[:-1])
def test_a_shipped_threshold_scores_as_the_run_without_its_data(
    made, tiny, tmp_path, detector
):
    images, make = made
    made_file, expected = make(detector)
    shutil.copytree(made_file.parent, tmp_path / "shipped")
    for path in [*tmp_path.glob("*.npz"), tmp_path / "runs", tmp_path / "made"]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    scorer = Scorer.load(tmp_path / "shipped" / made_file.name, model=tiny)
    assert scorer.scores(images) == pytest.approx(expected, rel=1e-5)
    assert scorer.accepts(images).mean() == scorer.record["accepted"]


def test_a_control_is_fitted_again(made, tiny, tmp_path):
    images, make = made
    file, expected = make("pixel_knn")
    assert not file.with_suffix(".learnt.npz").exists()
    scorer = Scorer.load(file, model=tiny)
    assert scorer.scores(images) == pytest.approx(expected, rel=1e-5)
    (tmp_path / "train.npz").unlink()
    with pytest.raises(InputError, match=r"train\.npz"):
        Scorer.load(file, model=tiny)


def test_all_kinds_of_images_have_one_score(made, tiny, tmp_path):
    images, make = made
    scorer = Scorer.load(make("knn:k=3")[0], model=tiny, batch_size=16)
    expected = scorer.scores(images)
    files = [tmp_path / f"{index}.png" for index in range(40)]
    for file, image in zip(files, images, strict=True):
        Image.fromarray(image[..., 0]).save(file)
    pixels = torch.from_numpy(images).movedim(-1, 1)
    for same in (
        files,
        pixels,
        pixels / 255,
        pixels.double() / 255,
        (pixels / 255).expand(-1, 3, -1, -1),
        images / 255,
        list(images[..., 0]),
        [files[0], pixels[1], *images[2:]],
    ):
        assert scorer.scores(same) == pytest.approx(expected, abs=1e-6)
    for one in (files[0], str(files[0]), pixels[0], images[0], images[0, ..., 0]):
        assert scorer.scores(one) == pytest.approx(expected[:1], abs=1e-6)


def test_threads_share_a_scorer(made, tiny):
    images, make = made
    scorer = Scorer.load(make("react+knn:k=3")[0], model=tiny)
    alone = [scorer.scores(one)[0] for one in images]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda one: scorer.scores(one)[0], [*images] * 5))
    assert found == alone * 5


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((0, 4, 4, 1), np.uint8), "no images"),
        ([], "no images"),
        (torch.full((1, 4, 4), 1.5), "in \\[0, 1\\]"),
        (torch.full((1, 4, 4), torch.nan), "in \\[0, 1\\]"),
        (torch.zeros(4), "is \\[C, H, W\\]"),
        (np.zeros((4, 4, 2), np.uint8), "1 or 3 channels"),
        ("missing.png", "missing.png cannot be read"),
        ([None], "not a NoneType"),
    ],
)
def test_what_is_no_image_is_refused(made, tiny, images, message):
    scorer = Scorer.load(made[1]("energy")[0], model=tiny)
    with pytest.raises(InputError, match=message):
        scorer.scores(images)


def test_a_threshold_without_its_tensors_is_refused(made, tiny, tmp_path):
    file, _ = made[1]("knn:k=3")
    archive = file.with_suffix(".learnt.npz")
    whole = archive.read_bytes()
    torn = bytearray(whole)
    torn[len(torn) // 2] ^= 1
    for content in (bytes(torn), whole[:100], b"", b"PK"):
        archive.write_bytes(content)
        with pytest.raises(InputError, match=r"learnt\.npz, which holds"):
            Scorer.load(file, model=tiny)
    archive.unlink()
    with pytest.raises(InputError, match="ship it beside the threshold"):
        Scorer.load(file, model=tiny)
    archive.write_bytes(whole)
    record = json.loads(file.read_text())
    record["learnt"]["parts"] = [{"_bank": {"tensor": 7}}]
    file.write_text(json.dumps(record))
    with pytest.raises(InputError, match="ship it beside the threshold"):
        Scorer.load(file, model=tiny)


def test_an_exported_program_has_the_same_verdicts(made, tiny, tmp_path):
    images, make = made
    scorer = Scorer.load(make("energy")[0], model=tiny)
    scorer.export(tmp_path / "energy.pt2")
    program = torch.export.load(tmp_path / "energy.pt2").module()
    pixels = torch.from_numpy(images).movedim(-1, 1) / 255
    logits, scores, accepted = program(pixels)
    assert torch.equal(logits, tiny(pixels).logits)
    assert scores.numpy() == pytest.approx(scorer.scores(images), rel=1e-6)
    assert np.array_equal(accepted, scorer.accepts(images))
    assert torch.equal(program(pixels[:1])[0].argmax(1), logits[:1].argmax(1))


@pytest.mark.parametrize("detector", ["odin", "knn:k=3", "pixel_knn"])
def test_only_scores_of_logits_are_exported(made, tiny, tmp_path, detector):
    scorer = Scorer.load(made[1](detector)[0], model=tiny)
    with pytest.raises(InputError, match="Only scores of logits"):
        scorer.export(tmp_path / "t.pt2")
    assert not (tmp_path / "t.pt2").exists()


def test_guarantees_are_stated_and_held(made, tiny):
    images, make = made
    scorers = [
        Scorer.load(make("energy", **options)[0], model=tiny)
        for options in (
            {"rate": 0.8},
            {"rate": 0.8, "certified": "mean"},
            {"rate": 0.8, "certified": "delta", "delta": 0.1},
        )
    ]
    accepted = [one.accepts(images).sum() for one in scorers]
    assert accepted[:2] == [32, 33]  # 0.8 of 40, and 0.8 of 41
    assert accepted[2] > 33
    texts = [one.record["guarantee"] for one in scorers]
    assert "80 % of these test images" in texts[0]
    assert "on average" in texts[1]
    assert "all but 10 % of samples" in texts[2]


def test_a_certified_risk_is_that_of_the_predictions(oodbench, tmp_path):
    chosen = ("--model", "ce-digits", "--detector", "msp")
    oodbench(
        "run", "--model", "ce-digits", "--detectors", "msp", "--out", "digits:8-9",
        "--limit", "200", "--no-plots",
    )  # fmt: skip
    code, out, errors = oodbench(
        "threshold", *chosen, "--risk", "0.1", "--to", "t.json"
    )
    assert code == 0, errors
    assert "at most 10 % of the predictions for accepted images" in out
    record = json.loads((tmp_path / "t.json").read_text())
    (images,) = tmp_path.glob("results/runs/*/*/digits_0-7-*.npz")
    (cell,) = tmp_path.glob("results/runs/*/*/digits_0-7-*/msp-*.npy")
    with np.load(images) as known:
        wrong = known["predictions"] != known["labels"]
    accepted = np.load(cell) >= record["threshold"]
    assert record["accepted"] == accepted.mean()
    assert record["wrong"] == wrong[accepted].mean() <= record["wrong_at_most"] <= 0.1
    code, _, errors = oodbench("threshold", *chosen, "--risk", "0.001")
    assert code == 3
    assert "certifies a risk of 0.001" in errors


def test_a_network_that_is_not_bundled_must_be_named(made):
    with pytest.raises(InputError, match="the network tiny, which is not a bundled"):
        Scorer.load(made[1]("energy")[0])


def test_files_that_cannot_be_read_are_rejected_alone(made, tiny, tmp_path):
    images, make = made
    file, expected = make("energy")
    folder = tmp_path / "photos"
    (folder / "b").mkdir(parents=True)
    (folder / ".hidden").mkdir()
    for name, image in zip(("b/2.png", "a.png", ".hidden/c.png"), images, strict=False):
        Image.fromarray(image[..., 0]).save(folder / name)
    (folder / "note.txt").write_text("no image")
    (folder / "b" / "torn.png").write_bytes(b"PNG")
    found = score([folder, tmp_path / "gone.png"], model=tiny, threshold=file)
    names = [str(one.path.relative_to(tmp_path)) for one in found]
    assert names == ["photos/a.png", "photos/b/2.png", "photos/b/torn.png", "gone.png"]
    assert [one.score for one in found[:2]] == pytest.approx(expected[[1, 0]], rel=1e-5)
    assert [one.score for one in found[2:]] == [None, None]
    assert not any(one.accepted for one in found[2:])
    assert "torn.png cannot be read" in found[2].fault
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="has no images"):
        score(tmp_path / "empty", model=tiny, threshold=file)


def test_the_command_prints_lines_of_json(oodbench, tmp_path):
    oodbench(
        "run", "--model", "ce-digits", "--detectors", "energy", "--out", "digits:8-9",
        "--limit", "20", "--no-plots",
    )  # fmt: skip
    oodbench(
        "threshold", "--model", "ce-digits", "--detector", "energy", "--to", "t.json"
    )
    Image.new("L", (8, 8)).save("a.png")
    code, out, _ = oodbench("score", ".", "b.png", "--threshold", "t.json", "--json")
    first, second = map(json.loads, out.splitlines())
    assert code == 1
    assert first["file"] == "a.png"
    limit = json.loads((tmp_path / "t.json").read_text())["threshold"]
    assert first["accepted"] == (first["score"] >= limit)
    assert second == {
        "file": "b.png",
        "score": None,
        "accepted": False,
        "fault": second["fault"],
    }
    code, out, errors = oodbench("score", "a.png", "b.png", "--threshold", "t.json")
    assert code == 1
    assert out.splitlines()[1] == "b.png\t\trejected"
    assert "b.png cannot be read" in errors


def test_a_set_is_fitted_again_with_the_numbers_of_its_classes(tiny, tmp_path):
    rng = np.random.default_rng(0)
    for name in ("in/a", "in/b", "train/a", "train/b", "out"):
        (tmp_path / name).mkdir(parents=True)
        for index in range(3):
            pixels = rng.integers(0, 256, (4, 4), np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{index}.png")
    tiny.class_names = tuple("bacdef")  # the set alone would number a as 0
    inside, out, fit = (f"folder:{tmp_path / name}" for name in ("in", "out", "train"))
    results = run(
        tiny,
        inside,
        out,
        fit=fit,
        detectors="pixel_knn:k=1",
        quiet=True,
        results=tmp_path / "runs",
    )
    record = threshold(results, model="tiny", detector="pixel_knn")
    assert Scorer.load(record, model=tiny).threshold == record["threshold"]

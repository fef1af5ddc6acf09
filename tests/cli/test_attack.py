"""`oodbench attack`: output, files, sentences; sets of adversarial images."""

import importlib.util
import json

import numpy as np
import pytest
import torch

from oodbench import Dataset, InputError, Split, load_network
from oodbench.attacks.attack import attack
from oodbench.attacks.ball import eps_text
from oodbench.attacks.curves import robustness_curves
from oodbench.attacks.images import Images
from oodbench.attacks.methods.auto_attack import AutoAttack
from oodbench.attacks.methods.pgd import PGD
from oodbench.attacks.robust_accuracy import RobustAccuracy, attack_target, rounded
from oodbench.attacks.suite import Suite
from oodbench.attacks.targets import Classifier
from oodbench.data.spec import open_dataset

QUICK = ("--model", "jem-digits", "--images", "30", "--steps", "3", "--black-box", "5")
HAS_AUTO = importlib.util.find_spec("pyautoattack") is not None


def record(folder):
    (path,) = folder.glob("*.json")
    return json.loads(path.read_text())


def test_attack_prints_tables_and_writes_all_numbers(oodbench, tmp_path):
    options = ("--eps", "8/255,0.25", "--refine", "1", "--out", "digits:8-9")
    code, out, errors = oodbench(
        "attack", *QUICK, *options, "--detectors", "energy,pixel_knn"
    )
    assert code == 0, errors
    assert "| target     | attack " in out
    assert "|   clean |   8/255 |   0.25 |" in out
    assert "| refined-1  | PGD through " in out
    assert "| digits:8-9 | pixel_knn " in out
    folder = tmp_path / "results/attacks"
    assert {path.suffix for path in folder.iterdir()} == {".json", ".png", ".svg"}
    (model,) = record(folder)["models"]
    assert len(model["model"]["key"]) == 64
    targets = [each["target"]["title"] for each in model["robust_accuracy"]]
    assert targets == ["classifier", "refined-1"]
    for each in model["robust_accuracy"]:
        assert each["eps"] == [0.0, 8 / 255, 0.25]
        assert len(each["falls_at"]) == 30
        standing = [
            sum(e is None or e > eps for e in each["falls_at"]) for eps in each["eps"]
        ]
        assert each["accuracy"] == pytest.approx([count / 30 for count in standing])
    assert [each["detector"] for each in model["worst_case_auroc"]] == [
        "energy",
        "pixel_knn",
    ]


def test_the_same_command_gives_the_same_numbers(oodbench, tmp_path):
    found = []
    for folder, more in (
        ("a", ()),
        ("b", ("--batch-size", "7")),
        ("c", ("--seed", "1")),
    ):
        options = ("--attack-norm", "l2", "--eps", "0.5", "--to", folder)
        code, _, errors = oodbench("attack", *QUICK, *options, *more)
        assert code == 0, errors
        (model,) = record(tmp_path / folder)["models"]
        found.append(model["robust_accuracy"])
    assert found[0] == found[1]
    assert found[0] != found[2]


def test_saved_images_are_a_set_that_run_opens(oodbench, tmp_path):
    code, out, errors = oodbench(
        "attack", *QUICK, "--eps", "16/255,32/255", "--save", "--to", "here"
    )
    assert code == 0, errors
    assert "all attacks, in 8 bits" in out
    paths = sorted((tmp_path / "here").rglob("*.npz"))
    assert [path.name.rpartition("-")[0] for path in paths] == [
        "jem-digits-classifier-16_255",
        "jem-digits-classifier-32_255",
    ]
    with np.load(paths[1]) as saved:
        numbers, labels, images = (saved[k] for k in ("numbers", "labels", "images"))
    split = open_dataset("digits:0-7").load("test", (1, 8, 8))
    assert np.array_equal(labels, split.labels[numbers])
    moved = np.abs(images / 255 - split.images[numbers]).max()
    assert 16 / 255 < moved <= 32 / 255 + 1e-6
    code, out, errors = oodbench(
        "run", "--model", "jem-digits", "--detectors", "energy", "--no-plots",
        "--out", f"covariate=npz:{paths[1]}",
    )  # fmt: skip
    assert code == 0, errors
    assert "covariate" in out


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_rounded_images_are_judged_as_they_will_be_read(tiny, images, tmp_path, norm):
    suite = Suite(norm, (0.1, 0.3), PGD(5))
    seen = Images.of(images, tiny.shape)
    target = Classifier(tiny)
    levels = attack_target(suite, target, seen)
    for one in rounded(suite, target, levels, seen):
        one.write(tmp_path / "set.npz")
        opened = open_dataset(f"npz:{tmp_path / 'set.npz'}").load("test", tiny.shape)
        again = Images.of(opened, tiny.shape)
        rate = (tiny(again.pixels).logits.argmax(1) == again.labels).double().mean()
        assert rate.item() == pytest.approx(one.accuracy)
        assert one.farthest <= one.eps + 1e-5


@pytest.mark.parametrize(
    ("eps", "norm", "text"),
    [
        (0.0, "linf", "clean"),
        (2 / 255, "linf", "2/255"),
        (0.01, "linf", "0.01"),
        (0.2, "linf", "0.2"),
        (0.5, "l2", "0.5"),
        (1.0, "l2", "1"),
    ],
)
def test_radii_are_written_as_fractions_of_255_or_short_numbers(eps, norm, text):
    assert eps_text(eps, norm) == text


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--eps", "eight"], 3, "--eps must be numbers or fractions"),
        (["--eps", "1/0"], 3, "--eps must be numbers or fractions"),
        (["--eps", "-0.1"], 3, "eps -0.1 must be"),
        (["--attack-norm", "l1"], 2, "'l1'"),
        (["--refine", "a"], 3, "--refine must be numbers of steps"),
        (["--out", "photos", "--detectors", "enrgy"], 3, "did you mean 'energy'"),
        (["--detectors", "energy"], 3, "--detectors is for --out"),
        (["--model", "jem-digits,nope"], 3, "no model or file 'nope'"),
        (["--in", "photos"], 3, "photos has no labels to attack"),
        (["--in", "digits"], 3, "labels up to 9"),
        (["--images", "0"], 2, "images"),
        (["--steps", "0"], 2, "steps"),
        (["--eps", "8"], 3, "write 8/255"),
        (["--out", "digits:0-7"], 3, "holds the same images"),
    ],
)
def test_bad_input_is_a_sentence(oodbench, arguments, code, message):
    found, out, errors = oodbench("attack", *arguments)
    assert found == code
    assert message in errors
    assert "Traceback" not in errors + out


def test_detectors_that_cannot_be_used_are_named_and_the_others_attacked(
    oodbench, tmp_path
):
    inside = open_dataset("digits:0-7").load("test", (1, 8, 8))
    levels = np.rint(255 * inside.images).astype(np.uint8)
    np.savez(tmp_path / "in.npz", images=levels, labels=inside.labels)
    code, out, errors = oodbench(
        "attack", *QUICK, "--in", "npz:in.npz", "--out", "digits:8-9",
        "--detectors", "msp,pixel_knn", "--eps", "0.1",
    )  # fmt: skip
    assert code == 0, errors
    assert (
        "pixel_knn was not attacked: it is fitted on train images, and --in has none."
        in out
    )
    assert "| digits:8-9 | msp " in out


def test_without_labels_scores_alone_are_attacked(oodbench):
    code, out, errors = oodbench(
        "attack", *QUICK, "--in", "photos", "--out", "noise:gaussian",
        "--detectors", "energy", "--eps", "0.1",
    )  # fmt: skip
    assert code == 0, errors
    assert "| noise:gaussian | energy " in out
    assert "Accuracy" not in out


def test_the_curves_are_the_accuracies():
    found = attack(
        [load_network("jem-digits")],
        norm="l2",
        eps=(0.5, 2.0),
        steps=3,
        black_box=0,
        refine=(0,),
        images=20,
    )
    figure = robustness_curves(found)
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    for one in found[0].robust_accuracy:
        line = lines[f"jem-digits, {one.target['title']}"]
        assert list(line.get_xdata()) == [0, 0.5, 2]
        assert list(line.get_ydata()) == [100 * rate for rate in one.accuracy]
    (legend,) = figure.legends
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts == ["jem-digits, classifier", "jem-digits, refined-0"]


FAST = {"steps": 2, "black_box": 2, "images": 10, "eps": (8 / 255,)}


def test_finished_models_are_kept_when_a_command_is_interrupted(tmp_path, monkeypatch):
    begun = []

    def watch(stage, total, *, stop):
        begun.append(stage)
        if stop and stage.startswith(stop):
            raise KeyboardInterrupt
        return lambda steps, note="": None

    def run(stop=None, **changed):
        begun.clear()
        return attack(
            ["jem-digits", "ce-digits"], to=tmp_path,
            watch=lambda *stage: watch(*stage, stop=stop), **{**FAST, **changed},
        )  # fmt: skip

    with pytest.raises(KeyboardInterrupt):
        run(stop="ce-digits")
    (jem,) = record(tmp_path)["models"]
    both = run()
    assert begun == ["ce-digits, classifier"]
    assert [one.model["name"] for one in both] == ["jem-digits", "ce-digits"]
    assert both[0].run == jem["run"]
    assert [str(one) for one in run()] == [str(one) for one in both]
    assert begun == []
    for other in ({"seed": 1}, {"images": 11}, {"eps": (0.1,)}, {"refine": (0,)}):
        run(**other)
        assert begun, other


def test_another_set_or_a_lost_image_is_attacked_again(tmp_path):
    def one(count):
        generator = np.random.default_rng(0)
        pixels = generator.integers(0, 256, (count, 8, 8, 1), dtype=np.uint8)
        labels = np.arange(count) % 8
        return Dataset("mine", lambda *_: Split(pixels, labels), "far")

    def finished(dataset):
        (found,) = attack(["ce-digits"], dataset, to=tmp_path, save=True, **FAST)
        return found.run["finished"]

    first = finished(one(12))
    assert finished(one(12)) == first
    assert finished(one(13)) != first
    for path in tmp_path.rglob("*.npz"):
        path.unlink()
    assert finished(one(12)) != first


def test_results_show_their_numbers_and_equal_names_count_once():
    found = attack(
        ["ce-digits", "ce-digits"], out=["digits:8-9"] * 2,
        detectors=["energy", "energy"], refine=(0, 0), **FAST,
    )  # fmt: skip
    (one,) = found
    lines = repr(one).splitlines()
    assert lines[0] == "ce-digits on digits:0-7, linf, in %"
    assert [line.partition(":")[0].strip() for line in lines[1:4]] == [
        "accuracy of classifier",
        "accuracy of refined-0",
        "AUROC of energy, digits",
    ]
    rate = f"8/255 {100 * one.robust_accuracy[0].accuracy[1]:.1f}"
    assert rate in lines[1]


def test_numbers_of_numpy_are_written_too(tmp_path):
    attack(
        ["ce-digits"], eps=np.array([0.5], np.float32), steps=np.int64(1),
        images=np.int64(5), black_box=np.int64(1), batch_size=np.int64(4), to=tmp_path,
    )  # fmt: skip
    assert record(tmp_path)["attacked_images"] == 5


def test_controls_and_fitted_detectors_are_attacked(tmp_path):
    (one,) = attack(
        ["ce-digits"], out=["digits:8-9"], to=tmp_path,
        detectors=["pixel_knn", "pixel_stats"], **FAST,
    )  # fmt: skip
    names = [each.detector for each in one.worst_case_auroc]
    assert names == ["pixel_knn", "pixel_stats"]
    for each in one.worst_case_auroc:
        assert each.auroc[1] <= each.auroc[0]


def test_fewer_images_than_asked_for_and_clean_images_alone(oodbench):
    code, out, errors = oodbench(
        "attack", *QUICK, "--eps", "0,0", "--out", "digits:8-9", "--images", "3000",
        "--detectors", "energy",
    )  # fmt: skip
    assert code == 0, errors
    assert out.count("clean |\n") == 2
    assert "digits:8-9 has only" in out
    assert "fewer than the 3000" in out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"eps": (8.0,)}, "eps 8 is more than 1"),
        ({"eps": "8/255"}, "eps must be a list of numbers"),
        ({"eps": 0.1}, "eps must be a list of numbers"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"steps": 0}, "steps of at least 1, got 0"),
        ({"black_box": -1}, "at least 1 query, got -1"),
        ({"images": 0}, "images must be at least 1, got 0"),
        ({"refine": (-1,)}, "0 steps or more, not -1"),
        ({"save": True}, "need a folder"),
        ({"out": ["digits:0-7"]}, "digits:0-7 holds the same images"),
    ],
)
def test_bad_arguments_are_a_sentence_before_any_attack(options, message):
    with pytest.raises(InputError, match=message):
        attack(["ce-digits"], **options)


@pytest.mark.skipif(HAS_AUTO, reason="pyautoattack is installed")
def test_without_its_package_auto_attack_says_what_to_install(oodbench):
    code, _, errors = oodbench("attack", "--auto-attack")
    assert code == 3
    assert "pip install 'oodbench[autoattack]'" in errors


@pytest.mark.skipif(not HAS_AUTO, reason="pyautoattack is not installed")
@pytest.mark.parametrize(("norm", "eps"), [("linf", 0.15), ("l2", 1.0)])
def test_auto_attack_is_no_weaker_than_pgd_and_leaves_no_trace(norm, eps):
    network = load_network("jem-digits")
    split = open_dataset("digits:0-7").load("test", network.shape)
    some = Images.of(split, network.shape, count=20)
    before = torch.random.get_rng_state()
    suite = Suite(norm, (eps,), auto=AutoAttack())
    target = Classifier(network)
    levels = attack_target(suite, target, some)
    found = RobustAccuracy.of(target, levels).by_attack
    assert found["AutoAttack"][-1] <= found["PGD"][-1]
    assert found["AutoAttack"][-1] < found["AutoAttack"][0]
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.skipif(not HAS_AUTO, reason="pyautoattack is not installed")
def test_auto_attack_refuses_images_of_few_pixels(tiny, images):
    suite = Suite("linf", (0.1,), auto=AutoAttack())
    with pytest.raises(InputError, match="6 classes, and images of 4x4"):
        attack_target(suite, Classifier(tiny), Images.of(images, tiny.shape))

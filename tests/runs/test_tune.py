"""Parameters are chosen by the protocol that is named, and the results say so."""

from pathlib import Path

import numpy as np
import pytest

import oodbench as face
from oodbench import Dataset, InputError, Split
from oodbench.results.opened import open_results

DETECTOR = """
from dataclasses import dataclass
from oodbench import Detector, Need

@dataclass
class Dark(Detector):
    needs = Need.INPUTS
    sign: float = 1.0
    scale: float = 1.0

    def score(self, batch):
        if self.scale == 0:
            raise ValueError("nothing is left")
        return -self.sign * self.scale * batch.inputs.double().flatten(1).mean(1)

@dataclass
class Learnt(Dark):
    fitted_on = "val"

    def fit(self, known):
        self._count = len(known.logits)

    def score(self, batch):
        return super().score(batch) / self._count
"""
SETS = """
import numpy as np
from oodbench import Dataset, Split

def known(argument):
    def load(split, shape):
        place = ("train", "val", "test").index(split)
        rng = np.random.default_rng(place)
        pixels = rng.integers(0, 99, (20, 4, 4, 1), dtype=np.uint8)
        return Split(pixels, np.arange(20) % 6)

    return Dataset("known", load, "far", ("train", "val", "test"))
"""
SWEEP = "mine.py:Dark:sign=1|-1"


def bright(count=12, seed=7, low=150):
    """OOD images: brighter than all known ones, so that Dark:sign=1 separates them."""
    rng = np.random.default_rng(seed)
    return rng.integers(low, 256, (count, 4, 4, 1), dtype=np.uint8)


def dataset(name, pixels, role="far"):
    return Dataset(name, lambda *_: Split(pixels), role)


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(DETECTOR)
    (tmp_path / "sets.py").write_text(SETS)


def tune(tiny, protocol, out=None, **options):
    options = {"detectors": SWEEP, "quiet": True, **options}
    out = [dataset("bright", bright())] if out is None else out
    return face.tune(tiny, "sets.py:known", out, protocol=protocol, **options)


def chosen(result):
    return [one.detector for one in result.candidates if one.chosen]


def records(folder):
    (group,) = open_results(folder).groups
    return {label: cell.record for label, cell in group.inside.cells.items()}


@pytest.mark.parametrize(
    ("protocol", "out_val"),
    [
        ("in-distribution", ()),
        ("ood-validation", [dataset("other", bright(seed=8))]),
        ("oracle", ()),
    ],
)
def test_the_better_candidate_is_scored_under_the_name_of_the_protocol(
    tiny, protocol, out_val
):
    result = tune(tiny, protocol, out_val=out_val)
    assert chosen(result) == ["mine.py:Dark"]  # its sign 1 is the default
    assert [one.detector for one in result.candidates][1] == "mine.py:Dark:sign=-1.0"
    frame = result.rows()
    assert frame.detector.tolist() == [f"mine.py:Dark@{protocol}"]
    assert frame.tuned.tolist() == [protocol]
    assert frame.auroc.tolist() == [1.0]
    assert list(records("results/runs")) == frame.detector.tolist()


def test_the_record_says_on_what_the_parameters_were_chosen(tiny):
    tune(tiny, "ood-validation", out_val=[dataset("other", bright(seed=8))])
    how = records("results/runs")["mine.py:Dark@ood-validation"]["detector"]["tuned"]
    assert (how["protocol"], how["candidates"]) == ("ood-validation", 2)
    names = [(one["name"], one["role"]) for one in how["sets"]]
    assert names == [("known (val)", "in"), ("other (test)", "far")]


def test_a_threshold_of_a_tuned_detector_scores_images(tiny):
    tune(tiny, "in-distribution")
    found = face.threshold(model="tiny", detector="mine.py:Dark@in-distribution")
    scorer = face.Scorer.load(found, model=tiny)
    assert not scorer.accepts(bright()).any()


def test_validation_images_decide_and_not_the_test_images(tiny):
    # The validation images are darker than the known ones, the test images brighter.
    dark = dataset("dark", np.zeros((9, 4, 4, 1), np.uint8))
    result = tune(tiny, "ood-validation", out_val=[dark])
    assert chosen(result) == ["mine.py:Dark:sign=-1.0"]
    assert result.rows().auroc.tolist() == [0.0]


def test_the_mean_over_far_sets_decides_and_of_equal_candidates_the_first(tiny):
    dark = dataset("dark", np.zeros((9, 4, 4, 1), np.uint8), "probe")
    out = [dataset("bright", bright()), dark]
    result = tune(tiny, "oracle", out, detectors="mine.py:Dark:scale=2|3:sign=1|-1")
    assert chosen(result) == ["mine.py:Dark:scale=2.0"]
    assert [one.auroc for one in result.candidates] == [1.0, 0.0, 1.0, 0.0]


def test_a_second_call_computes_nothing(tiny):
    first = tune(tiny, "in-distribution")
    files = {path: path.stat().st_mtime_ns for path in _cells()}
    second = tune(tiny, "in-distribution")
    assert (first.computed, second.computed) == (2, 0)
    assert second.candidates == first.candidates
    assert {path: path.stat().st_mtime_ns for path in _cells()} == files


def _cells():
    return sorted(Path("results").rglob("*.npy"))


def test_a_named_validation_image_must_not_be_a_test_image(tiny):
    test, other = bright(), bright(seed=8)
    shared = dataset("shared", np.concatenate([other, test[:2], test[:1]]))
    with pytest.raises(
        InputError, match=r"^2 validation images of shared \(test\) are"
    ):
        tune(tiny, "ood-validation", [dataset("bright", test)], out_val=shared)


def test_a_named_in_distribution_image_must_not_be_a_test_image(tiny):
    own, other = dataset("own", _test_images()), dataset("other", bright(seed=8))
    with pytest.raises(InputError, match=r"20 validation images of own .* of known;"):
        tune(tiny, "ood-validation", in_val=own, out_val=other)


def _test_images():
    return np.random.default_rng(2).integers(0, 99, (20, 4, 4, 1), dtype=np.uint8)


def test_detectors_are_not_fitted_on_the_images_to_choose_on(tiny):
    result = tune(tiny, "in-distribution", detectors="mine.py:Learnt:sign=1|-1")
    assert chosen(result) == ["mine.py:Learnt"]
    (record,) = (
        records("results/tuning").values()
        if False
        else [records("results/tuning")["mine.py:Learnt"]]
    )
    assert record["detector"]["fitted_on"]["images"] == 10  # of 20
    assert record["set"]["images"] == 10
    final = records("results/runs")["mine.py:Learnt@in-distribution"]
    assert final["detector"]["fitted_on"]["images"] == 20


def test_with_other_images_to_choose_on_detectors_are_fitted_as_ever(tiny):
    rng = np.random.default_rng(3)
    own = dataset("own", rng.integers(0, 99, (7, 4, 4, 1), dtype=np.uint8))
    other = dataset("other", bright(seed=8))
    tune(
        *(tiny, "ood-validation"),
        detectors="mine.py:Learnt:sign=1|-1",
        in_val=own,
        out_val=other,
    )
    for folder, name in (
        ("results/tuning", "mine.py:Learnt"),
        ("results/runs", "mine.py:Learnt@ood-validation"),
    ):
        assert records(folder)[name]["detector"]["fitted_on"]["images"] == 20


def test_a_set_without_a_split_to_fit_on_leaves_such_detectors_out(tiny):
    # Never on the only split that it has, the test split.
    rng = np.random.default_rng(3)
    own = dataset("own", rng.integers(0, 99, (7, 4, 4, 1), dtype=np.uint8))
    result = face.tune(
        tiny,
        dataset("alone", _test_images()),
        dataset("bright", bright()),
        detectors=["mine.py:Learnt:sign=1|-1", SWEEP],
        protocol="ood-validation",
        in_val=own,
        out_val=dataset("other", bright(seed=8)),
        quiet=True,
    )
    assert chosen(result) == ["mine.py:Dark"]
    assert result.rows().detector.tolist() == ["mine.py:Dark@ood-validation"]
    assert "has no val split" in " ".join(result.skipped.values())


def test_a_candidate_that_fails_is_not_chosen(tiny):
    result = tune(tiny, "oracle", detectors="mine.py:Dark:scale=0|1:sign=-1")
    assert chosen(result) == ["mine.py:Dark:sign=-1.0"]
    assert result.candidates[0].auroc is None
    assert "nothing is left" in " ".join(result.failed.values())


@pytest.mark.parametrize(
    ("protocol", "options", "message"),
    [
        ("best", {}, "no tuning protocol 'best'"),
        ("ood-validation", {}, "name them with --out-val"),
        ("oracle", {"out_val": "photos"}, "takes no OOD validation images"),
        ("oracle", {"in_val": "photos"}, "leave --in-val out"),
        ("oracle", {"detectors": "msp"}, "nothing to choose in msp"),
        ("oracle", {"detectors": []}, "no detector to tune"),
        ("oracle", {"detectors": SWEEP + "@oracle"}, "names a protocol"),
    ],
)
def test_wrong_arguments_give_one_sentence(tiny, protocol, options, message):
    with pytest.raises(InputError, match=message):
        tune(tiny, protocol, **options)


def test_a_set_without_val_images_needs_others(tiny):
    inside = dataset("alone", _test_images())
    with pytest.raises(InputError, match=r"alone has no val split .* --in-val"):
        face.tune(tiny, inside, "photos", detectors=SWEEP, protocol="in-distribution")


def test_the_command_shows_candidates_and_the_chosen_one(oodbench):
    code, out, err = oodbench(
        *("tune", "--model", "ce-digits", "--out", "digits:8-9", "--limit", "40"),
        *("--detectors", "energy:temperature=1|100", "--protocol", "oracle"),
    )
    assert code == 0, err
    assert out.count("chosen") >= 2
    assert "energy:temperature=100.0" in out
    assert "@oracle: parameters chosen on the test sets themselves" in out

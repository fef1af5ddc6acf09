"""Which cells a later run makes stale, and which are of something else."""

import numpy as np
import pytest

from oodbench.base.files import folder_name, key_of
from oodbench.results.stale import stale_cells
from oodbench.results.store import Store


def images(name, spec, content="a"):
    return {"name": name, "spec": spec, "key": key_of(spec, content), "limit": None}


IN, OUT = images("in", "npz:in.npz"), images("test", "npz:x/test.npz")
DETECTOR = {"label": "a", "name": "a", "source": "s", "key": "a", "fitted_on": None}
FITTED = {**DETECTOR, "key": "b", "fitted_on": images("train", "npz:x/train.npz")}


def write(root, finished, *, inside=IN, out=OUT, detector=DETECTOR, place="p"):
    model = {"name": "net", "key": key_of(place), "source": {"place": place}}
    record = {
        "model": model, "inside": inside, "set": out, "detector": detector,
        "run": {"finished": finished},
    }  # fmt: skip
    names = (folder_name(one["name"], one["key"]) for one in (model, inside, out))
    file = Store(root).set(*names)
    file.write({"digests": np.arange(3)}, record)
    file.cell(detector["label"], detector["key"]).write(np.arange(3.0), record)


def reasons(root):
    return [one.why for one in stale_cells(Store(root).sets())]


@pytest.mark.parametrize(
    "other",
    [
        {"out": images("test", "npz:y/test.npz")},
        {"inside": images("in", "npz:elsewhere/in.npz")},
        {"place": "q"},
        {"out": {**images("test", "npz:x/test.npz", "b"), "limit": 3}},
    ],
)
def test_what_only_shares_a_last_name_is_something_else(tmp_path, other):
    write(tmp_path, "2026-01-01")
    write(tmp_path, "2026-01-02", **other)
    assert reasons(tmp_path) == []


def test_a_detector_that_was_fitted_on_another_set_is_something_else(tmp_path):
    write(tmp_path, "2026-01-01", detector=FITTED)
    other = images("train", "npz:y/train.npz")
    detector = {**FITTED, "key": "c", "fitted_on": other}
    write(tmp_path, "2026-01-02", detector=detector)
    assert reasons(tmp_path) == []


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"out": images("test", "npz:x/test.npz", "b")}, "other images"),
        (
            {"inside": images("in", "npz:in.npz", "b")},
            "other in-distribution images",
        ),
        (
            {"detector": {**DETECTOR, "key": "z", "source": "t"}},
            "another version of the detector",
        ),
    ],
)
def test_other_contents_under_the_same_names_make_the_earlier_cell_stale(
    tmp_path, other, why
):
    write(tmp_path, "2026-01-02", **other)
    write(tmp_path, "2026-01-01")
    assert reasons(tmp_path) == [why]


def test_other_images_to_fit_on_under_one_name_make_the_earlier_cell_stale(tmp_path):
    write(tmp_path, "2026-01-01", detector=FITTED)
    other = images("train", "npz:x/train.npz", "b")
    write(tmp_path, "2026-01-02", detector={**FITTED, "key": "c", "fitted_on": other})
    assert reasons(tmp_path) == ["fitted on other images"]

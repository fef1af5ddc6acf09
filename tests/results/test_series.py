"""Sets that are shifted by degrees: their place in a series, and their accuracy."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import oodbench as ob
from oodbench.data.spec import open_dataset
from oodbench.results.rows import Row
from oodbench.results.series import Series, series_of

FOG = Series("covariate", "fog", "severity")


def row(outside, level, detector="a", role="covariate", series="fog", **changes):
    whole = {"values": {"auroc": 0.9}, "scale": "severity", **changes}
    known = Row("net", "in", outside, role, detector, False, 50, 40)
    return replace(known, series=series, level=level, **whole)


@pytest.fixture
def stored(tiny, tmp_path):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (30, 4, 4, 1), np.uint8)
    np.savez(tmp_path / "in.npz", images=pixels, labels=np.arange(30) % 6)
    np.savez(tmp_path / "out.npz", images=pixels[::-1] // 2, labels=np.arange(30) % 6)
    inside = f"npz:{tmp_path}/in.npz"
    ob.run(
        tiny,
        inside,
        [f"corrupted:contrast:{level}:{inside}" for level in (5, 2)]
        + [f"far=npz:{tmp_path}/out.npz"],
        detectors=["energy", "msp"],
        device="cpu",
        quiet=True,
        results=tmp_path / "runs",
    )
    return tmp_path / "runs", inside


def test_a_run_stores_the_series_and_the_accuracy_of_shifted_sets(stored, tiny):
    results, inside = stored
    found = ob.rows(results).query("detector == 'msp'").set_index("outside")
    shifted = found[found.role == "covariate"]
    assert set(shifted.series) == {"corrupted:contrast:in"}
    assert set(shifted.scale) == {"severity"}
    for level, accuracy in zip(shifted.level, shifted.accuracy_out, strict=True):
        spec = f"corrupted:contrast:{int(level)}:{inside}"
        split = open_dataset(spec).load("test", tiny.shape)
        pixels = np.float32(split.images[0:30]).transpose(0, 3, 1, 2) / 255
        logits = tiny.module((torch.from_numpy(pixels) - 0.5) / 0.25)
        assert accuracy == (logits.argmax(1).numpy() == split.labels).mean()
    (far,) = found[found.role == "far"].itertuples()
    assert (far.series, far.scale) == ("", "")
    assert np.isnan([far.level, far.accuracy_out]).all()


@pytest.mark.parametrize(
    ("known", "names", "classes"),
    [
        ("abcdef", "aefb", [0, 4, 5, 1]),
        ("abcdef", "bacd", [1, 0, 2, 3]),
        ("abcdef", "abxd", None),
        ("abcdef", "", [0, 1, 2, 3]),
        ("", "aefb", None),  # which 4 of 6 classes?
        ("", "uvwxyz", [0, 1, 2, 3]),
    ],
)
def test_shifted_images_are_graded_by_the_names_of_their_classes(
    tiny, tmp_path, known, names, classes
):
    rng = np.random.default_rng(1)

    def write(name, names, labels):
        images = rng.integers(0, 256, (len(labels), 4, 4, 1), np.uint8)
        named = {"class_names": np.array(names)} if names else {}
        np.savez(tmp_path / name, images=images, labels=labels, **named)
        return f"npz:{tmp_path / name}.npz", images

    inside, _ = write("in", [*known], rng.integers(0, 6, 40))
    labels = np.arange(40) % 4
    shifted, images = write("shifted", [*names], labels)
    done = ob.run(
        tiny,
        inside,
        f"covariate={shifted}",
        detectors="msp",
        device="cpu",
        quiet=True,
        results=tmp_path / "runs",
    )
    accuracy = ob.rows(tmp_path / "runs").accuracy_out
    if classes is None:
        assert accuracy.isna().all()
        assert "classes of shifted are not known to be those" in done.warnings[-1]
        return
    pixels = np.float32(images).transpose(0, 3, 1, 2) / 255
    predicted = tiny.module((torch.from_numpy(pixels) - 0.5) / 0.25).argmax(1).numpy()
    assert accuracy.item() == (predicted == np.array(classes)[labels]).mean()


def test_tables_give_the_accuracy_of_shifted_sets_apart(stored):
    own, shifted, *_ = ob.table(stored[0]).split("Accuracy and calibration")[1:]
    assert "corrupted" not in own
    assert "covariate-shifted" in shifted
    assert "corrupted:contrast:2:in" in shifted.split("In-distribution")[0]
    assert "| out " not in shifted.split("In-distribution")[0]


def test_levels_rise_within_a_series():
    rows = [row("f3", 3.0), row("f1", 1.0), row("f2", 2.0), row("f1", 1.0, "b")]
    found = series_of(rows)
    assert list(found) == [FOG]
    assert [one.level for one in found[FOG]["a"]] == [1, 2, 3]
    assert [one.level for one in found[FOG]["b"]] == [1]


def test_series_of_two_roles_or_names_stay_apart():
    near = {"role": "near"}
    rows = [row("f1", 1), row("f2", 2), row("g1", 1, **near), row("g2", 2, **near)]
    rows += [row("h1", 1, series="blur"), row("h2", 2, series="blur")]
    assert [(one.role, one.name) for one in series_of(rows)] == [
        ("covariate", "fog"),
        ("near", "fog"),
        ("covariate", "blur"),
    ]


@pytest.mark.parametrize(
    "rows",
    [
        [row("f1", 1)],
        [row("f1", 1), row("other f1", 1), row("f2", 2)],
        [row("f1", 1), row("f2", 2, values={}, failure="NaN")],
        [row("f1", None, series=""), row("f2", None, series="")],
    ],
    ids=["one level", "two sets of one level", "one failed", "no series"],
)
def test_what_is_no_curve_is_left_out(rows):
    assert series_of(rows) == {}

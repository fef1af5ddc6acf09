"""Tampered results are found, and a board shows only what can be compared."""

import hashlib
import io
import json
import re
import shutil
import zipfile

import numpy as np
import pytest

from oodbench import Dataset, Split, board, check_results, export, run
from oodbench.base.files import json_bytes, npz_bytes
from oodbench.results.exchange.board import read_board

NAMES = [f"person{number}" for number in range(10)]


def dataset(name, images, role="unstated"):
    return Dataset(name, lambda split, shape: images, role, splits=("train", "test"))


@pytest.fixture
def entry(tiny, images, tmp_path):
    """The files of one exported archive in a folder."""
    rng = np.random.default_rng(1)
    others = Split(rng.integers(0, 256, (30, 4, 4, 1), dtype=np.uint8))
    run(
        tiny,
        inside=dataset("in", images),
        out=[dataset("near", others, "near")],
        detectors="energy,msp",
        results=tmp_path / "runs",
        quiet=True,
    )
    export(tmp_path / "runs", to=tmp_path / "entry.zip")
    with zipfile.ZipFile(tmp_path / "entry.zip") as archive:
        archive.extractall(tmp_path / "entry")
    return tmp_path / "entry"


def rewrite(entry, pattern, change_record=None, change_arrays=None):
    """Changes a record and its arrays, with a hash that is right again."""
    (path,) = entry.glob(pattern)
    record = json.loads(path.read_text())
    arrays = path.with_name(record["arrays"]["file"])
    if change_record:
        change_record(record)
    if change_arrays:
        if arrays.suffix == ".npy":
            buffer = io.BytesIO()
            np.save(buffer, change_arrays(np.load(arrays)))
            content = buffer.getvalue()
        else:
            with np.load(arrays) as stored:
                content = npz_bytes(change_arrays(dict(stored)))
        arrays.write_bytes(content)
        record["arrays"]["sha256"] = hashlib.sha256(content).hexdigest()
    path.write_bytes(json_bytes(record))


def better(entry):
    rewrite(entry, "*/*/near-*/energy-*.json", change_arrays=lambda scores: scores - 9)


def other_bytes(entry):
    (path,) = entry.glob("*/*/near-*/energy-*.npy")
    path.write_bytes(path.read_bytes()[:-8] + bytes(8))


def right_labels(entry):
    def change(arrays):
        return {**arrays, "labels": arrays["predictions"]}

    rewrite(entry, "*/*/in-*.json", change_arrays=change)


def fewer_images(entry):
    def count(record):
        record["set"]["images"] = 20

    rewrite(
        entry, "*/*/near-*.json", count,
        lambda arrays: {name: values[:20] for name, values in arrays.items()},
    )  # fmt: skip
    for label in ("energy", "msp"):
        rewrite(entry, f"*/*/near-*/{label}-*.json", count, lambda scores: scores[:20])


def no_shared_images(entry):
    rewrite(
        entry, "*/*/near-*.json", lambda record: record["set"].update(shared_images=3)
    )


def another_name(entry):
    rewrite(
        entry, "*/*/near-*/energy-*.json",
        lambda record: record["detector"].update(label="mine"),
    )  # fmt: skip


def fitted_on_test(entry):
    rewrite(
        entry, "*/*/near-*/energy-*.json",
        lambda record: record["detector"].update(
            fitted_on={"name": "x", "split": "test", "key": "k"}
        ),
    )  # fmt: skip


def no_in_set(entry):
    (path,) = entry.glob("*/*/in-*.json")
    path.unlink()


def claimed(entry):
    path = entry / "metrics.json"
    path.write_text(path.read_text().replace('"auroc": 0.', '"auroc": 0.9'))


def no_metrics(entry):
    (entry / "metrics.json").write_text("[]")


def not_claims(entry):
    (entry / "metrics.json").write_text('{"a": 1}')


TAMPERED = {
    better: r"tiny / in / near / energy: auroc is \d\.\d{6} by the scores, not 0\.",
    other_bytes: r"energy-.*\.npy is missing or not what was stored",
    right_labels: "its images or labels are not those that its key was made of",
    fewer_images: "its images or labels are not those that its key was made of",
    no_shared_images: "it shares 0 images with in, not 3",
    another_name: "the detector mine is not the one that the file is named after",
    fitted_on_test: "it is fitted on a test split, x",
    no_in_set: "what is stored of its in-distribution set is missing",
    claimed: "by the scores, not 0.9",
    no_metrics: "tiny / in / near / energy has scores and no metrics",
    not_claims: "it does not hold metrics",
}


def faults(path):
    return [str(one) for one in check_results(path) if one.is_fault]


def test_sound_results_have_no_fault(entry, tmp_path):
    assert faults(entry) == []
    assert faults(tmp_path / "entry.zip") == []
    assert faults(tmp_path / "runs") == []


@pytest.mark.parametrize("tamper", TAMPERED, ids=lambda one: one.__name__)
def test_each_kind_of_tampering_is_named(entry, tamper):
    tamper(entry)
    assert any(re.search(TAMPERED[tamper], fault) for fault in faults(entry))


@pytest.fixture
def folder(entry, tmp_path):
    """Ten entries, of which three are tampered with."""
    for name in NAMES:
        shutil.copytree(entry, tmp_path / "board" / name)
    for name, tamper in zip(
        NAMES[3:6], (better, other_bytes, right_labels), strict=True
    ):
        tamper(tmp_path / "board" / name)
    return tmp_path / "board"


def test_of_ten_entries_the_three_that_are_tampered_with_are_named(folder, oodbench):
    code, out, _ = oodbench("check", "results", str(folder))
    assert code == 1
    named = {
        line.split()[1].rstrip(":") for line in out.splitlines() if "fault" in line
    }
    sound = {line.split()[1] for line in out.splitlines() if line.startswith("ok")}
    assert named == set(NAMES[3:6])
    assert sound == set(NAMES) - named


def test_a_board_shows_the_sound_entries_and_names_the_others(folder):
    found = read_board(folder)
    assert set(found.refused) == set(NAMES[3:6])
    (chapter,) = found.chapters
    assert {one.entry for one in chapter.scored} == set(NAMES) - set(found.refused)
    assert chapter.notes == []
    page = board(folder).read_text()
    assert "7 entries shown, 3 not shown" in page
    assert all(name in page for name in NAMES)


def test_other_images_of_one_name_are_not_put_side_by_side(
    entry, tiny, images, tmp_path
):
    shutil.copytree(entry, tmp_path / "board" / "one")
    rng = np.random.default_rng(2)
    others = Split(rng.integers(0, 256, (30, 4, 4, 1), dtype=np.uint8))
    run(
        tiny,
        inside=dataset("in", images),
        out=[dataset("near", others, "far")],
        detectors="energy",
        results=tmp_path / "board" / "two",
        quiet=True,
    )
    (chapter,) = read_board(tmp_path / "board").chapters
    sets = {one.entry: one.row.outside for one in chapter.scored}
    assert sets["one"] != sets["two"]
    (note,) = chapter.notes
    assert "sets called near are different images and cannot be compared" in note


def test_what_is_no_result_is_named(tmp_path):
    (tmp_path / "board" / "empty").mkdir(parents=True)
    (tmp_path / "board" / "text.zip").write_text("no archive")
    refused = read_board(tmp_path / "board").refused
    assert set(refused) == {"empty", "text"}


def test_forged_numbers_beside_the_scores_are_not_believed(entry):
    from oodbench import rows

    rows(entry)
    (file,) = entry.glob("*/*/.numbers")
    known = json.loads(file.read_bytes().partition(b"\n")[2])
    forged = {key: dict.fromkeys(numbers, 0.99) for key, numbers in known.items()}
    text = json.dumps(forged).encode()
    file.write_bytes(hashlib.sha256(text).hexdigest().encode() + b"\n" + text)
    assert rows(entry)["auroc"].eq(0.99).all()
    claims = entry / "metrics.json"
    content = re.sub(r'("auroc": )[0-9.e-]+', r"\g<1>0.99", claims.read_text())
    claims.write_text(content)
    assert any("auroc" in one.text for one in check_results(entry) if one.is_fault)

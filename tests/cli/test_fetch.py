"""`oodbench fetch` and what `oodbench list datasets` says of files."""

import importlib
from dataclasses import replace

import pytest

import oodbench as face
from oodbench import InputError


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A data folder with one of the two files of svhn."""
    module = importlib.import_module("oodbench.datasets.svhn")
    sources = tuple(replace(one, checksum="") for one in module.ORIGIN.sources)
    monkeypatch.setattr(module, "ORIGIN", replace(module.ORIGIN, sources=sources))
    monkeypatch.setenv("OODBENCH_DATA", str(tmp_path / "data"))
    folder = tmp_path / "data" / "svhn"
    folder.mkdir(parents=True)
    (folder / "test_32x32.mat").write_bytes(b"images")
    return folder


def test_what_is_there_is_checked_and_listed(oodbench, home):
    code, out, err = oodbench("fetch", "--offline", "--split", "test", "svhn:0-7")
    assert (code, err) == (0, "")
    assert out == f"svhn:0-7: {home / 'test_32x32.mat'}\n"


def test_a_set_made_from_another_needs_its_files(oodbench, home):
    code, out, _ = oodbench("fetch", "--offline", "--split", "test", "inverted:svhn")
    assert (code, out) == (0, f"inverted:svhn: {home / 'test_32x32.mat'}\n")


def test_every_set_is_tried_before_the_command_fails(oodbench, home):
    code, out, err = oodbench(
        "fetch", "--offline", "--split", "test", "cifar10", "svhn"
    )
    assert code == 3
    assert "svhn: " in out
    assert err.startswith("Error: cifar10: cifar-10-python.tar.gz is not there, and ")
    assert err.count("\n") == 1


def test_every_file_that_is_missing_is_named(home):
    with pytest.raises(InputError) as error:
        face.fetch(["cifar10"], offline=True)
    assert "cifar-10-python.tar.gz" in str(error.value)
    with pytest.raises(InputError, match="train_32x32"):
        face.fetch(["svhn"], offline=True)


def test_a_set_without_files_is_refused(oodbench):
    code, _, err = oodbench("fetch", "digits")
    assert (code, err) == (3, "Error: digits: digits has no files to fetch.\n")


def test_a_set_that_may_not_be_downloaded_says_so():
    with pytest.raises(InputError, match=r"imagenet cannot be downloaded. It may not"):
        face.fetch(["imagenet"])


BENCHMARK = """
in = "svhn"

[out]
near = ["digits"]
far = ["numbers=svhn:0-3", "scenes=lsun", "noise=oe_noise:blob"]

[protocol]
title = "Own"
source = "nobody"
positive = "out"
threshold = "first"
area = "trapezoid"
figures = ["auroc"]
means = ["far"]
validation = ["oe_images:jigsaw:cifar10"]
"""


@pytest.fixture
def own(tmp_path):
    (tmp_path / "own.toml").write_text(BENCHMARK)
    return str(tmp_path / "own.toml")


def test_all_sets_of_a_benchmark_are_fetched(oodbench, home, own):
    words = ("--offline", "--split", "test", "--all-of", own)
    code, out, err = oodbench("fetch", *words)
    file = home / "test_32x32.mat"
    assert (code, out) == (3, f"svhn: {file}\nsvhn:0-3: {file}\n")
    assert err.splitlines()[0].startswith("Error: lsun: lsun cannot be downloaded. It")
    assert "Export its test images to a folder" in err
    assert "oe_images:jigsaw:cifar10: cifar-10-python.tar.gz is not there" in err


def test_files_are_listed_once_with_size_and_presence(oodbench, home, own):
    code, out, err = oodbench("fetch", "--offline", "--dry-run", "--all-of", own)
    assert code == 3
    assert err.startswith("Error: lsun: ")
    assert out.splitlines() == [
        "svhn/train_32x32.mat: size unknown, absent",
        "svhn/test_32x32.mat: 0.0 MB, present",
        "cifar10/cifar-10-python.tar.gz: 170.5 MB, absent",
        "2 of 3 files are absent: 170.5 MB and 1 of unknown size.",
    ]


def test_nothing_named_is_refused(oodbench):
    code, _, err = oodbench("fetch")
    assert code == 3
    assert "Name a data set, or a benchmark by --all-of." in err


def test_the_list_shows_licence_and_presence(oodbench, home):
    _, out, _ = oodbench("list", "datasets")
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert lines["cifar10"].endswith("[licence not stated; absent]")
    assert lines["svhn"].endswith("[licence not stated; only test_32x32.mat present]")
    assert "licence" not in lines["digits"]

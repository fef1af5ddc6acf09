"""Benchmark files: what they may hold, and that the shipped ones are whole."""

import re
from pathlib import Path

import pytest

from oodbench import InputError
from oodbench.benchmarks import benchmark
from oodbench.benchmarks.figures import ERRORS, FULL, IN
from oodbench.benchmarks.published import SHIPPED, collection
from oodbench.data.spec import open_dataset

ROOT = Path(__file__).resolve().parents[2]
TEXT = """
in = "digits=digits:0-7"
limit = 20
out = { near = "rest=digits:8-9", far = ["noise=noise:gaussian", "bars=inverted:{in}"] }

[protocol]
title = "Digits"
source = "nobody"
positive = "out"
threshold = "nearest"
area = "average"
figures = ["auroc"]
means = ["near", "far"]
images-per-draw = 5
validation = ["rotated:{in}"]
"""


@pytest.fixture
def read(tmp_path):
    def read(text, replaced=()):
        file = tmp_path / "own.toml"
        file.write_text(text)
        return benchmark.read(str(file), replaced)

    return read


def test_a_file_gives_sets_rules_and_options(read):
    found = read(TEXT)
    assert found.name == "own"
    assert found.inside.text == "digits=digits:0-7"
    assert [each.text for each in found.outside] == [
        "near=rest=digits:8-9",
        "far=noise=noise:gaussian",
        "far=bars=inverted:digits:0-7",
    ]
    assert found.options == {"limit": 20}
    assert found.images_per_draw == 5
    assert found.group("far") == ["noise", "bars"]
    assert found.group("all") == ["rest", "noise", "bars"]


def test_another_set_takes_the_place_of_one(read):
    found = read(TEXT, ["digits=npz:a=b.npz", "noise=photos"])
    assert found.inside.text == "digits=npz:a=b.npz"
    assert [each.spec for each in found.outside] == [
        "digits:8-9",
        "photos",
        "inverted:npz:a=b.npz",
    ]
    assert found.validation == ("rotated:npz:a=b.npz",)
    assert [each.is_substitute for each in found.outside] == [False, True, False]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("threshold =", "treshold =", "did you mean 'threshold'"),
        ('"nearest"', '"nearst"', "did you mean 'nearest'"),
        ('["auroc"]', '["aurok"]', "did you mean 'auroc'"),
        ('title = "Digits"', "", "no title"),
        ('title = "Digits"', "title = 3", "title of protocol must be a text"),
        ("images-per-draw = 5", "draws = 0", "draws must be at least 1"),
        ("images-per-draw = 5", "draws = true", "must be a whole number, not True"),
        ("images-per-draw = 5", "random = ['noize']", "did you mean 'noise'"),
        ('["near", "far"]', '["nera"]', "did you mean 'near'"),
        ("out = { near", "out = { nera", "did you mean 'near'"),
        ("noise=noise", "rest=noise", "two sets are called 'rest'"),
        ('"digits=digits:0-7"', '["a", "b"]', "in must be one set"),
        ("out = {", 'out = "photos" # {', "out must be a table"),
        ("[protocol]", "[other]", "needs protocol"),
        ("limit = 20", "limit = ", "cannot be read"),
    ],
)
def test_a_wrong_file_is_refused_in_a_sentence(read, old, new, words):
    with pytest.raises(InputError, match=words):
        read(TEXT.replace(old, new, 1))


def test_an_unknown_name_or_label_is_refused(read):
    with pytest.raises(InputError, match="did you mean 'oe-mnist'"):
        benchmark.read("oe-mnst")
    with pytest.raises(InputError, match="did you mean 'noise'"):
        read(TEXT, ["noize=photos"])
    with pytest.raises(InputError, match="write LABEL=SET"):
        read(TEXT, ["noise"])


@pytest.mark.parametrize("name", benchmark.names())
def test_every_shipped_benchmark_is_whole(name):
    found = benchmark.read(name)
    labels = {found.inside.label, *(each.label for each in found.outside)}
    assert len(labels) == 1 + len(found.outside)
    assert set(found.images) <= labels
    assert set(found.random) <= labels
    assert all(found.group(mean) for mean in found.means)
    members = [each.text for each in (found.inside, *found.outside)]
    for spec in [*members, *found.validation]:
        assert open_dataset(spec).splits  # nothing is read yet


def test_the_page_has_a_row_for_every_benchmark():
    page = (ROOT / "docs" / "benchmarks.md").read_text("utf-8")
    rows = re.findall(
        r"^\| `([a-z0-9-]+)` \| [^|]+ \| (?:near|far): ", page, re.MULTILINE
    )
    assert rows == benchmark.names()


@pytest.mark.parametrize(
    "name", [each.name.removesuffix(".json") for each in SHIPPED.iterdir()]
)
def test_published_figures_have_a_place_in_their_benchmark_and_a_source(name):
    found, known = benchmark.read(name), collection(name)
    sets = [each.label for each in found.sought] + list(found.means)
    places = {IN, IN + FULL, ERRORS, *sets, *(each + FULL for each in sets)}
    for each in known.figures:
        assert each.place.set in places
        assert each.place.metric in (*found.figures, "accuracy")
        assert 0 <= each.figure.value <= 1
        assert each.figure.deviation is None or each.figure.runs > 1
        assert known.sources[each.source]["evidence"]
    assert len({(e.model, e.detector, e.place) for e in known.figures}) == len(
        known.figures
    )

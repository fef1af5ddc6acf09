"""Detectors by name, of a file, and as instances."""

from dataclasses import dataclass, field

import pytest

from oodbench import Detector, InputError
from oodbench.scoring import provenance
from oodbench.scoring.engine import Engine
from oodbench.scoring.spec import expanded, open_detector

FILE = """
from dataclasses import dataclass
from oodbench import Detector

@dataclass
class Mine(Detector):
    k: int = 1
    Scale: float = 2.0

    def score(self, batch):
        return self.Scale * batch.logits[:, self.k]

class Plain(Detector):
    def score(self, batch):
        return batch.log_px

number = 3
"""


@dataclass
class Fitted(Detector):
    """Keeps what it is fitted on."""

    fitted_on = "train"
    k: int = 1
    name: str = "a"
    _known: int = field(init=False, default=0)

    def fit(self, known):
        self._known = len(known)

    def score(self, batch):
        return batch.log_px + self._known


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "mine.py"
    path.write_text(FILE)
    return path


def test_a_class_of_a_file_is_a_detector(file, tiny, images):
    entry = open_detector("mine.py:Mine:k=2")
    assert entry.label == entry.name + ":k=2" == "mine.py:Mine:k=2"
    assert entry.parameters == {"k": 2, "Scale": 2.0}
    scored = Engine(tiny, {entry.label: entry.detector}).score(
        images, has_labels=True, tell=lambda done: None
    )
    assert scored.failures == {}
    assert open_detector(entry.label)[:3] == entry[:3]
    assert open_detector(f"{file}:Mine").parameters == {"k": 1, "Scale": 2.0}
    assert open_detector("mine.py:Mine:SCALE=3").label == ("mine.py:Mine:Scale=3.0")


def test_an_odd_folder_does_no_harm(file):
    folder = file.parent / "a:b, c=d"
    folder.mkdir()
    (folder / "mine.py").write_text(FILE)
    assert open_detector(f"{folder}/mine.py:Mine:k=4").parameters["k"] == 4


def test_a_class_of_a_module_is_a_detector():
    entry = open_detector("oodbench.detectors.energy:Energy:temperature=2")
    assert entry.label == "oodbench.detectors.energy:Energy:temperature=2.0"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("mine.py", r"mine.py names no class; write mine.py:CLASS\."),
        ("mine.py:k=3", r"There is no detector 'mine.py'"),
        ("mine.py:Lost", "mine.py:Lost cannot be loaded: AttributeError"),
        ("lost.py:Mine", r"There is no file lost.py\."),
        ("lost.module:Mine", "cannot be loaded: ModuleNotFoundError"),
        ("mine.py:number", "is not a class derived from Detector"),
        ("mine.py:Plain", "is not a dataclass; add @dataclass"),
        ("mine.py:Mine:k=x", "mine.py:Mine:k must be a whole number, not 'x'"),
        ("mine.py:Mine:j=1", "no parameter of mine.py:Mine 'j'"),
    ],
)
def test_a_bad_file_or_class_is_one_sentence(file, spec, message):
    with pytest.raises(InputError, match=message) as error:
        open_detector(spec)
    assert "\n" not in str(error.value)


def test_parameters_are_found_in_any_case():
    entry = open_detector("energy:Temperature=2")
    assert entry == open_detector("energy:temperature=2")
    assert open_detector("jem_refine:STEPS=3:Noise=None").parameters["steps"] == 3


@dataclass
class Both(Detector):
    """Has two parameters that differ in case alone."""

    k: int = 1
    K: int = 2

    def score(self, batch):
        return batch.log_px


def test_an_instance_is_copied_before_it_is_fitted(tiny, images):
    given = Fitted(k=5)
    entry = open_detector(given)
    assert (entry.label, entry.name) == ("Fitted:k=5", "Fitted")
    assert entry.parameters == {"k": 5, "name": "a"}
    engine = Engine(tiny, {"it": entry.detector})
    assert engine.fit("train", images, tell=lambda done: None) == {}
    assert (entry.detector._known, given._known) == (40, 0)
    assert open_detector(entry.detector).detector._known == 0
    assert open_detector(Fitted()).label == "Fitted"
    assert open_detector(Both(K=3)).label == "Both:K=3"


def test_an_instance_that_cannot_be_stored_is_one_sentence():
    @dataclass
    class Odd(Detector):
        what: object = None

        def score(self, batch):
            return batch.log_px

    with pytest.raises(InputError, match="'Odd' cannot be copied: TypeError"):
        open_detector(Odd(what=object()))


def test_keys_depend_on_class_parameters_and_sources(file, tiny):
    def key(spec):
        return provenance.method_key(open_detector(spec), {}, tiny)

    first = key("mine.py:Mine")
    assert key("mine.py:Mine:k=1") == first != key("mine.py:Mine:k=2")
    file.write_text(FILE.replace("self.Scale *", "self.Scale +"))
    assert key("mine.py:Mine") != first
    file.write_text(FILE)
    assert key(f"{file}:Mine") == key("mine.py:Mine") == first


def test_a_protocol_behind_a_detector_is_part_of_its_label_record_and_key(tiny):
    entry, plain = open_detector("knn:k=5@oracle"), open_detector("knn:k=5")
    assert (entry.label, plain.label) == ("knn:k=5@oracle", "knn:k=5")
    assert (entry.tuned, plain.tuned) == ({"protocol": "oracle"}, None)
    assert (entry.name, entry.parameters) == (plain.name, plain.parameters)
    other = open_detector("knn:k=5@in-distribution")
    fits = {"train": "key of the images"}
    keys = {provenance.method_key(e, fits, tiny) for e in (entry, plain, other)}
    assert len(keys) == 3
    energy = open_detector("energy@oracle")
    record = provenance.of_detector(energy, "key", {}, tiny)
    assert (record["label"], record["tuned"]) == ("energy@oracle", energy.tuned)


def test_a_protocol_belongs_to_a_whole_chain(tiny):
    entry = open_detector("react:percentile=95+energy@ood-validation")
    assert entry.label == "react:percentile=95.0+energy@ood-validation"
    assert entry.name == "react+energy"


def test_an_unknown_protocol_is_refused_and_an_at_sign_in_a_path_is_none(file):
    with pytest.raises(InputError, match="no tuning protocol 'orcle'; did you mean"):
        open_detector("knn:k=5@orcle")
    (file.parent / "a@b.py").write_text(FILE)
    assert open_detector("a@b.py:Mine").tuned is None
    assert open_detector("a@b.py:Mine:k=2@oracle").label == "a@b.py:Mine:k=2@oracle"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("energy", ["energy"]),
        ("knn:k=1|5@oracle", ["knn:k=1@oracle", "knn:k=5@oracle"]),
        ("energy:temperature=1|2", ["energy:temperature=1", "energy:temperature=2"]),
        ("a:b=1|2:c=3|4", ["a:b=1:c=3", "a:b=1:c=4", "a:b=2:c=3", "a:b=2:c=4"]),
        (
            "react:percentile=9|8+msp",
            ["react:percentile=9+msp", "react:percentile=8+msp"],
        ),
    ],
)
def test_a_sweep_is_every_combination_of_its_values(spec, expected):
    assert expanded(spec) == expected

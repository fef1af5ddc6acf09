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


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("energy", ["energy"]),
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

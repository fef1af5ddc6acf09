"""The texts of a zero-shot classifier: where they come from, and what is refused."""

import json

import numpy as np
import pytest

from oodbench import InputError
from oodbench.networks.zero_shot.prompts import Prompts, spoken


def test_classes_come_from_a_file_a_list_or_a_set(tmp_path):
    (tmp_path / "names.txt").write_text("cat\n\n sports_car \n")
    from_file = Prompts.read({"classes": str(tmp_path / "names.txt")})
    assert from_file == Prompts.read({"classes": "cat, sports_car"})
    assert from_file.classes == ("cat", "sports_car")
    images, names = np.zeros((2, 4, 4, 3), np.uint8), ["cat", "sports_car"]
    np.savez(tmp_path / "s.npz", images=images, labels=[0, 1], class_names=names)
    assert from_file == Prompts.read({"classes": f"npz:{tmp_path}/s.npz"})


def test_templates_come_from_a_text_or_a_file(tmp_path):
    (tmp_path / "templates.txt").write_text("a {}\nmany {}s\n")
    names = {"classes": "a,b"}
    assert Prompts.read(names).templates == ("a photo of a {}",)
    assert Prompts.read({**names, "template": "one {}, big"}).templates == (
        "one {}, big",
    )
    several = Prompts.read({**names, "template": str(tmp_path / "templates.txt")})
    assert several.templates == ("a {}", "many {}s")


def test_a_prompt_has_the_first_of_several_names_in_words():
    assert spoken("great_white_shark, white shark") == "great white shark"


def test_the_record_has_all_but_the_list_of_words(tmp_path):
    (tmp_path / "words.txt").write_text("fog\nrain\nfog\n")
    prompts = Prompts.read(
        {"classes": "a,b", "nouns": str(tmp_path / "words.txt"), "share": "0.5"}
    )
    assert prompts.nouns == ("fog", "rain")
    record = json.loads(prompts.record())
    assert record["classes"] == ["a", "b"]
    assert record["nouns"].startswith("2 words ")
    assert record["share"] == 0.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "has the classes that you name"),
        ({"classes": "a,b", "clases": "c"}, "did you mean 'classes'"),
        ({"classes": "a,a"}, "'a' twice"),
        ({"classes": "a,,b"}, "an empty name"),
        ({"classes": "nothing"}, "no data set 'nothing'"),
        ({"classes": "noise:uniform"}, "no names of its classes"),
        ({"classes": "a,b", "template": "a photo"}, "needs {} once"),
        ({"classes": "a,b", "template": "{} {name}"}, "needs {} once"),
        ({"classes": "a,b", "nouns": "none.txt"}, "none.txt cannot be read"),
        ({"classes": "a,b", "share": "0"}, "share must be above 0 and at most 1"),
        ({"classes": "a,b", "quantile": "x"}, "quantile must be above 0"),
    ],
)
def test_what_means_nothing_is_one_sentence(arguments, message):
    with pytest.raises(InputError, match=message):
        Prompts.read(arguments)


def test_names_that_are_alike_up_to_a_comma_are_refused(tmp_path):
    (tmp_path / "names.txt").write_text("maillot\ndog\nmaillot, tank suit\n")
    with pytest.raises(InputError, match="'maillot' twice; what follows a comma"):
        Prompts.read({"classes": f"{tmp_path}/names.txt"})


def test_numbers_of_wordnet_are_no_names(tmp_path):
    np.savez(
        tmp_path / "set.npz",
        images=np.zeros((2, 4, 4, 3), np.uint8),
        labels=[0, 1],
        class_names=["n01440764", "n01443537"],
    )
    with pytest.raises(InputError, match="no names of its classes that a text"):
        Prompts.read({"classes": f"npz:{tmp_path}/set.npz"})

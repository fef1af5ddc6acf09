"""How the command line names sets."""

import numpy as np
import pytest
from PIL import Image

from oodbench import InputError
from oodbench.data.image_set import native_shape
from oodbench.data.spec import distinct, open_dataset, split_specs


def test_a_set_is_named_with_its_argument():
    assert open_dataset("digits").name == "digits"
    assert open_dataset("digits:8-9").name == "digits:8-9"


def test_a_stated_role_replaces_the_own_one():
    assert open_dataset("noise:gaussian").role == "far"
    assert open_dataset("near=noise:gaussian").role == "near"


def test_a_stated_role_stands_beside_a_set_of_the_same_family():
    inside = open_dataset("digits:0-7")
    assert open_dataset("digits:8-9").relative_to(inside).role == "near"
    assert open_dataset("far=digits:8-9").relative_to(inside).role == "far"


def test_an_equals_sign_in_an_argument_states_no_role(tmp_path):
    path = tmp_path / "near=1.npz"
    np.savez(path, images=np.zeros((1, 2, 2), np.uint8))
    assert open_dataset(f"npz:{path}").role == "unstated"
    assert open_dataset(f"far=npz:{path}").role == "far"


@pytest.mark.parametrize("spec", ["", ":", ":0-7", "near=", "near=:0-7"])
def test_an_empty_name_is_refused(spec):
    with pytest.raises(InputError, match="names no data set"):
        open_dataset(spec)


def test_an_unknown_name_brings_the_nearest_one():
    with pytest.raises(InputError, match="no data set 'digit'; did you mean 'digits'"):
        open_dataset("digit:0-7")


def test_an_unknown_role_brings_the_nearest_one():
    with pytest.raises(InputError, match="no role 'nearr'; did you mean 'near'"):
        open_dataset("nearr=digits")


@pytest.mark.parametrize("name", ["shots", "x=1", "a:b"])
@pytest.mark.parametrize("role", ["", "near="])
def test_a_bare_path_brings_the_set_that_reads_it(tmp_path, name, role):
    folder = tmp_path / name
    folder.mkdir()
    file = tmp_path / f"{name}.npz"
    file.touch()
    with pytest.raises(InputError, match=f"write folder:{folder}"):
        open_dataset(f"{role}{folder}")
    with pytest.raises(InputError, match=f"write npz:{file}"):
        open_dataset(f"{role}{file}")


# --- sets from a Python file, and sets as they are


CODE = """
import numpy as np
from beside import SIDE
from oodbench import Dataset, Split


def street(argument):
    images = np.zeros((3, SIDE, SIDE, 1), np.uint8)
    return Dataset(f"street {argument}", lambda *_: Split(images), "far")


def nothing(argument):
    return argument
"""


@pytest.fixture
def sets(tmp_path):
    (tmp_path / "beside.py").write_text("SIDE = 5")
    (tmp_path / "sets.py").write_text(CODE)
    return tmp_path / "sets.py"


@pytest.mark.parametrize("role", ["", "near="])
def test_a_function_of_a_python_file_is_a_set(sets, role):
    found = open_dataset(f"{role}{sets}:street:at:night")
    assert found.name == "street at:night"
    assert found.role == ("near" if role else "far")
    assert open_dataset(found.spec).name == found.name
    assert open_dataset(f"{sets}:street").name == "street "
    assert native_shape(found) == (1, 5, 5)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("{0}:streets", "sets.py:streets failed with AttributeError"),
        ("{0}:nothing", "sets.py:nothing returned a str; it must return an oodbench"),
        ("nowhere.py:street", "There is no file 'nowhere.py'"),
    ],
)
def test_a_function_that_makes_no_set_is_one_sentence(sets, spec, message):
    with pytest.raises(InputError, match=message):
        open_dataset(spec.format(sets))


def test_a_python_file_that_fails_is_one_sentence(tmp_path):
    for code in ("import not_there", "1 / 0", "import sys; sys.exit(3)", "("):
        (tmp_path / "bad.py").write_text(code)
        with pytest.raises(InputError, match=r"bad.py:make failed with \w+: ") as error:
            open_dataset(f"{tmp_path / 'bad.py'}:make")
        assert "\n" not in str(error.value)


def test_a_folder_in_whose_path_a_python_file_is_named_is_a_folder(tmp_path):
    (tmp_path / "sets.py:x").mkdir()
    assert open_dataset(f"folder:{tmp_path / 'sets.py:x'}").name == "sets.py:x"


def test_a_data_set_is_returned_as_it_is():
    one = open_dataset("digits")
    assert open_dataset(one) is one


# --- stated names


@pytest.mark.parametrize("spec", ["far=night=photos", "night=far=photos"])
def test_a_name_and_a_role_stand_in_any_order(spec):
    found = open_dataset(spec)
    assert (found.name, found.role, found.spec) == ("night", "far", spec)


def test_a_name_alone_leaves_the_role_to_the_set():
    found = open_dataset("kept=digits:8-9")
    assert found.name == "kept"
    assert found.relative_to(open_dataset("digits:0-7")).role == "near"


@pytest.mark.parametrize(
    ("word", "role"),
    [
        ("fra", "far"),
        ("Far", "far"),
        ("farr", "far"),
        ("nar", "near"),
        ("naer", "near"),
        ("covarate", "covariate"),
        ("prob", "probe"),
        ("unstatd", "unstated"),
    ],
)
def test_a_near_miss_of_a_role_is_no_name(word, role):
    with pytest.raises(InputError, match=f"no role '{word}'; did you mean '{role}'"):
        open_dataset(f"{word}=photos")


@pytest.mark.parametrize("name", ["cifar", "night", "set 2", "nearly there"])
def test_other_words_are_names(name):
    assert open_dataset(f"{name}=photos").name == name


@pytest.mark.parametrize(
    ("spec", "kind"), [("far=near=photos", "roles"), ("a1=b2=photos", "names")]
)
def test_two_roles_or_names_are_refused(spec, kind):
    with pytest.raises(InputError, match=f"states two {kind}"):
        open_dataset(spec)


# --- names that differ


@pytest.fixture
def places(tmp_path):
    """Folders and an archive that share the last part of their paths."""
    for place in ("x/test", "y/test", "z/y/test"):
        (tmp_path / place).mkdir(parents=True)
        Image.new("L", (2, 2)).save(tmp_path / place / "a.png")
    np.savez(tmp_path / "x" / "test.npz", images=np.zeros((1, 2, 2), np.uint8))
    return tmp_path


def names(*specs):
    return [one.name for one in distinct([open_dataset(spec) for spec in specs])]


def test_sets_of_one_last_name_show_as_much_of_the_path_as_tells_them_apart(places):
    x, y, z = (f"folder:{places}/{name}/test" for name in ("x", "y", "z/y"))
    assert names(x) == ["test"]
    assert names(x, x) == ["test", "test"]
    assert names(x, y) == ["x/test", "y/test"]
    assert names(y, z) == [f"{places.name}/y/test", "z/y/test"]
    assert names(f"near={x}", f"inverted:{x}", f"inverted:{y}") == [
        "test",
        "inverted:x/test",
        "inverted:y/test",
    ]
    assert names(f"night={x}", y, "digits") == ["night", "test", "digits"]


def test_one_name_for_two_sets_is_refused(places):
    x, y = (f"folder:{places}/{name}/test" for name in "xy")
    with pytest.raises(InputError, match="both called 'night'; state two names"):
        names(f"night={x}", f"far=night={y}")
    assert names(f"night={x}", f"far=night={x}") == ["night", "night"]


def test_what_is_made_from_a_folder_of_another_place_is_not_made_from_the_in_set(
    places,
):
    x, y = (f"folder:{places}/{name}/test" for name in "xy")
    assert (
        open_dataset(f"inverted:{x}").relative_to(open_dataset(x)).role == "covariate"
    )
    assert open_dataset(f"inverted:{y}").relative_to(open_dataset(x)).role == "unstated"


@pytest.mark.parametrize("inside", ["mine=digits:0-7", "far=mine=digits:0-7"])
def test_a_changed_set_knows_the_in_distribution_set_by_another_name(inside):
    found = open_dataset("inverted:digits:0-7").relative_to(open_dataset(inside))
    assert found.role == "covariate"


# --- comma lists


def test_a_comma_of_an_existing_path_is_kept(tmp_path):
    for name in ("photos, 2019", "a,b,c", "a", "a,b=c"):
        (tmp_path / name).mkdir()
    first, second = f"folder:{tmp_path}/photos, 2019", f"folder:{tmp_path}/a,b,c"
    texts = [f"far={first}, digits:0-7,, night=far={second},inverted:{second}", "noise"]
    assert split_specs(texts) == [
        f"far={first}",
        "digits:0-7",
        f"night=far={second}",
        f"inverted:{second}",
        "noise",
    ]
    plain = f"folder:{tmp_path}/a"
    assert split_specs([f"{plain},{plain}"]) == [plain, plain]
    assert split_specs([f"{plain},b=c,digits"]) == [f"{plain},b=c", "digits"]
    assert split_specs([f"{plain},x,{plain}"]) == [plain, "x", plain]
    assert split_specs(["", " , "]) == []


def test_a_relative_path_with_a_comma_is_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a,b.npz").touch()
    assert split_specs(["npz:a,b.npz,digits"]) == ["npz:a,b.npz", "digits"]
    assert split_specs(["folder:~,digits"]) == ["folder:~", "digits"]
    assert split_specs(["x" * 5000 + "," + "y" * 5000]) == ["x" * 5000, "y" * 5000]


# --- alternatives


def test_alternatives_stand_for_every_combination(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a|b").mkdir()
    assert split_specs(["far=x:1|2:y|z:s,photos"]) == [
        "far=x:1:y:s",
        "far=x:1:z:s",
        "far=x:2:y:s",
        "far=x:2:z:s",
        "photos",
    ]
    assert split_specs(["folder:a|b"]) == ["folder:a|b"]
    assert split_specs(["x:1|2:folder:a|b"]) == ["x:1:folder:a|b", "x:2:folder:a|b"]
    assert split_specs(["folder:b|c"]) == ["folder:b", "folder:c"]

"""How the command line names sets."""

import numpy as np
import pytest

from oodbench import InputError
from oodbench.data.spec import open_dataset


def test_a_set_is_named_with_its_argument():
    assert open_dataset("digits").name == "digits"
    assert open_dataset("digits:8-9").name == "digits:8-9"


def test_a_stated_role_replaces_the_own_one():
    assert open_dataset("noise:gaussian").role == "far"
    assert open_dataset("near=noise:gaussian").role == "near"


def test_a_stated_role_stands_beside_a_set_of_the_same_family():
    inside = open_dataset("digits:0-7")
    assert open_dataset("digits:8-9").beside(inside).role == "near"
    assert open_dataset("far=digits:8-9").beside(inside).role == "far"


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

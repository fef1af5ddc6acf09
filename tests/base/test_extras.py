"""Libraries of extras: one sentence where they are missing."""

import json

import pytest

from oodbench.base.errors import InputError
from oodbench.base.extras import library


def test_a_library_that_is_there_is_returned():
    assert library("json", "some") is json


@pytest.mark.parametrize(("title", "named"), [("", "absent_one"), ("One", "One")])
def test_a_missing_library_is_one_sentence(title, named):
    with pytest.raises(InputError) as error:
        library("absent_one", "some", title=title)
    assert (
        str(error.value) == f"{named} is not installed; pip install 'oodbench[some]'."
    )

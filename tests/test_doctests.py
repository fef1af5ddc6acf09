import doctest
import importlib
import pkgutil

import pytest

import oodbench

MODULES = [
    module.name
    for module in pkgutil.walk_packages(oodbench.__path__, "oodbench.")
    if not module.name.startswith("oodbench.cli")
]


@pytest.mark.parametrize("module", MODULES)
def test_examples_in_docstrings_hold(module):
    assert doctest.testmod(importlib.import_module(module)).failed == 0

"""The public face: what `import oodbench` offers, and how it is shown."""

import ast
import importlib
import inspect
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import oodbench

FUNCTIONS = [
    name for name in oodbench.__all__ if inspect.isfunction(getattr(oodbench, name))
]


def test_tab_and_all_show_the_same():
    assert dir(oodbench) == sorted(oodbench.__all__)
    assert {"run", "rows", "table", "train"} <= {*FUNCTIONS}
    assert oodbench.__version__ == version("oodbench")
    with pytest.raises(AttributeError, match="no attribute 'runn'"):
        oodbench.runn  # noqa: B018


@pytest.mark.parametrize("name", sorted(oodbench.__all__))
def test_every_name_is_there(name):
    assert getattr(oodbench, name) is not None


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_function_has_help(name):
    function = getattr(oodbench, name)
    assert inspect.isfunction(function)
    assert "Args:" in inspect.getdoc(function) or name == "rows"


def test_every_name_is_known_to_type_checkers():
    source = ast.parse(Path(oodbench.__file__).read_text())
    (block,) = [node for node in source.body if isinstance(node, ast.If)]
    typed = {
        alias.asname: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert typed.keys() == set(oodbench.__all__) - {"__version__"}
    for name, home in typed.items():
        assert getattr(oodbench, name) is getattr(importlib.import_module(home), name)


def test_the_import_is_light():
    code = "import sys, oodbench; assert not {'torch', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_package_runs_as_the_command():
    call = [sys.executable, "-m", "oodbench", "--version"]
    done = subprocess.run(call, capture_output=True, text=True, check=True)
    assert oodbench.__version__ in done.stdout

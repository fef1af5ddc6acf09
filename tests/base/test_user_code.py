import os
import sys
from pathlib import Path

import pytest
import torch

from oodbench import InputError
from oodbench.base.user_code import load_object


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """Writes a file, in a folder that is the current one, and returns its path."""
    monkeypatch.chdir(tmp_path)
    path_before = list(sys.path)

    def write(text, name="mine.py"):
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    yield write
    assert sys.path == path_before


def test_an_object_comes_from_a_file_or_a_module(mine):
    path = mine("value = 3\n")
    assert load_object(path, "value") == 3
    assert load_object("mine.py", "value") == 3
    assert load_object("os.path", "sep") == os.path.sep
    mine("other = 4\n", "module_here.py")
    assert load_object("module_here", "other") == 4
    sys.modules.pop("module_here")


def test_a_changed_file_is_read_again(mine):
    path = mine("value = 1\n")
    assert load_object(path, "value") == 1
    mine("value = 2\n")
    assert load_object(path, "value") == 2


def test_a_file_imports_what_lies_in_its_folder(mine):
    mine("value = 5\n", "lies_here.py")
    path = mine("from lies_here import value\n")
    assert load_object(path, "value") == 5
    sys.modules.pop("lies_here")


def test_a_file_replaces_no_module_of_its_name(mine):
    assert load_object(mine("value = 1\n", "torch.py"), "value") == 1
    assert sys.modules["torch"] is torch


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import not_there_at_all", "ModuleNotFoundError: No module named"),
        ("value = ", "SyntaxError: invalid syntax"),
        ("raise ValueError('one\\ntwo')", "ValueError: one"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("raise MemoryError('none')", "MemoryError: none"),
        ("valu = 1", "AttributeError: module .* has no attribute 'value'"),
    ],
)
def test_code_that_fails_is_one_sentence(mine, text, reason):
    path = mine(text)
    for _ in range(2):
        with pytest.raises(InputError, match=f"mine.py:value cannot .*{reason}") as one:
            load_object(path, "value")
        assert "\n" not in str(one.value)


def test_a_file_or_module_that_is_not_there_is_one_sentence(mine):
    with pytest.raises(InputError, match=r"There is no file lost.py\."):
        load_object("lost.py", "value")
    with pytest.raises(InputError, match="lost:value cannot be loaded"):
        load_object("lost", "value")


def test_settings_that_an_import_changes_are_put_back(mine, capsys):
    text = """
import os, torch
torch.set_default_dtype(torch.float64)
torch.set_float32_matmul_precision("medium")
torch.backends.cudnn.benchmark = True
torch.autocast("cpu", torch.bfloat16).__enter__()
torch.set_grad_enabled(False)
torch.set_num_threads(torch.get_num_threads() + 1)
torch.set_default_device("meta")
os.chdir("/")
print("noise")
value = 1
"""
    before = (Path.cwd(), torch.get_num_threads(), torch.backends.cudnn.benchmark)
    assert load_object(mine(text), "value") == 1
    assert torch.get_default_dtype() == torch.float32
    assert torch.get_float32_matmul_precision() == "highest"
    assert not torch.is_autocast_enabled("cpu")
    assert torch.is_grad_enabled()
    assert torch.zeros(1).device.type == "cpu"
    after = (Path.cwd(), torch.get_num_threads(), torch.backends.cudnn.benchmark)
    assert after == before
    assert capsys.readouterr() == ("", "noise\n")

import importlib
import pkgutil
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
SCRIPTS = sorted(module.name for module in pkgutil.iter_modules([str(FOLDER)]))


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_finds_all_that_it_imports(script, monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    try:
        importlib.import_module(script)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("oodbench") or error.name in SCRIPTS:
            raise
        pytest.skip(f"{error.name} is not installed")

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from oodbench.base import registry

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FOLDERS = {
    "oodbench.datasets": ROOT / "datasets",
    "oodbench.detectors": ROOT / "detectors",
}
LIGHT = [
    "base.registry",
    "base.text",
    "cli",
    "jem.training.recipe",
    "metrics.bootstrap",
    "metrics.calibration",
    "metrics.influence",
    "metrics.intervals",
    "metrics.ranking",
    "metrics.selective",
    "metrics.significance",
    "metrics.table",
    "metrics.temperature",
    "metrics.threshold",
    "output.board",
    "output.comparison",
    "output.export",
    "output.formats.html",
    "output.formats.latex",
    "output.formats.markdown",
    "output.formats.terminal",
    "output.plots.reliability",
    "output.plots.draw",
    "output.plots.plot",
    "output.report.page",
    "output.tables",
    "results.comparisons",
    "results.rows",
    "results.store",
]


def packages():
    inner = (ROOT / "oodbench").rglob("__init__.py")
    found = {".".join(path.parent.relative_to(ROOT).parts) for path in inner}
    return found | set(FOLDERS)


def test_packages_named_for_setuptools_are_those_that_exist():
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == packages()


@pytest.mark.parametrize("kind", ["detectors", "datasets"])
def test_every_public_file_is_a_plugin(kind):
    files = {path.stem for path in (ROOT / kind).glob("*.py")}
    public = {name for name in files if not name.startswith("_")}
    listed = {one.name for one in registry.listings(kind) if one.package == "oodbench"}
    assert listed == public


@pytest.mark.parametrize("module", LIGHT)
def test_light_modules_import_neither_torch_nor_pandas(module):
    code = (
        f"import sys, oodbench.{module}; "
        "heavy = {'torch', 'pandas', 'sklearn', 'scipy'} & set(sys.modules); "
        "sys.exit(', '.join(heavy) or 0)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent,
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("folder", ["detectors", "datasets"])
def test_plugin_folders_refuse_another_name(folder):
    result = subprocess.run(
        [sys.executable, "-c", f"import {folder}"],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert f"import oodbench.{folder}, not {folder}" in result.stderr

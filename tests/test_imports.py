"""Holds imports to one direction: who may import whom, folder by folder."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MAY_IMPORT = {
    "base": "",
    "metrics": "base",
    "data": "base",
    "networks": "base data",
    "results": "base metrics",
    "scoring": "base data networks",
    "benchmarks": "base data metrics results output",
    "runs": "base data networks metrics results scoring benchmarks",
    "output": "base data metrics results",
    "jem": "base data networks scoring",
    "attacks": "base data networks metrics scoring jem output",
    "testing": "base data networks scoring",
    "detectors": "base metrics scoring jem oodbench",
    "datasets": "base data oodbench",
    "cli": "base data networks metrics results scoring runs output jem attacks testing "
    "benchmarks",
}


def imported(tree):
    """Yields the modules of oodbench that code imports, wherever it does so."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] == "oodbench")


def folder_of(module):
    """Returns the folder that a module lies in; oodbench for the public face."""
    name = module.partition(".")[2].partition(".")[0]
    return name if name in MAY_IMPORT else "oodbench"


def wrong_imports(folder, source):
    allowed = {folder, *MAY_IMPORT[folder].split()}
    return [
        name for name in imported(ast.parse(source)) if folder_of(name) not in allowed
    ]


def sources():
    for folder in MAY_IMPORT:
        top = ROOT if folder in ("detectors", "datasets") else ROOT / "oodbench"
        single = top / f"{folder}.py"
        for path in (
            [single] if single.is_file() else sorted((top / folder).rglob("*.py"))
        ):
            yield pytest.param(folder, path, id=str(path.relative_to(ROOT)))


@pytest.mark.parametrize(("folder", "path"), list(sources()))
def test_imports_go_one_way(folder, path):
    assert wrong_imports(folder, path.read_text("utf-8")) == []


@pytest.mark.parametrize(
    ("folder", "source"),
    [
        ("base", "from oodbench.data.dataset import Shape"),
        ("metrics", "def late():\n    import oodbench.results.store"),
        ("runs", "if TYPE_CHECKING:\n    from oodbench.output import tables"),
        ("scoring", "from oodbench.detectors.energy import Energy"),
        ("jem", "from oodbench import run"),
        ("cli", "import oodbench"),
    ],
)
def test_a_wrong_import_is_found(folder, source):
    assert wrong_imports(folder, source)


def test_every_folder_is_listed():
    inside = {p.stem for p in (ROOT / "oodbench").iterdir() if p.suffix in ("", ".py")}
    own = inside - {"__init__", "__main__", "__pycache__", "py"}
    assert own | {"detectors", "datasets"} == set(MAY_IMPORT)

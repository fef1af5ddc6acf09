"""A key of sources changes with all code that decides an object, and only with that."""

import importlib
import subprocess
import sys
from dataclasses import dataclass

import pytest

from oodbench.base import registry
from oodbench.base.sources import own_sources, sources_key


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Writes a package and returns a function that gives the key of its class."""
    made = []

    def make(files, where="pkg.mine", name=None):
        for path, text in files.items():
            file = tmp_path / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
        importlib.invalidate_caches()
        monkeypatch.syspath_prepend(str(tmp_path))
        drop(made)
        try:
            module = importlib.import_module(where)
        finally:
            sys.dont_write_bytecode = before
        made.append(where.partition(".")[0])
        return sources_key(module.Mine)

    yield make
    drop(made)


def drop(tops):
    for name in list(sys.modules):
        if name.partition(".")[0] in tops:
            del sys.modules[name]


PLAIN = "class Mine: pass\n"


@pytest.mark.parametrize(
    ("line", "helper"),
    [
        ("from pkg.helper import f", "pkg/helper.py"),
        ("from pkg import helper", "pkg/helper.py"),
        ("import pkg.helper", "pkg/helper.py"),
        ("from .helper import f", "pkg/helper.py"),
        ("from . import helper", "pkg/helper.py"),
        ("from .sub.helper import f", "pkg/sub/helper.py"),
        ("from pkg import f", "pkg/__init__.py"),
        ("from . import f", "pkg/__init__.py"),
        ("from .sub import f", "pkg/sub/__init__.py"),
        ("def late():\n    from pkg.helper import f", "pkg/helper.py"),
        ("class Late:\n    import pkg.helper", "pkg/helper.py"),
        ("def late():\n    from pkg.other import helper", "pkg/other/helper.py"),
        ("try:\n    from .helper import f\nexcept ImportError: pass", "pkg/helper.py"),
    ],
)
def test_a_module_that_is_imported_changes_the_key(package, line, helper):
    files = {
        "pkg/__init__.py": "f = 1\n",
        "pkg/sub/__init__.py": "f = 1\n",
        "pkg/mine.py": f"{line}\n{PLAIN}",
        helper: "f = 1\n",
    }
    first = package(files)
    assert package(files) == first
    assert package({**files, helper: "f = 2\n"}) != first


def test_helpers_of_helpers_change_the_key(package):
    files = {
        "pkg/__init__.py": "",
        "pkg/mine.py": f"from . import one\n{PLAIN}",
        "pkg/one.py": "from .two import f\n",
        "pkg/two.py": "f = 1\n",
    }
    first = package(files)
    assert package({**files, "pkg/two.py": "f = 2\n"}) != first


def test_modules_that_import_one_another_end(package):
    files = {
        "pkg/__init__.py": "",
        "pkg/mine.py": f"def late():\n    from . import other\n{PLAIN}",
        "pkg/other.py": "from . import mine\n",
    }
    assert package(files) == package(files)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("pkg/sibling.py", "f = 2\n"),
        ("pkg/sibling.py", "def broken(:\n"),
        ("pkg/sibling.py", "\0"),
        ("elsewhere.py", "f = 2\n"),
    ],
)
def test_a_file_that_is_not_imported_changes_nothing(package, path, text):
    files = {"pkg/__init__.py": "", "pkg/mine.py": PLAIN}
    assert package({**files, path: text}) == package(files)


def test_an_imported_file_with_a_syntax_error_counts_by_its_bytes(package):
    line = "try:\n    from . import broken\nexcept SyntaxError: pass"
    files = {"pkg/__init__.py": "", "pkg/mine.py": f"{line}\n{PLAIN}"}
    keys = {package({**files, "pkg/broken.py": f"def {n}(:\n"}) for n in "ab"}
    assert len(keys) == 2


def test_a_namespace_package_is_followed(package):
    files = {"space/mine.py": f"from .deep.helper import f\n{PLAIN}"}
    keys = {
        package({**files, "space/deep/helper.py": f"f = {n}\n"}, "space.mine")
        for n in (1, 2)
    }
    assert len(keys) == 2


def test_a_single_file_follows_modules_in_its_folder(package):
    files = {"mine.py": f"import helper\n{PLAIN}\ndef f():\n    import below.it\n"}
    first = package({**files, "helper.py": "", "below/it.py": ""}, "mine")
    sys.modules.pop("helper")
    assert package({**files, "helper.py": "f = 1\n"}, "mine") != first
    sys.modules.pop("helper")
    again = {**files, "helper.py": "", "below/it.py": "f = 1\n"}
    assert package(again, "mine") != first
    sys.modules.pop("helper")


def test_a_module_beside_an_installed_single_file_is_not_own(package, monkeypatch):
    files = {"site-packages/mine.py": f"def f():\n    import helper\n{PLAIN}"}

    def key(text):
        package({"site-packages/helper.py": text, "pkg/mine.py": PLAIN, **files})
        folder = sys.modules["pkg.mine"].__file__.removesuffix("pkg/mine.py")
        monkeypatch.syspath_prepend(f"{folder}site-packages")
        sys.modules.pop("mine", None)
        return sources_key(importlib.import_module("mine").Mine)

    assert key("f = 1\n") == key("f = 2\n")
    sys.modules.pop("mine")


def test_finding_sources_imports_nothing(package):
    files = {
        "pkg/__init__.py": "",
        "pkg/mine.py": f"def late():\n    from pkg.loud import f\n{PLAIN}",
        "pkg/loud.py": "raise SystemExit\n",
    }
    package(files)
    assert "pkg.loud" not in sys.modules


def test_built_in_detectors_stand_on_few_files_and_not_on_the_public_face():
    for name in registry.names("detectors"):
        module = sys.modules[registry.load("detectors", name).__module__]
        files = own_sources(module)
        assert "oodbench" not in files
        assert not any(one.startswith("oodbench.runs") for one in files)
    refine = own_sources(sys.modules["oodbench.detectors.jem_refine"])
    assert {"oodbench.jem.refine", "oodbench.jem.sampler"} <= set(refine)


# --- code without a file


def notebook(cell, before=""):
    """Returns the key of the class that a cell of a notebook defines."""
    space = {"__name__": "notebook", "dataclass": dataclass}
    exec(before, space)
    exec(cell, space)
    return sources_key(space["Mine"])


CELL = """
@dataclass
class Mine:
    k: int = 5
    def score(self, x):
        return helper(x) + 1 if x in {"a", "b", "c"} else [y for y in x]
    @property
    def half(self):
        return FACTOR
    @staticmethod
    def other():
        return (lambda: 3)()
"""
BEFORE = "FACTOR = 2\ndef helper(x):\n    return inner(x)\ndef inner(x): return x\n"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("+ 1", "+ 2"),
        ("k: int = 5", "k: int = 6"),
        ("for y in x", "for y in -x"),
        ("return FACTOR", "return -FACTOR"),
        ("lambda: 3", "lambda: 4"),
        ("FACTOR = 2", "FACTOR = 3"),
        ("helper(x):\n", "helper(x, z=1):\n"),
        ("inner(x): return x", "inner(x): return 2 * x"),
        ('"c"', '"d"'),
    ],
)
def test_changed_code_of_a_notebook_changes_the_key(old, new):
    assert notebook(CELL, BEFORE) == notebook(CELL, BEFORE)
    changed = notebook(CELL.replace(old, new), BEFORE.replace(old, new))
    assert changed != notebook(CELL, BEFORE)


def test_comments_and_blank_lines_of_a_notebook_change_nothing():
    assert notebook("\n\n# a comment\n" + CELL, BEFORE) == notebook(CELL, BEFORE)


def test_a_key_is_the_same_in_every_process(tmp_path):
    code = f"""
import sys
from dataclasses import dataclass
from oodbench.base.sources import sources_key
space = {{"__name__": "notebook", "dataclass": dataclass}}
exec({BEFORE + CELL!r}, space)
print(sources_key(space["Mine"]))
"""
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
            cwd=tmp_path,
            timeout=60,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(found) == 1

import re
import sys
from importlib.metadata import EntryPoint

import pytest

from oodbench import InputError
from oodbench.base import registry


class FakeDist:
    def __init__(self, name):
        self.name = name


class FakeEntry:
    def __init__(self, name, package, target):
        self.name, self.dist, self.value = name, FakeDist(package), f"{package}:thing"
        self.target = target

    def load(self):
        if isinstance(self.target, BaseException):
            raise self.target
        return self.target


@pytest.fixture
def plugins(monkeypatch):
    def install(*entries):
        registry._plugins.cache_clear()
        monkeypatch.setattr(registry, "entry_points", lambda group: entries)

    yield install
    registry._plugins.cache_clear()


def test_a_plugin_is_loaded_by_name(plugins):
    plugins(FakeEntry("a", "one", 1), FakeEntry("b", "two", 2))
    assert registry.load("detectors", "b") == 2
    assert registry.names("detectors") == ["a", "b"]


def test_an_unknown_name_suggests_the_nearest(plugins):
    plugins(FakeEntry("energy", "one", 1), FakeEntry("msp", "one", 1))
    with pytest.raises(InputError, match=r"no detector 'enrgy'; did you mean 'energy'"):
        registry.load("detectors", "enrgy")


def test_two_plugins_of_one_name_are_refused_naming_both_packages(plugins):
    plugins(FakeEntry("a", "one", 1), FakeEntry("a", "two", 2), FakeEntry("b", "x", 3))
    with pytest.raises(InputError, match=r"called 'a': one .* and two "):
        registry.load("detectors", "a")
    assert registry.load("detectors", "b") == 3


@pytest.mark.parametrize(
    "fault", [ImportError("no module 'x'"), SyntaxError("bad"), SystemExit(3)]
)
def test_a_plugin_that_fails_to_import_is_listed_with_its_reason(plugins, fault):
    plugins(FakeEntry("bad", "pack", fault), FakeEntry("good", "pack", 1))
    bad, good = registry.listings("detectors", loaded=True)
    assert re.search(rf"'bad' of package pack .*{type(fault).__name__}", bad.fault)
    assert good.fault == ""
    assert registry.load("detectors", "good") == 1


def test_an_interrupt_while_importing_is_not_swallowed(plugins):
    plugins(FakeEntry("bad", "pack", KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        registry.load("detectors", "bad")


def test_listing_does_not_load(plugins):
    plugins(FakeEntry("bad", "pack", ImportError("never")))
    assert registry.listings("detectors") == [registry.Listing("bad", "pack", "")]


# --- entry points that name a package


@pytest.fixture
def package(tmp_path, monkeypatch, plugins):
    """Writes a package of some modules and installs its entry point."""

    def write(**modules):
        folder = tmp_path / "own_plugins"
        folder.mkdir()
        (folder / "__init__.py").touch()
        for name, code in modules.items():
            (folder / f"{name}.py").write_text(code)
        monkeypatch.syspath_prepend(str(tmp_path))
        plugins(EntryPoint("all", "own_plugins", "oodbench.any"))

    yield write
    for name in [name for name in sys.modules if name.startswith("own_plugins")]:
        del sys.modules[name]


def test_the_modules_of_a_package_are_listed_without_being_imported(package):
    package(one="1 / 0", two="1 / 0", _shared="1 / 0")
    assert registry.names("datasets") == ["one", "two"]
    assert not [name for name in sys.modules if name.startswith("own_plugins.")]


def test_loading_one_module_imports_no_other(package):
    package(one="def one(argument): return argument + '!'", two="1 / 0")
    assert registry.load("datasets", "one")("a") == "a!"
    assert registry.load("models", "one")("b") == "b!"
    with pytest.raises(registry.PluginError, match=r"'two' .*: ZeroDivisionError"):
        registry.load("datasets", "two")


def test_a_module_without_its_function_is_one_sentence(package):
    package(one="def two(argument): pass")
    with pytest.raises(registry.PluginError, match="has no attribute 'one'"):
        registry.load("datasets", "one")


def test_the_detector_of_a_module_is_its_one_public_class_that_scores(package):
    package(
        one="from own_plugins.two import Other\n"
        "class _Base:\n    def score(self): ...\n"
        "class Result: ...\n"
        "class One(_Base): ...\n",
        two="class Other:\n    def score(self): ...\nclass Another(Other): ...\n",
        three="",
    )
    assert registry.load("detectors", "one").__name__ == "One"
    message = "must define one public class with a method score; it defines "
    for name, found in (("two", "Other, Another"), ("three", "none")):
        with pytest.raises(registry.PluginError, match=message + found):
            registry.load("detectors", name)


def test_a_name_in_a_package_can_clash_with_another(tmp_path, plugins, monkeypatch):
    (tmp_path / "own_plugins").mkdir()
    (tmp_path / "own_plugins" / "__init__.py").touch()
    (tmp_path / "own_plugins" / "one.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    package = EntryPoint("all", "own_plugins", "oodbench.any")
    plugins(package, FakeEntry("one", "rival", 1))
    with pytest.raises(InputError, match=r"called 'one': .*own_plugins\.one.* rival "):
        registry.load("datasets", "one")


@pytest.mark.parametrize("value", ["not_there", "not_there.at_all", "json.decoder"])
def test_an_entry_point_that_names_no_package_is_listed_with_its_reason(plugins, value):
    plugins(EntryPoint("all", value, "oodbench.any"))
    assert registry.names("datasets") == ["all"]
    if value != "json.decoder":  # a module, which whoever opens it refuses
        (one,) = registry.listings("datasets", loaded=True)
        assert "ModuleNotFoundError" in one.fault


@pytest.mark.parametrize("kind", registry.KINDS)
def test_every_built_in_plugin_loads(kind):
    built_in = [
        o for o in registry.listings(kind, loaded=True) if o.package == "oodbench"
    ]
    assert built_in
    assert not [one for one in built_in if one.fault]

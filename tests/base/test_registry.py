import re

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


@pytest.mark.parametrize("kind", registry.KINDS)
def test_every_built_in_plugin_loads(kind):
    built_in = [
        o for o in registry.listings(kind, loaded=True) if o.package == "oodbench"
    ]
    assert built_in
    assert not [one for one in built_in if one.fault]

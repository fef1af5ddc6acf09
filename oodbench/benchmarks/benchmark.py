"""A benchmark as a file: a study whose section `protocol` fixes what numbers mean."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from oodbench.base.errors import InputError, reason
from oodbench.base.names import listed
from oodbench.base.registry import unknown
from oodbench.data.dataset import ROLES
from oodbench.metrics.conventions import FIGURES, Rules

SHIPPED = files(__package__) / "shipped"
SETS = ("in", "out", "protocol")
PREPROCESSING = ("mean", "std")
"""Options for networks whose files do not say how they take pixels."""
KINDS = {
    "str": (str, "a text"),
    "int": (int, "a whole number"),
    "bool": (bool, "true or false"),
    "tuple[str, ...]": (list, "a list"),
    "Mapping[str, int]": (dict, "a table"),
}
"""What a key of the section `protocol` takes in TOML, by the type of the field."""


@dataclass(frozen=True)
class Member:
    """One set of a benchmark."""

    label: str
    role: str
    """`in`, or the group that it belongs to, such as near."""
    spec: str
    """What opens it."""
    is_substitute: bool = False
    """Whether the user named another set in its place."""

    @property
    def text(self) -> str:
        """The set as `oodbench run` takes it."""
        is_plain = self.label == self.spec
        named = self.spec if is_plain else f"{self.label}={self.spec}"
        return named if self.role == "in" else f"{self.role}={named}"


@dataclass(frozen=True)
class Benchmark:
    """The sets of a benchmark and the rules of its numbers."""

    name: str
    inside: Member
    outside: tuple[Member, ...]
    options: Mapping[str, Any]
    """Other options of `oodbench run`, such as mean and std."""
    title: str
    source: str
    positive: str
    threshold: str
    area: str
    figures: tuple[str, ...]
    """The metrics that are reported."""
    means: tuple[str, ...]
    """Roles whose sets are averaged, or `all`."""
    draws: int = 1
    """How many times OOD images are drawn."""
    images_per_draw: int = 0
    """OOD images of a draw, without replacement; 0 for all."""
    errors: bool = False
    """Whether wrong predictions are detected, too."""
    images: Mapping[str, int] = field(default_factory=dict)
    """The number of images of each set, where it is known."""
    random: tuple[str, ...] = ()
    """Sets that everybody draws anew."""
    validation: tuple[str, ...] = ()
    """Sets on which settings may be chosen; on the val split where there is one."""
    notes: tuple[str, ...] = ()

    @property
    def rules(self) -> Rules:
        """How metrics are computed."""
        return Rules(self.positive, self.threshold, self.area)

    @property
    def usual(self) -> tuple[tuple[float, ...], ...] | None:
        """Mean and deviation of its networks; None if it states none."""
        found = [self.options.get(key) for key in PREPROCESSING]
        if None in found:
            return None
        return tuple(tuple(map(float, listed(each))) for each in found)

    @property
    def others(self) -> dict[str, Any]:
        """The options that are not about preprocessing."""
        return {k: v for k, v in self.options.items() if k not in PREPROCESSING}

    @property
    def shifted(self) -> list[Member]:
        """The sets that join the in-distribution set in full-spectrum figures."""
        return [each for each in self.outside if each.role == "covariate"]

    @property
    def sought(self) -> list[Member]:
        """The OOD sets."""
        return [each for each in self.outside if each.role != "covariate"]

    def group(self, mean: str) -> list[str]:
        """Returns the labels of the sets that a mean is over."""
        return [each.label for each in self.sought if mean in ("all", each.role)]


def names() -> list[str]:
    """Returns the names of the shipped benchmarks, sorted."""
    found = (Path(each.name) for each in SHIPPED.iterdir())
    return sorted(each.stem for each in found if each.suffix == ".toml")


def read(name: str, replaced: Iterable[str] = ()) -> Benchmark:
    """Returns a shipped benchmark by its name, or one from a TOML file.

    Args:
        name: The name or the file.
        replaced: `LABEL=SET` for each set in whose place another one is taken.

    Raises:
        InputError: There is none, or something in it is missing, unknown or wrong.
    """
    is_file = name.endswith(".toml")
    if not is_file and name not in names():
        raise InputError(unknown("benchmark", name, names()))
    place = Path(name) if is_file else SHIPPED / f"{name}.toml"
    try:
        content = tomllib.loads(place.read_text("utf-8"))
        found = _benchmark(Path(name).stem if is_file else name, content)
        return _substituted(found, replaced)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{name} cannot be read: {reason(error)}.") from error
    except InputError as error:
        raise InputError(f"{name}: {error}") from error


def _benchmark(name: str, content: Mapping[str, Any]) -> Benchmark:
    missing = [key for key in SETS if key not in content]
    if missing:
        raise InputError(f"a benchmark needs {' and '.join(missing)}.")
    for key in ("out", "protocol"):
        if not isinstance(content[key], Mapping):
            raise InputError(f"{key} must be a table.")
    inside, *others = _members("in", content["in"])
    if others:
        raise InputError("in must be one set.")
    found = Benchmark(
        name=name,
        inside=inside,
        outside=tuple(
            each
            for role, sets in content["out"].items()
            for each in _members(role, sets)
        ),
        options={key: value for key, value in content.items() if key not in SETS},
        **_section(content["protocol"]),
    )
    _check(found)
    return found


def _section(content: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the section `protocol` by the names of fields, with the right types."""
    known = {one.name: one for one in fields(Benchmark) if one.type in KINDS}
    del known["name"]
    found = {}
    for key, value in content.items():
        field_ = known.get(key.replace("-", "_"))
        if field_ is None:
            raise InputError(unknown("key of protocol", key, known))
        kind, words = KINDS[str(field_.type)]
        if type(value) is not kind:
            raise InputError(f"{key} of protocol must be {words}, not {value!r}.")
        found[field_.name] = tuple(content[key]) if kind is list else value
    for key, each in known.items():
        if _is_required(each) and key not in found:
            raise InputError(f"its section protocol has no {key}.")
    return found


def _is_required(one: Field[Any]) -> bool:
    return one.default is MISSING and one.default_factory is MISSING


def _check(found: Benchmark) -> None:
    """Refuses rules and names that there are not."""
    Rules(found.positive, found.threshold, found.area)
    labels = [found.inside.label, *(each.label for each in found.outside)]
    roles = {each.role for each in found.outside}
    for noun, names_, known in (
        ("metric of benchmarks", found.figures, FIGURES),
        ("role", roles, ROLES),
        ("mean", found.means, ["all", *roles]),
        ("set", [*found.random, *found.images], labels),
    ):
        for name in names_:
            if name not in known:
                raise InputError(unknown(noun, name, known))
    for label in labels:
        if labels.count(label) > 1:
            raise InputError(f"two sets are called {label!r}.")
    if found.draws < 1:
        raise InputError(f"draws must be at least 1, not {found.draws}.")


def _substituted(found: Benchmark, replaced: Iterable[str]) -> Benchmark:
    """Returns a benchmark with other sets in place of some."""
    given = dict(_pair(text) for text in replaced)
    known = [one.label for one in (found.inside, *found.outside)]
    for label in given:
        if label not in known:
            raise InputError(unknown("set", label, known))

    def exchanged(one: Member) -> Member:
        spec = given.get(one.label)
        return one if spec is None else replace(one, spec=spec, is_substitute=True)

    inside = exchanged(found.inside)
    outside = [
        replace(one, spec=one.spec.replace("{in}", inside.spec))
        for one in map(exchanged, found.outside)
    ]
    validation = [spec.replace("{in}", inside.spec) for spec in found.validation]
    return replace(
        found, inside=inside, outside=tuple(outside), validation=tuple(validation)
    )


def _members(role: str, sets: Any) -> Iterator[Member]:
    """Yields the sets of a role, from texts such as `NAME=SET` or a table of them."""
    if isinstance(sets, Mapping):
        sets = [f"{label}={spec}" for label, spec in sets.items()]
    for text in [sets] if isinstance(sets, str) else sets:
        label, _, spec = text.partition("=")
        yield Member(label, role, spec or label)


def _pair(text: str) -> tuple[str, str]:
    label, _, spec = text.partition("=")
    if not (label and spec):
        raise InputError(f"--set {text!r} sets nothing; write LABEL=SET.")
    return label, spec

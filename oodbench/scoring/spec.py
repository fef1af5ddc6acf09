"""Opens detectors by name, such as `energy:temperature=2`, file, or instance."""

from __future__ import annotations

import itertools
import json
import re
import typing
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, NamedTuple

from oodbench.base import registry
from oodbench.base.errors import InputError
from oodbench.base.files import Record
from oodbench.base.registry import PluginError
from oodbench.base.sources import sources_key
from oodbench.base.tuning import PROTOCOLS
from oodbench.base.user_code import load_object
from oodbench.scoring.batch import Need
from oodbench.scoring.chain import Chain
from oodbench.scoring.detector import Detector

Value = bool | int | float | str | None

_IN_FILE = re.compile(r"(.+\.py):([^:=]+)((?::.*)?)", re.DOTALL)
_IN_MODULE = re.compile(r"([^:]+\.[^:]+):([^:=]+)((?::.*)?)", re.DOTALL)
_TAGGED = re.compile(r"(.+)@([\w-]*)", re.DOTALL)


@dataclass(frozen=True)
class Tuned:
    """A detector whose parameters a protocol has chosen."""

    spec: str
    """Without the protocol."""
    how: Record
    """`protocol` and, where known, `candidates`, their number, and `sets`."""

    def __str__(self) -> str:
        return f"{self.spec}@{self.how['protocol']}"


class Entry(NamedTuple):
    """A detector with the names that results use."""

    label: str
    """Its name, every parameter that differs from the default, and how it is tuned."""
    name: str
    parameters: dict[str, Value]
    detector: Detector
    kinds: tuple[type, ...]
    """Its class; of a chain, the classes of its parts."""
    tuned: Record | None = None
    """As in `Tuned.how`; None where nothing says how the parameters were chosen."""


def open_detector(spec: str | Detector | Tuned) -> Entry:
    """Returns a fresh detector, not fitted, with its label.

    Args:
        spec: A name with parameters, `NAME:PARAMETER=VALUE:PARAMETER=VALUE`, parameters
            in upper or lower case. The name is that of a plug-in, or `file.py:Class`,
            or `package.module:Class`. Shapings before a detector are separated by +:
            `react:percentile=95+knn`. At the end may stand the protocol by which the
            parameters were chosen: `knn:k=5@ood-validation`. Or an instance, of which a
            copy is made; its name is that of its class.

    Raises:
        InputError: Unknown name or parameter, or a value that the detector refuses.
        PluginError: It is no detector, or fails without any parameter.
    """
    if isinstance(spec, Detector):
        name = type(spec).__name__
        _check_kind(name, type(spec))
        with registry.foreign(f"The detector {name!r} cannot be copied:"):
            return _entry(name, replace(typing.cast("Any", spec)))
    if isinstance(spec, Tuned):
        entry = open_detector(spec.spec)
        label = f"{entry.label}@{spec.how['protocol']}"
        return entry._replace(label=label, tuned=spec.how)
    plain, protocol = _untagged(spec)
    if protocol:
        return open_detector(Tuned(plain, {"protocol": protocol}))
    if len(parts := _parts(spec)) > 1:
        return _chain(spec, [open_detector(part) for part in parts])
    name, kind, settings = _kind(spec)
    _check_kind(name, kind)
    with registry.foreign(f"The detector {spec!r} cannot be made:"):
        given = _parameters(name, kind, settings)
        try:
            detector = kind(**given)
        except (TypeError, ValueError) as error:
            if not given:
                raise
            raise InputError(
                f"The detector {spec!r} cannot be made: {error}."
            ) from error
        return _entry(name, detector)


def expanded(spec: str) -> list[str]:
    """Returns the detectors of a sweep: `knn:k=1|5` is `knn:k=1` and `knn:k=5`.

    Several swept parameters give every combination of their values.
    """
    plain, protocol = _untagged(spec)
    tag = f"@{protocol}" if protocol else ""
    swept = [_swept(part) for part in _parts(plain)]
    return ["+".join(chosen) + tag for chosen in itertools.product(*swept)]


def _untagged(spec: str) -> tuple[str, str]:
    """Returns a detector's text and the protocol behind its @, empty without one.

    An @ within a path stays: behind it there is a point or a colon.
    """
    if not (match := _TAGGED.fullmatch(spec)):
        return spec, ""
    plain, protocol = match.groups()
    if protocol not in PROTOCOLS:
        raise InputError(registry.unknown("tuning protocol", protocol, PROTOCOLS))
    return plain, protocol


def _swept(part: str) -> list[str]:
    """Returns every combination of the values in one part of a chain."""
    pieces = [
        [name + equals + value for value in values.split("|")] if equals else [name]
        for name, equals, values in (text.partition("=") for text in part.split(":"))
    ]
    return [":".join(chosen) for chosen in itertools.product(*pieces)]


def _parts(spec: str) -> list[str]:
    """Returns the parts of a chain; a + within a number or a file's name stays."""
    parts: list[str] = []
    for text in spec.split("+"):
        if parts and text.partition(":")[0] not in registry.names("detectors"):
            parts[-1] += f"+{text}"
        else:
            parts.append(text)
    return parts


def _chain(spec: str, parts: list[Entry]) -> Entry:
    names = [part.name for part in parts]
    if len(set(names)) < len(names):
        raise InputError(f"{spec} names a detector twice; name each once.")
    *shapings, scorer = [part.detector for part in parts]
    try:
        chain = Chain(tuple(shapings), scorer)
    except ValueError as error:
        raise InputError(f"The detector {spec!r} cannot be made: {error}.") from error
    return Entry(
        "+".join(part.label for part in parts),
        "+".join(names),
        {f"{p.name}.{key}": v for p in parts for key, v in p.parameters.items()},
        chain,
        tuple(type(part.detector) for part in parts),
    )


def installed_sources() -> dict[str, str]:
    """Returns a hash of the sources of every detector that can be loaded, by name."""
    sources = {}
    for one in registry.listings("detectors", loaded=True):
        if not one.fault and isinstance(
            kind := registry.load("detectors", one.name), type
        ):
            sources[one.name] = sources_key(kind)
    return sources


def _kind(spec: str) -> tuple[str, Any, list[str]]:
    """Returns a detector's name, what should be its class, and its settings."""
    name, *settings = spec.split(":")
    if name not in registry.names("detectors"):
        match = _IN_FILE.fullmatch(spec) or _IN_MODULE.fullmatch(spec)
        if match:
            where, kind, rest = match.groups()
            loaded = load_object(where, kind)
            return f"{where}:{kind}", loaded, rest.split(":")[1:]
        if spec.endswith(".py"):
            raise InputError(f"{spec} names no class; write {spec}:CLASS.")
    return name, registry.load("detectors", name), settings


def _check_kind(name: str, kind: object) -> None:
    if not (isinstance(kind, type) and issubclass(kind, Detector)):
        raise PluginError(f"The plug-in {name!r} is not a class derived from Detector.")
    if not is_dataclass(kind):
        raise PluginError(f"The detector {name!r} is not a dataclass; add @dataclass.")


def _entry(name: str, detector: Detector) -> Entry:
    _check_declared(name, detector)
    known = [one for one in fields(typing.cast("Any", detector)) if one.init]
    parameters = {one.name: getattr(detector, one.name) for one in known}
    json.dumps(parameters)  # as the results will hold them
    changed = [
        f"{one.name}={parameters[one.name]}"
        for one in known
        if parameters[one.name] != one.default
    ]
    label = ":".join([name, *changed])
    return Entry(label, name, parameters, detector, (type(detector),))


def _check_declared(name: str, detector: Detector) -> None:
    declared = {
        "needs": isinstance(detector.needs, Need),
        "objectives": isinstance(detector.objectives, tuple)
        and all(callable(o) and isinstance(o, Hashable) for o in detector.objectives),
        "fitted_on": detector.fitted_on in (None, "train", "val"),
        "control": isinstance(detector.control, bool),
    }
    for what, is_right in declared.items():
        if not is_right:
            value = getattr(detector, what)
            raise PluginError(
                f"The detector {name!r} declares {what} = {value!r}; see "
                "oodbench.Detector for what it may be."
            )


def _parameters(name: str, kind: Any, settings: list[str]) -> dict[str, Value]:
    types = typing.get_type_hints(kind)
    known = {one.name: types[one.name] for one in fields(kind) if one.init}
    return dict(_setting(name, text, known) for text in settings)


def _setting(name: str, text: str, known: Mapping[str, Any]) -> tuple[str, Value]:
    given, equals, value = text.partition("=")
    if not equals:
        raise InputError(
            f"{name}:{text} sets nothing; write {name}:PARAMETER=VALUE "
            f"with one of: {', '.join(known) or 'none, it has no parameters'}."
        )
    alike = [one for one in known if one.lower() == given.lower()]
    if given not in known and len(alike) != 1:
        raise InputError(registry.unknown(f"parameter of {name}", given, known))
    field = given if given in known else alike[0]
    return field, _value(f"{name}:{field}", value, known[field])


def _value(where: str, text: str, kind: type) -> Value:
    kinds = typing.get_args(kind)  # of `float | None`, say
    if optional := type(None) in kinds:
        if text.lower() == "none":
            return None
        kind = next(one for one in kinds if one is not type(None))
    if kind is bool:
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
        raise InputError(f"{where} must be true or false, not {text!r}.")
    try:
        if kind in (int, float):
            return kind(text)
    except ValueError:
        noun = "a whole number" if kind is int else "a number"
        noun += " or none" if optional else ""
        raise InputError(f"{where} must be {noun}, not {text!r}.") from None
    return text

"""Opens detectors by what the command line calls them: `energy:temperature=2`."""

from __future__ import annotations

import json
import typing
from collections.abc import Hashable
from dataclasses import Field, fields, is_dataclass
from typing import Any, NamedTuple

from oodbench.base import registry
from oodbench.base.errors import InputError
from oodbench.base.registry import PluginError
from oodbench.base.sources import sources_key
from oodbench.scoring.detector import Detector
from oodbench.scoring.outputs import Need

Value = bool | int | float | str | None


class Entry(NamedTuple):
    """A detector with what the record says of it."""

    label: str
    """Its name and every parameter that differs from the default."""
    name: str
    parameters: dict[str, Value]
    detector: Detector


def open_detector(spec: str) -> Entry:
    """Returns a fresh detector for `NAME` or `NAME:PARAMETER=VALUE:PARAMETER=VALUE`.

    Raises:
        InputError: Unknown name or parameter, or a value that the detector refuses.
        PluginError: It is no detector, or fails without any parameter.
    """
    name, *settings = spec.split(":")
    kind = registry.load("detectors", name)
    if not (isinstance(kind, type) and issubclass(kind, Detector)):
        raise PluginError(f"The plug-in {name!r} is not a class derived from Detector.")
    if not is_dataclass(kind):
        raise PluginError(f"The detector {name!r} is not a dataclass; add @dataclass.")
    known = {field.name: field for field in fields(kind) if field.init}
    with registry.foreign(f"The detector {spec!r} cannot be made:"):
        types = typing.get_type_hints(kind)
        given = dict(_setting(name, text, known, types) for text in settings)
        detector = _make(kind, spec, given)
        _check_declared(name, detector)
        parameters = {field: getattr(detector, field) for field in known}
        json.dumps(parameters)  # as the results will hold them
    changed = [
        f"{field}={parameters[field]}"
        for field in known
        if parameters[field] != known[field].default
    ]
    return Entry(":".join([name, *changed]), name, parameters, detector)


def _make(kind: type[Detector], spec: str, given: dict[str, Value]) -> Detector:
    try:
        return kind(**given)
    except (TypeError, ValueError) as error:
        if not given:
            raise
        raise InputError(f"The detector {spec!r} cannot be made: {error}.") from error


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
                "oodbench.scoring.detector.Detector for what it may be."
            )


def installed_sources() -> dict[str, str]:
    """Returns a hash of the source of every detector that can be loaded, by name."""
    sources = {}
    for one in registry.listings("detectors", loaded=True):
        if not one.fault and isinstance(
            kind := registry.load("detectors", one.name), type
        ):
            sources[one.name] = sources_key(kind)
    return sources


def _setting(
    name: str, text: str, known: dict[str, Field[Any]], types: dict[str, Any]
) -> tuple[str, Value]:
    field, equals, value = text.partition("=")
    if not equals:
        raise InputError(
            f"{name}:{text} sets nothing; write {name}:PARAMETER=VALUE "
            f"with one of: {', '.join(known) or 'none, it has no parameters'}."
        )
    if field not in known:
        raise InputError(registry.unknown(f"parameter of {name}", field, known))
    return field, _value(f"{name}:{field}", value, types[field])


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

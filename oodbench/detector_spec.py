"""Opens detectors by what the command line calls them: `energy:temperature=2`."""

from __future__ import annotations

import typing
from dataclasses import Field, fields, is_dataclass
from typing import Any, NamedTuple

from oodbench import registry
from oodbench.detector import Detector
from oodbench.errors import InputError

Value = bool | int | float | str


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
    """
    name, *settings = spec.split(":")
    kind = registry.load("detectors", name)
    if not (isinstance(kind, type) and issubclass(kind, Detector)):
        raise InputError(f"The plug-in {name!r} is not a class derived from Detector.")
    if not is_dataclass(kind):
        raise InputError(f"The detector {name!r} is not a dataclass; add @dataclass.")
    known = {field.name: field for field in fields(kind) if field.init}
    types = typing.get_type_hints(kind)
    given = dict(_setting(name, text, known, types) for text in settings)
    try:
        detector = kind(**given)
    except (TypeError, ValueError) as error:
        raise InputError(f"The detector {spec!r} cannot be made: {error}.") from error
    parameters = {field: getattr(detector, field) for field in known}
    changed = [
        f"{field}={parameters[field]}"
        for field in known
        if parameters[field] != known[field].default
    ]
    return Entry(":".join([name, *changed]), name, parameters, detector)


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
    if kind is bool:
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
        raise InputError(f"{where} must be true or false, not {text!r}.")
    try:
        if kind in (int, float):
            return kind(text)
    except ValueError:
        noun = "a whole number" if kind is int else "a number"
        raise InputError(f"{where} must be {noun}, not {text!r}.") from None
    return text

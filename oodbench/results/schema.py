"""What a stored record must hold before it is used: files come from anywhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def is_text(value: object) -> bool:
    """Returns whether a value is a text."""
    return isinstance(value, str)


def is_flag(value: object) -> bool:
    """Returns whether a value is true or false."""
    return isinstance(value, bool)


def is_count(value: object) -> bool:
    """Returns whether a value is a number of things, small enough for a float."""
    return type(value) is int and 0 <= value < 1 << 53


def is_count_or_none(value: object) -> bool:
    """Returns whether a value is a number of things, or None."""
    return value is None or is_count(value)


def is_number(value: object) -> bool:
    """Returns whether a value is a finite number that fits in a float."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < 1e300


def is_flag_or_none(value: object) -> bool:
    """Returns whether a value is true, false or None."""
    return value is None or is_flag(value)


def is_source(value: object) -> bool:
    """Returns whether a value describes where a model comes from."""
    return isinstance(value, dict) and is_text(value.get("place", ""))


def is_role(value: object) -> bool:
    """Returns whether a value is the role of a set; `in` is in-distribution."""
    return value in ("in", "near", "far", "covariate", "probe", "unstated")


Form = Mapping[str, "Form | Callable[[object], bool]"]
"""What a record must hold, by name; it may hold more."""

SET: Form = {
    "model": {
        "name": is_text,
        "key": is_text,
        "classes": lambda value: is_count_or_none(value) and value != 0,
        "density_head": is_flag_or_none,
    },
    "set": {
        "name": is_text,
        "key": is_text,
        "role": is_role,
        "images": is_count,
        "limit": is_count_or_none,
        "shared_images": is_count,
    },
}
"""The form of the record of a set's images; None is unknown."""

IMPORTED: Form = {"imported": {"file": is_text, "sha256": is_text}}
"""The form of a record of scores that another program computed."""

GRADE: Form = {"grade": {"series": is_text, "level": is_number, "scale": is_text}}
"""The form of the record of a set that has a place in a series."""

CELL: Form = {
    **SET,
    "run": {"finished": is_text},
    "detector": {"label": is_text, "key": is_text, "control": is_flag},
}
"""The form of the record of a detector's scores."""

COMPARED: Form = {
    "model": {"name": is_text, "key": is_text, "source": is_source},
    "inside": {"name": is_text, "key": is_text},
    "set": {"name": is_text, "key": is_text, "limit": is_count_or_none},
    "run": {"finished": is_text},
    "detector": {"label": is_text, "key": is_text, "name": is_text, "source": is_text},
}
"""The form of a cell that is compared with an earlier or later one."""


def fits(record: Any, form: Form) -> bool:
    """Returns whether a record holds everything that a form lists."""
    if not isinstance(record, dict):
        return False
    return all(
        name in record
        and (part(record[name]) if callable(part) else fits(record[name], part))
        for name, part in form.items()
    )

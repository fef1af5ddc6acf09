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


def is_float(value: object) -> bool:
    """Returns whether a value is a floating-point number, infinity and NaN included."""
    return isinstance(value, float)


def is_float_or_none(value: object) -> bool:
    """Returns whether a value is a floating-point number, or None."""
    return value is None or is_float(value)


def is_series(value: object) -> bool:
    """Returns whether a value is a list of finite numbers, not an empty one."""
    return isinstance(value, list) and bool(value) and all(map(is_number, value))


def is_interval(value: object) -> bool:
    """Returns whether a value is a list of two finite numbers."""
    return isinstance(value, list) and is_series(value) and len(value) == 2


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


_MODEL: Form = {
    "model": {"name": is_text, "key": is_text},
    "run": {"finished": is_text},
}
_DISTANCES: Form = {"distances": {"median": is_number}}
_REAL: Form = {
    "set": {"name": is_text, "split": is_text},
    "log_px": {"median": is_number},
}

DIAGNOSIS: Form = {
    **_MODEL,
    "model": {"name": is_text, "key": is_text, "classes": is_count},
    "real": _REAL,
    "chains": {
        "count": is_count,
        "states": is_count,
        "r_hat": is_float,
        "effective_samples": is_float,
        "r_hat_pixels": is_float_or_none,
        "effective_samples_pixels": is_float_or_none,
        "real_below_noise": is_number,
        "steps": is_series,
        "log_px_from_data": is_series,
        "log_px_from_noise": is_series,
    },
    "samples": {
        "classes": is_count,
        "effective_classes": is_number,
        "beside": {
            **_DISTANCES,
            "held_out": lambda value: value is None or fits(value, _DISTANCES),
        },
    },
    "log_z": lambda value: value is None or fits(value, {"interval": is_interval}),
}
"""The form of what `oodbench diagnose` writes."""

SAMPLED: Form = {**_MODEL, "chains": {"count": is_count, "start": is_text}}
"""The form of what `oodbench sample` writes about its samples."""


def fits(record: Any, form: Form) -> bool:
    """Returns whether a record holds everything that a form lists."""
    if not isinstance(record, dict):
        return False
    return all(
        name in record
        and (part(record[name]) if callable(part) else fits(record[name], part))
        for name, part in form.items()
    )

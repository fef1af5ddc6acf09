"""The text of numbers, the same in tables, plots and reports."""

from __future__ import annotations

import math

DIGITS = 2
"""Behind the point, of a number in %, where the user states no other number."""


def percent(share: float, digits: int = DIGITS) -> str:
    """Returns a share as a number of %.

    >>> percent(0.12345)
    '12.35'
    """
    return f"{100 * share:.{digits}f}"


def interval(low: float, high: float, digits: int = DIGITS) -> str:
    """Returns the ends of an interval of a share, in %.

    >>> interval(0.1, 0.2)
    '[10.00, 20.00]'
    """
    return f"[{percent(low, digits)}, {percent(high, digits)}]"


def with_deviation(mean: float, deviation: float, digits: int = DIGITS) -> str:
    """Returns a mean share and its deviation in %; the mean alone for NaN.

    >>> with_deviation(0.5, 0.01)
    '50.00 ± 1.00'
    """
    text = percent(mean, digits)
    return text if math.isnan(deviation) else f"{text} ± {percent(deviation, digits)}"


def points(difference: float, digits: int = DIGITS) -> str:
    """Returns a difference of two shares in points, with its sign.

    >>> points(-0.01234)
    '−1.23'
    """
    return minus(f"{100 * difference:+.{digits}f}")


def p_value(p: float) -> str:
    """Returns a p-value to three digits behind the point.

    >>> p_value(0.0004), p_value(0.0304)
    ('<0.001', '0.030')
    """
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def minus(text: str) -> str:
    """Returns the text of a number with a minus sign in place of the hyphen."""
    return text.replace("-", "−")

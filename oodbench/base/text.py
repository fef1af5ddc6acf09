"""Makes any text safe to show: one line, no control characters, not too long."""

from __future__ import annotations

NAME, NOTE = 100, 1000
"""Letters of a name and of a note in a table."""


def printable(text: str) -> str:
    r"""Returns a text on one line, with escapes for characters that cannot be seen.

    These are control characters (a terminal would obey them), marks that change the
    direction of reading, letters of no width, and lone surrogates.

    >>> print(printable("red\x1b[31m\n\u202egnp.exe"))
    red\x1b[31m \u202egnp.exe
    """
    line = " ".join(text.split())
    if line.isprintable():
        return line
    return "".join(
        letter
        if letter.isprintable()
        else letter.encode("unicode_escape").decode("ascii")
        for letter in line
    )


def short_note(text: str) -> str:
    """Returns a printable note; a long one loses its middle."""
    return short_name(text, NOTE)


def short_name(text: str, longest: int = NAME) -> str:
    """Returns a printable name; a long one loses its middle.

    >>> short_name("abcdefghij", longest=7)
    'abc…hij'
    """
    line = printable(text)
    if len(line) <= longest:
        return line
    half = longest // 2
    return f"{line[:half]}…{line[len(line) - (longest - 1 - half) :]}"

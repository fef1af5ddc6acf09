"""Makes any text harmless to show: one line, no control characters, not too long."""

from __future__ import annotations

NAME, NOTE = 100, 1000
"""Letters of a name and of a note in a table."""


def printable(text: str) -> str:
    r"""Returns a text on one line, what cannot be seen written as an escape.

    That is control characters (a terminal would obey them), marks that turn the
    direction of reading, letters of no width, and halves of letters.

    >>> print(printable("red\x1b[31m\n\u202egnp.exe"))
    red\x1b[31m \u202egnp.exe
    """
    line = " ".join(text.split())
    return "".join(
        letter
        if letter.isprintable()
        else letter.encode("unicode_escape").decode("ascii")
        for letter in line
    )


def short_note(text: str) -> str:
    """Returns a printable note, cut in its middle where it is long."""
    return short_name(text, NOTE)


def short_name(text: str, longest: int = NAME) -> str:
    """Returns a printable name, cut in its middle where it is long.

    >>> short_name("abcdefghij", longest=7)
    'abc…hij'
    """
    line = printable(text)
    if len(line) <= longest:
        return line
    half = longest // 2
    return f"{line[:half]}…{line[len(line) - (longest - 1 - half) :]}"

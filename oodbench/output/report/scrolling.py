"""Puts wide content into a box that scrolls, so that the page does not."""

from oodbench.output.formats.html import escape


def scrolling(content: str, label: str, kind: str = "numbers") -> str:
    """Returns HTML in a box that scrolls by touch, mouse and keyboard.

    Args:
        content: HTML.
        label: Its description for screen readers.
        kind: numbers, texts or figure.
    """
    return (
        f'<div class="scroll {kind}" role="region" tabindex="0" '
        f'aria-label="{escape(label)}">\n{content}</div>\n'
    )

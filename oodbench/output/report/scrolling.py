"""Lets what is wide scroll in its own box, so that the page need not."""

from oodbench.output.formats.html import escape


def scrolling(content: str, label: str, kind: str = "numbers") -> str:
    """Returns HTML in a box that scrolls by touch, mouse and keyboard.

    Args:
        content: HTML.
        label: What those hear who cannot see it.
        kind: numbers, texts or figure.
    """
    return (
        f'<div class="scroll {kind}" role="region" tabindex="0" '
        f'aria-label="{escape(label)}">\n{content}</div>\n'
    )

"""Tells where gradients are masked, so that attacks by gradients say too much."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

CLEARLY = 0.01
"""By how much a black-box attack must do better; one image may fall by luck."""


def masked(
    what: str,
    eps: Sequence[float],
    left: Mapping[str, Sequence[float]],
    black_box: Container[str],
) -> str:
    """Returns a sentence where an attack without gradients is the strongest.

    It knows less than a gradient attack and should never do clearly better: Athalye,
    Carlini and Wagner, Obfuscated Gradients Give a False Sense of Security, ICML 2018,
    arXiv 1802.00420.

    Args:
        what: What was attacked.
        eps: The radii, `[E]`.
        left: What each attack leaves of an accuracy or an AUROC, `[E]`.
        black_box: The names of those that use no gradient.

    Returns:
        The sentence, of the radius with the greatest difference; empty if there is
        none, or one of the two kinds of attacks is missing.

    >>> masked("it", [0.1], {"PGD": [0.5], "square": [0.3]}, {"square"})[:30]
    'Gradients of it are masked: at'
    """
    blind = {name: rates for name, rates in left.items() if name in black_box}
    seeing = [rates for name, rates in left.items() if name not in black_box]
    if not blind or not seeing:
        return ""
    places = range(len(eps))
    best = [min(rates[place] for rates in seeing) for place in places]
    apart, place, name = max(
        (best[place] - rates[place], place, name)
        for name, rates in blind.items()
        for place in places
    )
    if apart <= CLEARLY:
        return ""
    return (
        f"Gradients of {what} are masked: at eps {eps[place]:.4g} the {name} attack, "
        f"which uses none of them, leaves {100 * blind[name][place]:.1f} %, and those "
        f"that do leave {100 * best[place]:.1f} %."
    )

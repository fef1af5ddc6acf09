"""The texts of a zero-shot classifier: names of classes, templates and other words."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from oodbench.base.errors import InputError, reason
from oodbench.base.files import key_of
from oodbench.base.registry import unknown
from oodbench.data.checked_split import load_split
from oodbench.data.dataset import Shape
from oodbench.data.spec import open_dataset

TEMPLATE = "a photo of a {}"
NOUN, ADJECTIVE = "the nice {}", "This is a {} photo"
"""The templates of negative texts in the code of NegLabel's authors."""


@dataclass(frozen=True)
class Prompts:
    """What a zero-shot classifier reads, and how words are mined."""

    classes: tuple[str, ...]
    """Names in the order of the logits."""
    templates: tuple[str, ...]
    """With {} for the name; the embeddings of several are averaged."""
    nouns: tuple[str, ...] = ()
    """Words of which negative texts are mined."""
    adjectives: tuple[str, ...] = ()
    """Likewise; nouns and adjectives are mined apart."""
    share: float = 0.15
    """Of the words that become negative texts: those least like the classes."""
    quantile: float = 0.95
    """Over classes, of the cosine of a word with them; the similarity of the word."""

    @classmethod
    def read(cls, arguments: Mapping[str, str]) -> Prompts:
        """Returns what the arguments of `--arg` mean.

        Args:
            arguments: `classes` is a file with one name per line, names separated by
                commas, or a data set that has names; `template` a text, or a file with
                one per line; `nouns` and `adjectives` are files with one word per
                line; `share` and `quantile` numbers.

        Raises:
            InputError: There is no such argument, or it means nothing.
        """
        known = ["classes", "template", *(field.name for field in fields(cls)[2:])]
        for name in arguments:
            if name not in known:
                raise InputError(unknown("argument of openclip", name, known))
        if "classes" not in arguments:
            raise InputError(
                "a zero-shot classifier has the classes that you name: --arg "
                "classes=FILE with one per line, --arg classes=cat,dog, or --arg "
                "classes=SET for those of a data set."
            )
        return cls(
            _classes(arguments["classes"]),
            _templates(arguments.get("template", TEMPLATE)),
            nouns=_words(arguments.get("nouns")),
            adjectives=_words(arguments.get("adjectives")),
            share=_part("share", arguments),
            quantile=_part("quantile", arguments),
        )

    def record(self) -> str:
        """Returns what is stored, as JSON; of words their number and a hash."""
        words = {
            kind: f"{len(own)} words {key_of(own)[:16]}"
            for kind in ("nouns", "adjectives")
            if (own := getattr(self, kind))
        }
        return json.dumps({**asdict(self), **words})


def spoken(name: str) -> str:
    """Returns the name of a class or a word as a prompt has it.

    >>> spoken("sports_car, sport car")
    'sports car'
    """
    return name.partition(",")[0].replace("_", " ").strip()


def _classes(text: str) -> tuple[str, ...]:
    if Path(text).is_file():
        names = _lines(Path(text))
    elif "," in text:
        names = tuple(part.strip() for part in text.split(","))
    else:
        names = load_split(open_dataset(text), "test", Shape(3, 32, 32)).class_names
        if not names or all(re.fullmatch(r"n\d{8}", name) for name in names):
            raise InputError(
                f"{text} has no names of its classes that a text could have; give a "
                "file with one per line, --arg classes=FILE."
            )
    read = [*map(spoken, names)]
    wrong = next((one for one in read if not one or read.count(one) > 1), None)
    if wrong is not None:
        raise InputError(
            f"--arg classes={text} has an empty name, or {wrong!r} twice; what follows "
            "a comma in a name is left out."
        )
    return names


def _templates(text: str) -> tuple[str, ...]:
    templates = _lines(Path(text)) if Path(text).is_file() else (text,)
    for template in templates:
        if template.count("{}") != 1 or len(re.findall("[{}]", template)) != 2:
            raise InputError(
                f"The template {template!r} needs {{}} once, where the name stands."
            )
    return templates


def _words(file: str | None) -> tuple[str, ...]:
    return () if file is None else tuple(dict.fromkeys(_lines(Path(file))))


def _part(name: str, arguments: Mapping[str, str]) -> float:
    text = arguments.get(name, str(getattr(Prompts, name)))
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 < value <= 1:
        raise InputError(f"--arg {name} must be above 0 and at most 1, not {text!r}.")
    return value


def _lines(path: Path) -> tuple[str, ...]:
    """Returns the lines of a text file that are not empty."""
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({reason(error)}).") from error
    found = tuple(line.strip() for line in text.splitlines() if line.strip())
    if not found:
        raise InputError(f"{path} has no lines.")
    return found

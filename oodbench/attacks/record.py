"""The results of attacks on one network, as objects, JSON and rows of tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from oodbench.attacks.ball import Norm, eps_text
from oodbench.attacks.robust_accuracy import RobustAccuracy
from oodbench.attacks.trial import PairedTest
from oodbench.attacks.worst_case import WorstCase
from oodbench.base.files import (
    Record,
    folder_name,
    json_bytes,
    key_of,
    write_atomically,
)

SCHEMA = 2
ALL = "all attacks"

Rows = list[list[str]]


@dataclass(frozen=True, repr=False)
class Attacked:
    """The results of attacks on one network."""

    key: str
    """A hash of everything that decides the results."""
    norm: Norm
    model: Record
    """Name, fingerprint and settings of the network."""
    inside: Record
    """The in-distribution set."""
    outside: Sequence[Record]
    """The sets that were attacked to score as in-distribution."""
    run: Record
    """Versions, device and time; none of them decides a result."""
    robust_accuracy: Sequence[RobustAccuracy]
    """By target; none if the in-distribution set has no labels."""
    worst_case_auroc: Sequence[WorstCase]
    notes: Sequence[str]
    """What a reader of the numbers must know, in sentences."""

    def __repr__(self) -> str:
        """Returns the numbers in %, one line per target or detector."""
        lines = [f"{self.model['name']} on {self.inside['name']}, {self.norm}, in %"]
        rows = [
            *(
                (f"accuracy of {one.target['title']}", one.eps, one.accuracy)
                for one in self.robust_accuracy
            ),
            *(
                (f"AUROC of {one.detector}, {one.outside}", one.eps, one.auroc)
                for one in self.worst_case_auroc
            ),
        ]
        for name, eps, rates in rows:
            texts = _radii(eps, self)
            numbers = _line(name, rates)[1:]
            pairs = (" ".join(pair) for pair in zip(texts, numbers, strict=True))
            lines.append(f"  {name}: {', '.join(pairs)}")
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])

    @classmethod
    def of(cls, record: Mapping[str, object]) -> Attacked:
        """Returns the results that were written as a record."""
        fields = json.loads(json.dumps(record))
        for name, kind in (
            ("robust_accuracy", RobustAccuracy),
            ("worst_case_auroc", WorstCase),
        ):
            fields[name] = [
                kind(**{**one, "masking": [PairedTest(**t) for t in one["masking"]]})
                for one in fields[name]
            ]
        return cls(**fields)


@dataclass(frozen=True)
class Journal:
    """The record of one command, written again after each network."""

    path: Path

    @property
    def stem(self) -> Path:
        """The folder of adversarial images, and the beginning of pictures' names."""
        return self.path.with_suffix("")

    def read(self) -> dict[str, Attacked]:
        """Returns the stored results by their key, without those that lost images."""
        try:
            models = json.loads(self.path.read_bytes())["models"]
            stored = [Attacked.of(one) for one in models]
        except (OSError, ValueError, KeyError, TypeError):
            return {}
        return {
            one.key: one
            for one in stored
            if all(
                (self.stem / saved["file"]).is_file()
                for target in one.robust_accuracy
                for saved in target.in_8_bits
            )
        }

    def write(self, settings: Record, found: Sequence[Attacked]) -> None:
        """Writes the results so far, with the settings that they share."""
        content = {
            "kind": "oodbench attack",
            "schema": SCHEMA,
            **settings,
            "models": [asdict(one) for one in found],
        }
        write_atomically(self.path, json_bytes(content))


def record_path(
    folder: str | Path, inside: str, norm: Norm, keys: Iterable[str]
) -> Path:
    """Returns where results are written, by the keys of the networks' results."""
    stem = folder_name(f"attack-{inside}-{norm}", key_of(list(keys)))
    return Path(folder) / f"{stem}.json"


def accuracy_rows(attacked: Attacked) -> tuple[list[str], Rows]:
    """Returns head and rows of the robust accuracies, in %."""
    head = ["target", "attack", *_radii(attacked.robust_accuracy[0].eps, attacked)]
    rows = []
    for one in attacked.robust_accuracy:
        lines = one.by_attack
        if len(lines) > 1:
            lines = {ALL: one.accuracy, **lines}
        if one.in_8_bits:
            after = [each["accuracy"] for each in one.in_8_bits]
            lines = {**lines, f"{ALL}, in 8 bits": [one.accuracy[0], *after]}
        rows += [[one.target["title"], *_line(name, lines[name])] for name in lines]
    return head, rows


def auroc_rows(attacked: Attacked) -> tuple[list[str], Rows]:
    """Returns head and rows of the worst-case AUROCs, in %."""
    head = ["set", "detector", *_radii(attacked.worst_case_auroc[0].eps, attacked)]
    return head, [
        [one.outside, *_line(one.detector, one.auroc)]
        for one in attacked.worst_case_auroc
    ]


def _radii(eps: Sequence[float], attacked: Attacked) -> list[str]:
    return [eps_text(each, attacked.norm) for each in eps]


def _line(name: str, rates: Sequence[float]) -> list[str]:
    return [name, *(f"{100 * rate:.1f}" for rate in rates)]

"""Ranks of the detectors of stored results over models and pairs of sets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from oodbench.base.errors import InputError
from oodbench.metrics.ranks import Ranks, rank
from oodbench.metrics.significance import SIGNIFICANCE
from oodbench.metrics.table import METRICS, Metric
from oodbench.results.rows import Measured, Row

ROLES = ("near", "far")
Pair = tuple[str, str, str]
"""A model, its in-distribution set and an OOD set."""


@dataclass(frozen=True)
class Ranked:
    """The ranks of detectors, with their mean of the metric."""

    metric: Metric
    ranks: Ranks
    values: dict[str, float]
    """The metric's mean over pairs, in [0, 1]."""
    notes: list[str]

    @property
    def groups(self) -> dict[str, str]:
        """The letters of the cliques that each detector is in."""
        return {
            label: "".join(
                _letter(index)
                for index, clique in enumerate(self.ranks.cliques)
                if label in clique
            )
            for label in self.ranks.means
        }


def ranked(measured: Iterable[Measured], metric: str = "auroc") -> Ranked:
    """Ranks detectors over all models and pairs of sets, best first.

    Only near and far sets count; where there are none, all sets do. A detector without
    a number on one of the pairs is left out, and so are rows apart.

    Args:
        measured: Of any models and in-distribution sets.
        metric: A name of `METRICS`.

    Raises:
        InputError: There are fewer than two such detectors or pairs.
    """
    rows = [row for one in measured for row in one.rows if not row.apart]
    counted = [row for row in rows if row.role in ROLES] or rows
    found: dict[str, dict[Pair, float]] = {}
    for row in counted:
        own = found.setdefault(row.detector, {})
        if metric in row.values:
            own[row.model, row.inside, row.outside] = row.values[metric]
    pairs = sorted({pair for own in found.values() for pair in own})
    whole = {
        label: [own[pair] for pair in pairs]
        for label, own in found.items()
        if len(own) == len(pairs)
    }
    missing = [
        f"{label} is left out: it has no number on {_named(lacking)}"
        for label, own in found.items()
        if (lacking := [pair for pair in pairs if pair not in own])
    ]
    if len(pairs) < 2:
        raise InputError(
            "Ranks take two or more pairs of a model and a near or far set; here "
            f"{'is one' if pairs else 'are none'}."
        )
    if len(whole) < 2:
        raise InputError(
            f"Ranks take two or more detectors with numbers on all {len(pairs)} pairs "
            f"of model and set; here {len(whole)} of {len(found)} have them. "
            f"{''.join(f'{one}. ' for one in missing)}--model, --detectors and --out "
            "take a part of the results."
        )
    sign = 1 if METRICS[metric].higher_is_better else -1
    ranks = rank({label: [sign * v for v in own] for label, own in whole.items()})
    means = {label: sum(own) / len(own) for label, own in whole.items()}
    notes = _notes(ranks, counted, len({model for model, *_ in pairs}))
    return Ranked(METRICS[metric], ranks, means, missing + notes)


def _named(pairs: Sequence[Pair]) -> str:
    """Returns the first pair, and how many more there are."""
    model, _, outside = pairs[0]
    more = f", and on {len(pairs) - 1} more" if len(pairs) > 1 else ""
    return f"{outside} of {model}{more}"


def _notes(ranks: Ranks, rows: Iterable[Row], models: int) -> list[str]:
    roles = ", ".join(sorted({row.role for row in rows}))
    difference = "p < 0.001" if ranks.p < 0.001 else f"p = {ranks.p:.3f}"
    notes = [
        f"over {ranks.pairs} pairs of sets ({roles}) of {models} "
        f"model{'s' * (models > 1)}; pairs of one "
        "model or set are treated as independent, so p-values are too small",
        f"Friedman's test that all detectors are equal: {difference}",
        "detectors that share a letter or a bar do not differ significantly "
        "(Wilcoxon's signed-rank test, Holm-corrected, 5 %)",
    ]
    if 2 ** (1 - ranks.pairs) * len(ranks.apart) >= SIGNIFICANCE:
        notes.append(
            f"{ranks.pairs} pairs of sets are too few to show that any two of "
            f"{len(ranks.means)} detectors differ"
        )
    return notes


def _letter(index: int) -> str:
    """Returns a, b, …, z, and then a', b' and so on."""
    return chr(ord("a") + index % 26) + "'" * (index // 26)

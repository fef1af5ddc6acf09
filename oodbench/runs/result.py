"""What a run leaves: where its scores are, and what went wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from oodbench.base.text import printable
from oodbench.results.opened import Results, of_sets
from oodbench.results.store import SetFile

if TYPE_CHECKING:
    import pandas as pd


class Planned(NamedTuple):
    """What is missing of one network and set, or of fitting on one split."""

    stage: str
    """Its name in the progress."""
    images: int
    detectors: int


@dataclass(repr=False)
class RunResult:
    """The scores of a run and what went wrong; a notebook shows it as a table."""

    results: Path
    """The folder of the scores."""
    sets: list[SetFile] = field(default_factory=list)
    """Where the scores of each network and set are."""
    methods: set[str] = field(default_factory=set)
    """Keys of the detectors' cells that belong to this run."""
    warnings: list[str] = field(default_factory=list)
    """What makes numbers doubtful, in sentences."""
    skipped: dict[str, str] = field(default_factory=dict)
    """Detectors that do not apply, each with the reason."""
    failed: dict[str, str] = field(default_factory=dict)
    """What has no scores, each with the reason."""
    computed: int = 0
    """Cells that this run computed."""
    reused: int = 0
    """Cells that an earlier run had computed."""
    removed: int = 0
    """Stale cells that were removed."""
    planned: list[Planned] = field(default_factory=list)
    """What a dry run would have computed."""
    is_first: bool = True
    """Whether this process, of those that share the run, shows the result."""

    def add(self, other: RunResult) -> None:
        """Takes over what another run has left in the same folder."""
        self.sets += other.sets
        self.methods |= other.methods
        self.computed += other.computed
        self.reused += other.reused
        self.removed += other.removed
        self.add_remarks(other)

    def add_remarks(self, other: RunResult) -> None:
        """Takes over what went wrong in another run."""
        self.warnings += other.warnings
        self.skipped |= other.skipped
        self.failed |= other.failed

    def rows(self) -> pd.DataFrame:
        """Returns the run's results, one row per model, detector and OOD set.

        The columns are those of `oodbench.rows`.
        """
        from oodbench.results.frame import rows

        return rows(self.opened())

    def opened(self) -> Results:
        """Returns the run's stored results, for tables, plots and reports."""
        return of_sets(self.sets, self.methods, self.results)

    def summary(self) -> list[str]:
        """Returns what happened, in lines: warnings, failures, and a count at last."""
        return [
            *(f"Warning: {printable(each)}" for each in dict.fromkeys(self.warnings)),
            *_reasons("Skipped", self.skipped),
            *_reasons("Failed", self.failed),
            f"{self.computed} score files computed, {self.reused} reused, "
            f"{self.removed} stale ones removed, in {printable(str(self.results))}.",
        ]

    def __repr__(self) -> str:
        models = len({file.path.parents[1] for file in self.sets})
        return (
            f"RunResult: {models} models, {len(self.sets)} pairs of model and set.\n"
            f"{self.summary()[-1]}\n"
            f"{len(self.warnings)} warnings, {len(self.skipped)} skipped, "
            f"{len(self.failed)} failed; rows() gives all metrics."
        )

    def _repr_html_(self) -> str:
        rows = self.rows()
        if "auroc" not in rows:
            return f"<pre>{self!r}</pre>"
        table = rows.pivot_table(
            index=["inside", "model", "detector"], columns="outside", values="auroc"
        )
        return f"<p>AUROC in %</p>{(100 * table).to_html(float_format='{:.2f}'.format)}"


def _reasons(what: str, reasons: Mapping[str, str]) -> Iterator[str]:
    """Yields a line per reason, with all that it applies to."""
    for reason in dict.fromkeys(reasons.values()):
        names = ", ".join(name for name, own in reasons.items() if own == reason)
        yield printable(f"{what}: {names}: {reason.rstrip('.')}.")

"""The outputs for a fitting split, with the statistics that detectors share."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar, cast

from torch import Tensor

from oodbench.base.errors import reason
from oodbench.scoring.batch import Batch, Declares, Need, Passes, Summary
from oodbench.scoring.outputs import Outputs, shared_key

T = TypeVar("T")


class Known(Outputs):
    """The declared outputs for the whole fitting split, on the CPU."""

    def __init__(
        self, batch: Batch, detector: Declares, passes: Passes | None = None
    ) -> None:
        super().__init__(batch, detector, passes)
        self._statistics: list[_Computed] = []

    def hand_over_inputs(self) -> None:
        """Gives the pixels themselves, no copy, to the last detector that is fitted."""
        self._copies["inputs"] = self._batch.inputs.data

    @property
    def labels(self) -> Tensor:
        """`[N]`, int64 class numbers."""
        return self._copy_of("labels", self._declared(Need.LABELS).labels)

    def summary(self, summary: Summary) -> Tensor:
        """Returns the rows of a summary that the detector lists, `[N, …]`.

        Raises:
            LookupError: It does not list the summary.
            RuntimeError: The summary failed.
        """
        found = self._batch.summaries.get(shared_key(summary, self._detector))
        if found is None:
            raise LookupError(
                f"{self._who} reads a summary that it does not list; add it to its "
                "`summaries`"
            )
        rows = found.value
        if isinstance(rows, Exception):
            raise RuntimeError(f"its summary failed: {reason(rows)}") from rows
        return self._copy_of(summary, rows)

    def shared(self, statistic: Callable[[Known], T]) -> T:
        """Returns a statistic of the split; equal ones are computed once for all.

        Args:
            statistic: Hashable (a function, or an instance of a frozen dataclass). It
                may read what the detector declares. Its result belongs to all detectors
                and must not be changed.
        """
        stored = self._batch.statistics
        if statistic not in stored:
            view = Known(self._batch, self._detector)
            value = statistic(view)
            view.check_untouched()
            stored[statistic] = _Computed(value, view.read, _versions(value))
        computed = cast("_Computed", stored[statistic])
        for need in computed.needs:
            self._declared(need)  # as if this detector had computed it
        self._statistics.append(computed)
        return cast("T", computed.value)

    def check_untouched(self) -> None:
        """Raises RuntimeError if the detector wrote into what it received."""
        super().check_untouched()
        for computed in self._statistics:
            if computed.versions != _versions(computed.value):
                raise RuntimeError(
                    f"{self._who} changes a shared statistic; copy it first"
                )


class _Computed(NamedTuple):
    """A statistic with what it was computed from."""

    value: object
    needs: Need
    versions: list[int]
    """Of its tensors; every write raises them."""


def _versions(value: object) -> list[int]:
    if isinstance(value, Tensor):
        return [value._version]
    if isinstance(value, tuple | list):
        return [version for part in value for version in _versions(part)]
    return []

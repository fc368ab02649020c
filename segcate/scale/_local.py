"""Passes in one process, with files in between where rows outgrow memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from segcate.scale._kept import KeptPasses
from segcate.scale._rows import Reader
from segcate.scale._runner import Parts, PartStep, R, Step
from segcate.scale._scan import Look, Scan
from segcate.scale._spill import Spill
from segcate.scale._sums import Sums, merged

T = TypeVar("T")


class LocalRunner:
    """Passes in this process, batch after batch.

    Parameters
    ----------
    reader : of the source
    spill : folder for files in between; None: the system's for temporary files
    kept : results of passes that outlive this process; None: nothing does
    """

    def __init__(self, reader: Reader, spill: str | None, kept: KeptPasses | None = None) -> None:
        self.reader, self.spill, self.kept = reader, spill, kept
        self.n_passes = 0

    def close(self) -> None:
        """Nothing is kept between passes."""

    def scan(self, sample_size: int, random_state: int) -> Scan:
        """Read the source once, as it is."""
        return self._passed(lambda: self._scan(sample_size, random_state))

    def fold(self, step: Step[R]) -> dict[int, R]:
        """Read the source once, and keep what steps give."""
        return self._passed(lambda: self._fold(step))

    def match(self, step: PartStep) -> Parts:
        """Read the source once, into files where rows are many."""
        return self._passed(lambda: self._match(step))

    def _passed(self, read: Callable[[], T]) -> T:
        """Carry out a pass, unless its result is kept."""
        self.n_passes += 1
        if self.kept is None:
            return read()
        found, learned = self.kept.passed(self.n_passes, lambda: (read(), self.reader.learned()))
        self.reader.learn(learned)
        return found

    def _scan(self, sample_size: int, random_state: int) -> Scan:
        look = Look(sample_size, random_state)
        for raw in self.reader.raw():
            look.add(raw)
        return look.found()

    def _fold(self, step: Step[R]) -> dict[int, R]:
        out: dict[int, R] = {}
        for code, rows in self.reader.by_segment():
            found = step.of(code, rows)
            if found is not None:
                out[code] = step.merged(code, out[code], found) if code in out else found
        return out

    def _match(self, step: PartStep) -> Parts:
        sums: dict[int, Sums] = {}
        with Spill(self.spill) if self.kept is None else self.kept.spill(self.n_passes) as spill:
            if spill.is_complete:
                self.reader.learn(spill.learned)
            else:
                self._deal(step, spill)
            for place, found in spill.results(step.sums):
                sums[place[0]] = merged(sums.get(place[0], {}), found)
            return Parts(sums, spill.n_rows, spill.n_bytes)

    def _deal(self, step: PartStep, spill: Spill) -> None:
        """Read the source into the parts."""
        for code, rows in self.reader.by_segment():
            for part, packed in step.dealt(code, rows):
                spill.hold((code, part), packed)
        spill.complete(self.reader.learned())

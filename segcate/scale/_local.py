"""Passes in one process, with files in between where rows outgrow memory."""

from __future__ import annotations

from segcate.scale._rows import Reader
from segcate.scale._runner import Parts, PartStep, R, Step
from segcate.scale._scan import Look, Scan
from segcate.scale._spill import Spill
from segcate.scale._sums import Sums, merged


class LocalRunner:
    """Passes in this process, batch after batch.

    Parameters
    ----------
    reader : of the source
    spill : folder for files in between; None: the system's for temporary files
    """

    def __init__(self, reader: Reader, spill: str | None) -> None:
        self.reader, self.spill = reader, spill
        self.n_passes = 0

    def close(self) -> None:
        """Nothing is kept between passes."""

    def scan(self, sample_size: int, random_state: int) -> Scan:
        """Read the source once, as it is."""
        look = Look(sample_size, random_state)
        for raw in self.reader.raw():
            look.add(raw)
        self.n_passes += 1
        return look.found()

    def fold(self, step: Step[R]) -> dict[int, R]:
        """Read the source once, and keep what steps give."""
        out: dict[int, R] = {}
        for code, rows in self.reader.by_segment():
            found = step.of(code, rows)
            if found is not None:
                out[code] = step.merged(code, out[code], found) if code in out else found
        self.n_passes += 1
        return out

    def match(self, step: PartStep) -> Parts:
        """Read the source once, into files where rows are many."""
        sums: dict[int, Sums] = {}
        with Spill(self.spill) as spill:
            for code, rows in self.reader.by_segment():
                for part, packed in step.dealt(code, rows):
                    spill.hold((code, part), packed)
            self.n_passes += 1
            for place, packed in spill.parts():
                sums[place[0]] = merged(sums.get(place[0], {}), step.sums(place, packed))
            return Parts(sums, spill.n_rows, spill.n_bytes)

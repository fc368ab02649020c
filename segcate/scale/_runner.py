"""What a pass over the rows is made of, and what carries it out: one process, or a cluster.

A pass is a step: a small object that can be pickled, takes the rows of one segment in one batch, and gives
arrays; two results become one. Steps hold no open files and learn nothing from one batch to the next, so
batches may be taken anywhere, in any order, and again where a worker was lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol, TypeVar

from segcate._inputs.arrays import Float
from segcate.scale._rows import Reader, Rows
from segcate.scale._scan import Scan
from segcate.scale._sums import Sums

R = TypeVar("R")
Place = tuple[int, int]


class Step(Protocol[R]):
    """A pass whose results are small."""

    def of(self, code: int, rows: Rows) -> R | None:
        """Return what some rows of one segment give; None for nothing."""

    def merged(self, code: int, one: R, other: R) -> R:
        """Put two results of one segment together."""


class PartStep(Protocol):
    """A pass that brings the rows of each part of a segment together.

    Attributes
    ----------
    n_parts : of all segments
    """

    @property
    def n_parts(self) -> int:
        """Count the parts."""

    def dealt(self, code: int, rows: Rows) -> Iterator[tuple[int, Float]]:
        """Yield parts of a segment, and the rows of each that are among these, as one array."""

    def sums(self, place: Place, dealt: Float) -> Sums:
        """Return what a part gives: segment and part, and all rows that were dealt to it."""


class Parts(NamedTuple):
    """What the parts gave.

    Attributes
    ----------
    sums : by segment
    n_dealt : rows, one that several parts see as many times
    n_bytes : of files in between
    """

    sums: dict[int, Sums]
    n_dealt: int
    n_bytes: int


class Runner(Protocol):
    """Carries passes out.

    Attributes
    ----------
    reader : how rows are read and encoded; what it learns of segments is the driver's
    n_passes : over the source so far
    """

    reader: Reader
    n_passes: int

    def scan(self, sample_size: int, random_state: int) -> Scan:
        """Take the first look, at rows that are not encoded yet."""

    def fold(self, step: Step[R]) -> dict[int, R]:
        """Carry out a pass, and return the result of each segment."""

    def match(self, step: PartStep) -> Parts:
        """Carry out a pass that deals rows out to parts, and add the parts of each segment up."""

    def close(self) -> None:
        """Let go of what was kept between passes."""

"""Two passes that read the same rows, as one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from segcate.scale._rows import Rows
from segcate.scale._runner import Step

A = TypeVar("A")
B = TypeVar("B")


@dataclass(frozen=True, slots=True)
class Together(Generic[A, B]):
    """A step that is two."""

    one: Step[A]
    other: Step[B]

    def of(self, code: int, rows: Rows) -> tuple[A | None, B | None]:
        """Return what some rows give to both."""
        return self.one.of(code, rows), self.other.of(code, rows)

    def merged(
        self, code: int, one: tuple[A | None, B | None], other: tuple[A | None, B | None]
    ) -> tuple[A | None, B | None]:
        """Put two results of one segment together."""
        return _merged(self.one, code, one[0], other[0]), _merged(
            self.other, code, one[1], other[1]
        )


def _merged(step: Step[A], code: int, one: A | None, other: A | None) -> A | None:
    if one is None or other is None:
        return other if one is None else one
    return step.merged(code, one, other)


def parted(found: dict[int, tuple[A | None, B | None]]) -> tuple[dict[int, A], dict[int, B]]:
    """Return the results of both, segments without one left out."""
    one = {code: a for code, (a, _) in found.items() if a is not None}
    return one, {code: b for code, (_, b) in found.items() if b is not None}

"""Fits on part of the rows, inside an estimator that has read and checked all of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_IS_PART: ContextVar[bool] = ContextVar("segcate_part_of_rows", default=False)


@contextmanager
def part_of_rows() -> Iterator[None]:
    """Fit or predict on a fold or a segment inside a `with` block.

    By chance a fold lacks a level of a category, or holds each level hardly twice. The user can do
    nothing about that, so inside the block a level that the fit did not see counts as the average
    level of the fit, and many levels are no reason to refuse a column.
    """
    token = _IS_PART.set(True)
    try:
        yield
    finally:
        _IS_PART.reset(token)


def is_part_of_rows() -> bool:
    """Tell whether the rows at hand are a fold or a segment of rows that were read before."""
    return _IS_PART.get()

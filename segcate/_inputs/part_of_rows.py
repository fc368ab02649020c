"""Fits on part of the rows, inside an estimator that has read and checked all of them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_IS_FOLD: ContextVar[bool] = ContextVar("segcate_fold_of_rows", default=False)
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


@contextmanager
def fold_of_rows() -> Iterator[None]:
    """Fit on all rows but a fold inside a `with` block, where a model of all rows is fitted as well.

    As `part_of_rows`; and what a warning has to say of the columns, of the chances of treatment and of the
    number of groups, the model of all rows says once.
    """
    token = _IS_FOLD.set(True)
    try:
        with part_of_rows():
            yield
    finally:
        _IS_FOLD.reset(token)


def is_fold_of_rows() -> bool:
    """Tell whether a model of all rows says what is to be said of the rows at hand."""
    return _IS_FOLD.get()


@contextmanager
def said_once() -> Iterator[None]:
    """Give each warning of the fits inside a `with` block once, after it, whichever of them gave it."""
    told: list[warnings.WarningMessage] = []
    try:
        with warnings.catch_warnings(record=True) as told:
            yield
    finally:
        first: dict[tuple[type[Warning], str], warnings.WarningMessage] = {}
        for warning in told:
            first.setdefault((warning.category, str(warning.message)), warning)
        for (kind, text), warning in first.items():
            warnings.warn_explicit(text, kind, warning.filename, warning.lineno)


def is_part_of_rows() -> bool:
    """Tell whether the rows at hand are a fold or a segment of rows that were read before."""
    return _IS_PART.get()

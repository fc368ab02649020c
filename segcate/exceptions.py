"""The errors and warnings that segcate raises beside `ValueError` and `TypeError`."""

from __future__ import annotations

__all__ = ["EmptySegmentError", "OverlapError", "SegcateWarning"]


class EmptySegmentError(ValueError):
    """Raise when a segment has no rows, or no rows in one arm, and an effect is asked of it."""


class OverlapError(ValueError):
    """Raise when treated and control rows cannot be compared: scores apart, caliper too narrow."""


class SegcateWarning(UserWarning):
    """Warn that a result is valid but weaker than it looks: rows dropped, few pairs, poor overlap."""

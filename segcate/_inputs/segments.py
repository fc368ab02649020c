"""Which column of X holds the segments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from segcate._inputs import frames
from segcate._inputs.arrays import Int
from segcate._inputs.labels import label_values
from segcate._inputs.listing import listed
from segcate._inputs.parameters import is_whole

Segment = str | int | None


def find_segment_column(owner: str, X: Any, segment: Segment) -> int | None:
    """Resolve `segment` ("auto", a name, a position, None) to a position in X."""
    names = frames.column_names(X)
    if segment is None:
        return None
    if isinstance(segment, str):
        if names is None:
            raise ValueError(
                f"{owner}: segment={segment!r} needs column names, and X is an array without them. Say which "
                "column holds the segments, `segment=-1` for the last one, or `segment=None` for one segment."
            )
        return _named_segment(owner, names, segment)
    if not is_whole(segment):
        raise TypeError(
            f"{owner}: `segment` must be 'auto', a column name, a position or None; got {segment!r}."
        )
    n_columns = X.shape[1]
    if not -n_columns <= segment < n_columns:
        raise ValueError(
            f"{owner}: segment={segment} is not a column of X, which has {n_columns} columns."
        )
    return int(segment) % int(n_columns)


def _named_segment(owner: str, names: list[str], segment: str) -> int:
    if segment != "auto":
        if segment not in names:
            raise ValueError(
                f"{owner}: X has no column {segment!r} for `segment`; its columns are {listed(names)}."
            )
        return names.index(segment)
    if "segment" in names:
        return names.index("segment")
    ending = [i for i, name in enumerate(names) if name.endswith("__segment")]
    if len(ending) == 1:
        return ending[0]
    found = (
        f"several end in '__segment': {listed(names[i] for i in ending)}"
        if ending
        else "none is called 'segment'"
    )
    raise ValueError(
        f"{owner}: segment='auto' looks for the column 'segment', but of the columns of X {found}. Put a segmenter "
        "before this step, name the column (`segment='region'`), or pass `segment=None` for one segment."
    )


@dataclass(frozen=True, slots=True)
class SegmentCodes:
    """The segment of every row as a code, and what the codes stand for.

    Attributes
    ----------
    codes : intp array of shape (n_rows,), values 0 to n_segments - 1
    labels : array of shape (n_segments,), sorted; the noise segment -1 comes first
    position : column of X that held the labels, None when all rows are one segment
    """

    codes: Int
    labels: npt.NDArray[Any]
    position: int | None

    @property
    def n_segments(self) -> int:
        """Count the segments."""
        return len(self.labels)


def code_segments(
    owner: str, X: Any, position: int | None, *, may_look_like_ids: bool = False
) -> SegmentCodes:
    """Read the segment column and code it; refuse gaps, fractions and columns that look like ids."""
    n = frames.n_rows(X)
    if position is None:
        return SegmentCodes(np.zeros(n, dtype=np.intp), np.array(["all"], dtype=object), None)
    column = label_values(owner, X, position)
    if column.dtype.kind == "f":
        column = _integral(owner, column)
    codes, labels = frames.sorted_codes(column)
    if any(frames.is_missing(label) for label in labels.tolist()):
        raise ValueError(
            f"{owner}: the segment column has missing values in {int((codes == len(labels) - 1).sum())} of {n} rows. "
            "Give those rows a segment of their own, for example 'unknown' (noise is -1)."
        )
    if len(labels) == n and n > 2 and not may_look_like_ids:
        raise ValueError(
            f"{owner}: the segment column has as many values as X has rows ({n}), n_samples = n_segments; "
            "it looks like an id. Pass a column whose values are shared by many rows."
        )
    return SegmentCodes(codes, labels, position)


def _integral(owner: str, column: npt.NDArray[Any]) -> npt.NDArray[Any]:
    n_missing = int(np.isnan(column).sum())
    if n_missing:
        raise ValueError(
            f"{owner}: the segment column has missing values in {n_missing} of {len(column)} rows. "
            "Give those rows a segment of their own (noise is -1)."
        )
    whole = (column == np.floor(column)) & (np.abs(column) < 2.0**53)
    if not whole.all():
        raise ValueError(
            f"{owner}: the segment column holds fractions or infinity ({listed(np.unique(column[~whole]))}); "
            "segments are labels: strings, integers or whole floats. Was the right column named in `segment=`?"
        )
    return column.astype(np.int64)

"""Which column of X holds the segments."""

from __future__ import annotations

from typing import Any

import numpy as np

from segcate import _frames
from segcate._inputs.listing import listed

__all__ = ["Segment", "find_segment_column"]

Segment = str | int | None


def find_segment_column(owner: str, X: Any, segment: Segment) -> int | None:
    """Resolve `segment` ("auto", a name, a position, None) to a position in X."""
    names = _frames.column_names(X)
    if segment is None:
        return None
    if isinstance(segment, str):
        if names is None:
            raise ValueError(
                f"{owner}: segment={segment!r} needs column names, and X is an array without them. Say which "
                "column holds the segments, `segment=-1` for the last one, or `segment=None` for one segment."
            )
        return _named_segment(owner, names, segment)
    if isinstance(segment, bool) or not isinstance(segment, int | np.integer):
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

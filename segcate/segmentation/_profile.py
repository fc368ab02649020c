"""Describe segments by the means of the columns inside them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from segcate._inputs import frames
from segcate._inputs.arrays import Float, Int
from segcate._inputs.containers import refuse_no_table
from segcate._inputs.kinds import ColumnKind, described_name, read_column
from segcate._inputs.listing import listed
from segcate._inputs.segments import SegmentCodes, code_segments, find_segment_column
from segcate._inputs.vectors import as_array, check_same_index
from segcate._inputs.weights import check_weights

_OWNER = "segment_profile"
_MAX_LEVELS = 1_000


def segment_profile(X: Any, segment: Any, *, sample_weight: Any = None) -> pd.DataFrame:
    """Describe each segment: its size, numeric means and shares of categories.

    Use it to see who is in a segment, and to name it. It says nothing about effects.

    Parameters
    ----------
    X : array or DataFrame of shape (n_samples, n_features)
        Columns to describe; those of an array are called x0, x1, ...
    segment : str or array-like of shape (n_samples,)
        Name of the column of X that holds the segments, or the segment of each row, for example
        `segmenter.labels_`.
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each row in means and shares, >= 0. Equal weights are none; whole numbers from 1
        are counts of rows; of all others only ratios count; a row of weight 0 is not there.

    Returns
    -------
    DataFrame with one row a segment, sorted by label, noise (-1) first
        Column `n` counts rows and `share` is their part of all rows (of the weight). Then, in the
        order of X: the mean of a numeric column, and for a column of text or categories the share
        of each level, `plan=gold`. A level `plan=<missing>` counts missing values; in a numeric
        column with gaps the mean is of the values present, beside a column `age=<missing>`. Dates
        are days since the first one, under the name `joined (days since 2024-01-01)`.

    Raises
    ------
    ValueError
        If `segment` does not fit X or has missing values, a numeric column is infinite, a text
        column has more than 1,000 levels, or a segment has no weight.

    Examples
    --------
    >>> import pandas as pd
    >>> from segcate.segmentation import segment_profile
    >>> X = pd.DataFrame({"age": [20.0, 30.0, 60.0], "plan": ["free", "gold", "gold"]})
    >>> segment_profile(X, [0, 0, 1]).reset_index().round(2)
       segment  n  share   age  plan=free  plan=gold
    0        0  2   0.67  25.0        0.5        0.5
    1        1  1   0.33  60.0        0.0        1.0
    """
    check_same_index(_OWNER, X=X, segment=segment, sample_weight=sample_weight)
    X = _checked(X)
    segments = _segments(X, segment)
    weight = check_weights(_OWNER, sample_weight, X)
    if weight is None:
        weight = np.ones(frames.n_rows(X))
    total = _sums(segments, weight)
    if not total.all():
        raise ValueError(
            f"{_OWNER}: `sample_weight` is 0 in every row of the segments "
            f"{listed(segments.labels[total == 0])}, which have no means then. Leave those rows "
            "out."
        )
    table: dict[str, npt.NDArray[Any]] = {
        "n": np.bincount(segments.codes[weight > 0], minlength=segments.n_segments),
        "share": total / total.sum(),
    }
    for i in range(X.shape[1]):
        if i == segments.position:
            continue
        kind, content = read_column(_OWNER, X, i, describe=True)
        if content is None:
            content = np.full(frames.n_rows(X), np.nan)
        describe = _shares if kind.found == "category" else _means
        described = describe(kind, content, segments.codes, weight, total)
        clash = [label for label in described if label in table]
        if clash:
            raise ValueError(
                f"{_OWNER}: two columns of the table would be called {clash[0]!r}. Rename the "
                f"column {kind.name!r} of X."
            )
        table |= described
    return pd.DataFrame(table, index=pd.Index(segments.labels, name="segment"))


def _sums(segments: SegmentCodes, weight: Float) -> Float:
    sums = np.bincount(segments.codes, weights=weight, minlength=segments.n_segments)
    return sums.astype(np.float64)


def _checked(X: Any) -> Any:
    refuse_no_table(_OWNER, X)
    X = X if frames.is_frame(X) else np.asarray(X)
    if len(X.shape) != 2 or not X.shape[0]:
        raise ValueError(
            f"{_OWNER}: X must have columns and at least one row; got shape {X.shape}. Pass the "
            "rows that were segmented."
        )
    return X


def _segments(X: Any, segment: Any) -> SegmentCodes:
    """Code the segments: a column of X by name or position, or one label for each row."""
    labels = as_array(_OWNER, "segment", segment)
    if labels.ndim == 0:
        position = find_segment_column(_OWNER, X, segment)
        return code_segments(_OWNER, X, position)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or labels.dtype.kind == "c":
        raise ValueError(
            f"{_OWNER}: `segment` must be one label for each row; got shape {labels.shape} of {labels.dtype}."
        )
    if len(labels) != frames.n_rows(X):
        raise ValueError(
            f"{_OWNER}: `segment` has {len(labels)} labels, but X has {frames.n_rows(X)} rows. "
            "Give one label for each row, such as `labels_` of a segmenter fitted on X."
        )
    return replace(code_segments(_OWNER, labels[:, None], 0), position=None)


def _means(
    kind: ColumnKind, values: npt.NDArray[Any], codes: Int, weight: Float, total: Float
) -> dict[str, Float]:
    """Return the mean of a numeric column in each segment, and the share that is missing."""
    name = described_name(kind)
    n_infinite = int(np.isinf(values).sum())
    if n_infinite:
        raise ValueError(
            f"{_OWNER}: column {name!r} is infinite in {n_infinite} of {len(values)} rows, so it "
            "has no mean. Replace those values or leave the column out."
        )
    is_missing = np.isnan(values)
    present = np.where(is_missing, 0.0, weight)
    sums = np.bincount(codes, weights=present * np.where(is_missing, 0.0, values))
    observed = np.bincount(codes, weights=present)
    means = np.divide(sums, observed, out=np.full(len(total), np.nan), where=observed > 0)
    if not is_missing.any():
        return {name: means}
    return {name: means, f"{name}=<missing>": (total - observed) / total}


def _shares(
    kind: ColumnKind, level: npt.NDArray[Any], codes: Int, weight: Float, total: Float
) -> dict[str, Float]:
    """Return the share of each level of a column in each segment."""
    name, levels = kind.name, kind.levels
    if len(levels) > _MAX_LEVELS:
        raise ValueError(
            f"{_OWNER}: column {name!r} has {len(levels)} levels; a profile shows at most "
            f"{_MAX_LEVELS}. Leave the column out, or group its values."
        )
    cells = np.bincount(
        codes * len(levels) + level, weights=weight, minlength=len(total) * len(levels)
    ).reshape(len(total), len(levels))
    return {f"{name}={label}": cells[:, j] / total for j, label in enumerate(levels)}

"""Segments from columns that already group the users: region, plan, region and plan."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator

from segcate._inputs import frames
from segcate._inputs.arrays import Int64
from segcate._inputs.cells import column_label
from segcate._inputs.features import check_features
from segcate._inputs.labels import label_values
from segcate._inputs.listing import listed
from segcate._inputs.parameters import check_count
from segcate._inputs.vectors import check_same_index
from segcate.base import SegmenterMixin
from segcate.segmentation._columns import resolve_columns

Labels = npt.NDArray[Any]


class GroupSegmenter(SegmenterMixin, BaseEstimator):
    """Segment rows by the values of one or more columns: each observed combination is a segment.

    Use it for segments that a team already has. Columns with many values make segments of few rows;
    bin them first (`pd.cut`), or use `RuleSegmenter` for ranges.

    Parameters
    ----------
    by : name, position, sequence of those, bool mask or callable
        Columns to group by, also by `make_column_selector`.
    default : label or None, default=None
        Segment for combinations that were not seen in fit; it may be an observed one. None raises.
        Beside segments of another kind (a text beside integers) all of them become text.
    min_size : int or None, default=None
        Combinations with fewer rows in fit, >= 1, become part of `default`, which must be given.
    column : str, default="segment"
        Name of the column that `transform` appends.

    Attributes
    ----------
    segment_names_ : array of shape (n_names,)
        The segments, sorted: the values of a single column, or "a | b" for several; then `default`,
        where it is new. In arrays a segment is the position here.
    labels_ : array of shape (n_samples,)
        Segment of each row of fit, equal to `predict` of those rows.
    segment_sizes_ : intp array of shape (n_segments,)
        Rows of each observed segment, in the order of `segment_names_`; with `min_size` those of
        all names, 0 for a combination that became part of `default`.
    n_segments_ : int
        Count of segments with rows.
    column_positions_ : intp array of shape (n_by,)
        Positions in X of the columns grouped by.
    n_features_in_ : int
        Columns of X.
    feature_names_in_ : object array of shape (n_features_in_,)
        Their names, where X is a frame.

    Raises
    ------
    ValueError
        If a column is missing from X or has missing values, if two combinations would get one name,
        if `min_size` is given without `default`, or if a combination was not seen in fit and `default` is None.

    See Also
    --------
    RuleSegmenter : Segments by conditions.

    Notes
    -----
    Whole floats count as integers, other numbers as their text. A category without rows is no
    segment. Neither row order nor container matters.

    Examples
    --------
    >>> import pandas as pd
    >>> from segcate.segmentation import GroupSegmenter
    >>> X = pd.DataFrame({"region": ["north", "south", "north"], "paid": [1, 0, 0]})
    >>> GroupSegmenter("region").fit_transform(X)["segment"].tolist()
    ['north', 'south', 'north']
    >>> GroupSegmenter(["region", "paid"]).fit(X).labels_.tolist()
    ['north | 1', 'south | 0', 'north | 0']
    """

    def __init__(
        self,
        by: Any,
        *,
        default: Any = None,
        min_size: int | None = None,
        column: str = "segment",
    ) -> None:
        self.by = by
        self.default = default
        self.min_size = min_size
        self.column = column

    def fit(self, X: Any, y: Any = None) -> GroupSegmenter:
        """Find the combinations in X.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Rows to group.
        y : None
            Unused; present for scikit-learn.

        Returns
        -------
        self
            The fitted segmenter.

        Raises
        ------
        ValueError
            If a column of `by` is missing from X or has missing values; if X has a column named
            `column`; if two combinations would get one name.
        """
        check_same_index(type(self).__name__, X=X, y=y)
        owner = type(self).__name__
        X = check_features(self, X, reset=True)
        self._check_column(X)
        if self.by is None:
            raise ValueError(f"{owner}: `by` must name the columns to group by; got None.")
        self.column_positions_ = resolve_columns(owner, X, self.by, argument="by")
        check_count(owner, "min_size", self.min_size, 1, optional=True)
        if self.min_size is not None and self.default is None:
            raise ValueError(
                f"{owner}: min_size={self.min_size} needs a segment for the rows of small groups. Name it, "
                "for example `default='other'`."
            )
        values = self._values(X)
        self._levels = [frames.sorted_codes(column)[1] for column in values]
        self._steps: list[Int64] = []
        codes = self._combine(values, learn=True)
        n_observed = len(self._steps[-1])
        self.segment_names_ = self._with_default(self._names(codes, values))
        self.segment_sizes_ = np.bincount(codes, minlength=n_observed)
        self._is_small = self.segment_sizes_ < (self.min_size or 0)
        if self.min_size is not None:
            codes = self._without_small(codes)
            self.segment_sizes_ = np.bincount(codes, minlength=len(self.segment_names_))
        self.n_segments_ = int((self.segment_sizes_ > 0).sum())
        self.labels_ = self._in_container(X, codes)
        return self

    def _label_rows(self, X: Any) -> Labels:
        values = self._values(X)
        codes = self._combine(values, learn=False)
        is_new = codes < 0
        if is_new.any() and self.default is None:
            self._raise_unseen(X, values, is_new)
        codes = self._without_small(codes)
        if is_new.any():
            codes[is_new] = self._default_code
        return self._in_container(X, codes)

    def _without_small(self, codes: Int64) -> Int64:
        """Send the rows of combinations with fewer than `min_size` rows in fit to `default`."""
        if not self._is_small.any():
            return codes
        return np.where(self._is_small[codes] & (codes >= 0), self._default_code, codes)

    def _in_container(self, X: Any, codes: Int64) -> Labels:
        return self.segment_names_[codes] if frames.is_frame(X) else codes

    def _values(self, X: Any) -> list[Labels]:
        """Return the columns grouped by, whole floats as integers, without missing values."""
        values = []
        for i in self.column_positions_:
            column = label_values(type(self).__name__, X, int(i))
            n_missing = int(pd.isna(column).sum())
            if n_missing:
                raise ValueError(
                    f"{type(self).__name__}: column {column_label(X, int(i))!r} has missing values "
                    f"(NaN) in {n_missing} of {len(column)} rows. Give those a group of their own, "
                    "for example fillna('unknown'), or drop the rows."
                )
            values.append(_plain(column))
        return values

    def _combine(self, values: list[Labels], *, learn: bool) -> Int64:
        """Code the combination of each row in sorted order; -1 is one that fit has not seen.

        Column by column: the combinations so far times the levels of the next column, then only the
        observed ones, so that no code outgrows the rows.
        """
        codes = np.zeros(len(values[0]), dtype=np.int64)
        for j, column in enumerate(values):
            levels = self._levels[j]
            level = pd.Index(levels).get_indexer(pd.Index(column)).astype(np.int64)
            is_new = (codes < 0) | (level < 0)
            keys = codes * len(levels) + level
            if learn:
                self._steps.append(np.unique(keys))
            seen = self._steps[j]
            codes = np.minimum(np.searchsorted(seen, keys), len(seen) - 1)
            codes[is_new | (seen[codes] != keys)] = -1
        return codes

    def _names(self, codes: Int64, values: list[Labels]) -> Labels:
        """Name each observed combination after its first row."""
        first = np.unique(codes, return_index=True)[1]
        if len(values) == 1 and values[0].dtype.kind in "iub":
            return values[0][first]
        names = [
            " | ".join(map(str, row))
            for row in zip(*(v[first].tolist() for v in values), strict=True)
        ]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(
                f"{type(self).__name__}: different combinations get the same name: "
                f"{listed(repeated)}. Rename the values of a column, so that text differs and "
                "holds no ' | '."
            )
        return np.array(names)

    def _with_default(self, names: Labels) -> Labels:
        if self.default is None:
            return names
        if np.ndim(self.default) != 0:
            raise TypeError(
                f"{type(self).__name__}: `default` must be one label or None; got {self.default!r}."
            )
        added = np.array([self.default])
        if added.dtype.kind != names.dtype.kind:
            added, names = added.astype(str), names.astype(str)
        if added[0] not in names.tolist():
            names = np.concatenate([names, added])
        self._default_code = names.tolist().index(added[0])
        return names

    def _raise_unseen(self, X: Any, values: list[Labels], is_new: npt.NDArray[np.bool_]) -> None:
        rows = zip(*(column[is_new].tolist() for column in values), strict=True)
        unseen = sorted({" | ".join(map(str, row)) for row in rows})
        columns = ", ".join(column_label(X, int(i)) for i in self.column_positions_)
        raise ValueError(
            f"{type(self).__name__}: {int(is_new.sum())} of {len(is_new)} rows have values of "
            f"({columns}) that fit has not seen: {listed(unseen)}. Fit on rows that hold every "
            "combination, or name a segment for them, `default='other'`."
        )


def _plain(column: Labels) -> Labels:
    """Return whole numbers as integers, durations as text, and all else as it is."""
    if column.dtype.kind == "m":
        return column.astype(str)
    if column.dtype.kind == "f":
        is_whole = (np.abs(column) < 2**53) & (column == np.floor(column))
        return column.astype(np.int64) if is_whole.all() else column
    return column

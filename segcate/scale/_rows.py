"""Rows of a source as arrays: read again in every pass, encoded in the same way, and compared with the last pass."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api.types import union_categoricals

from segcate._inputs.arrays import Float, Int
from segcate._inputs.encoding import ColumnEncoding, EncodedColumns
from segcate._inputs.listing import first_few, listed
from segcate._inputs.segments import code_segments
from segcate.scale._sources import Opened, require_pyarrow

# Sums of one column in two passes agree to this share.
_SAME = 1e-9


@dataclass(frozen=True, slots=True)
class Roles:
    """Which column is what.

    Attributes
    ----------
    outcome, treatment : names
    control : value of `treatment` in the control arm; None: the column holds 0 and 1
    weight : name of the column of sample weights, or None
    columns : names of the columns of X, the segment's among them; None: all others
    categories : names of columns of X that are categories whatever they hold
    """

    outcome: str
    treatment: str
    control: Any
    weight: str | None
    columns: list[str] | None
    categories: tuple[str, ...] = ()

    @property
    def wanted(self) -> list[str] | None:
        """Names of all columns that are read; None: all."""
        if self.columns is None:
            return None
        named = [self.outcome, self.treatment, *([self.weight] if self.weight else [])]
        return list(dict.fromkeys([*self.columns, *named]))


@dataclass(frozen=True, slots=True)
class RawRows:
    """Rows as they came: X as a frame, the rest as arrays."""

    X: pd.DataFrame
    y: Float
    treatment: npt.NDArray[np.int8]
    weight: Float | None

    def taken(self, at: Any) -> RawRows:
        """Return some of the rows."""
        weight = None if self.weight is None else self.weight[at]
        return RawRows(self.X.iloc[at], self.y[at], self.treatment[at], weight)


def joined(parts: list[RawRows]) -> RawRows:
    """Put rows together."""
    weight = None
    if parts[0].weight is not None:
        weight = np.concatenate([p.weight for p in parts if p.weight is not None])
    return RawRows(
        _stacked([p.X for p in parts]),
        np.concatenate([p.y for p in parts]),
        np.concatenate([p.treatment for p in parts]),
        weight,
    )


def _stacked(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """Put frames below each other; categories stay categories, whatever levels each frame knows."""
    kinds = [[isinstance(kind, pd.CategoricalDtype) for kind in frame.dtypes] for frame in frames]
    is_category = np.any(kinds, axis=0)
    plain = [frame.loc[:, ~is_category] for frame in frames]
    X: pd.DataFrame = pd.concat(plain, ignore_index=True)
    for i in np.flatnonzero(is_category).tolist():
        X.insert(i, frames[0].columns[i], _united([frame.iloc[:, i] for frame in frames]))
    return X


def _united(columns: list[pd.Series[Any]]) -> pd.Series[Any]:
    """Put categories below each other; where all values are missing, levels have no type."""
    parts = [pd.Categorical(column) for column in columns]
    types = [part.categories.dtype for part in parts if len(part.categories)]
    none = pd.Index([], dtype=types[0] if types else object)
    parts = [part if len(part.categories) else part.set_categories(none) for part in parts]
    return pd.Series(union_categoricals(parts))


def raw_rows(table: Any, roles: Roles) -> RawRows:
    """Turn an Arrow table into a frame and arrays; refuse gaps where there may be none."""
    missing = [
        n for n in roles.wanted or [roles.outcome, roles.treatment] if n not in table.column_names
    ]
    if missing:
        raise ValueError(
            f"scale.fit: `source` has no column {listed(missing)}; its columns are {listed(table.column_names)}."
        )
    named = {roles.outcome, roles.treatment, roles.weight}
    names = roles.columns or [name for name in table.column_names if name not in named]
    X = _with_categories(table.select(names), roles.categories).to_pandas(split_blocks=True)
    weight = None if roles.weight is None else _numbers(table, roles.weight, "sample_weight")
    if weight is not None and (weight <= 0).any():
        raise ValueError(
            f"scale.fit: `sample_weight`={roles.weight!r} must be above 0; {int((weight <= 0).sum())} rows are not. "
            "Leave these rows out of the source."
        )
    return RawRows(X, _numbers(table, roles.outcome, "outcome"), _arms(table, roles), weight)


def _with_categories(table: Any, named: tuple[str, ...]) -> Any:
    """Cast columns to plain types; dictionaries, and columns that are named, are categories in pandas, too."""
    pa = require_pyarrow()
    missing = [name for name in named if name not in table.column_names]
    if missing:
        raise ValueError(
            f"scale.fit: `categories` names {listed(missing)}, not among the columns of X, which are "
            f"{listed(table.column_names)}."
        )
    plain = _plain(table)
    for i, name in enumerate(table.column_names):
        if pa.types.is_dictionary(table.schema.types[i]) or name in named:
            column = plain.column(i)
            if pa.types.is_null(column.type):
                # Its dictionary would hold null, which pandas refuses.
                column = column.cast(pa.string())
            plain = plain.set_column(i, name, column.dictionary_encode())
    return plain


def _plain(table: Any) -> Any:
    """Cast decimals to numbers, dates to moments, and odd kinds of text to text."""
    pa = require_pyarrow()
    types = pa.types
    columns = []
    for column in table.itercolumns():
        kind = column.type
        if types.is_dictionary(kind):
            column = column.cast(kind.value_type)
            kind = column.type
        if types.is_decimal(kind):
            # By way of text: Arrow's own cast misses the nearest float in one value of seven.
            column = column.cast(pa.string()).cast(pa.float64())
        elif types.is_date(kind):
            column = column.cast(pa.timestamp("us"))
        elif "string" in str(kind):
            column = column.cast(pa.large_string())
        columns.append(column)
    return pa.table(columns, names=table.column_names)


def _refuse_nulls(table: Any, name: str, what: str) -> None:
    n = table.column(name).null_count
    if n:
        raise ValueError(
            f"scale.fit: `{what}`={name!r} is missing in {n} rows. Drop those rows in the source."
        )


def _numbers(table: Any, name: str, what: str) -> Float:
    _refuse_nulls(table, name, what)
    column = _plain(table.select([name])).column(0)
    values = column.to_numpy()
    if values.dtype.kind not in "iufb":
        raise ValueError(f"scale.fit: `{what}`={name!r} must hold numbers; it holds {column.type}.")
    values = values.astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError(
            f"scale.fit: `{what}`={name!r} is NaN or infinite in {int((~np.isfinite(values)).sum())} rows. "
            "Drop those rows in the source."
        )
    return np.asarray(values, dtype=np.float64)


def _arms(table: Any, roles: Roles) -> npt.NDArray[np.int8]:
    """Read the arm of each row."""
    _refuse_nulls(table, roles.treatment, "treatment")
    values = _plain(table.select([roles.treatment])).column(0).to_numpy()
    if roles.control is None:
        if values.dtype.kind in "iufb" and ((values == 0) | (values == 1)).all():
            return np.asarray(values, dtype=np.int8)
        raise ValueError(
            f"scale.fit: `treatment`={roles.treatment!r} must hold only 0 and 1; found {listed(pd.unique(values))}. "
            "Name the control arm: control='no offer'."
        )
    return np.asarray(values != roles.control).astype(np.int8)


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows as models take them.

    Attributes
    ----------
    columns : float64 array of shape (n_rows, n_encoded)
    y : float64 array of shape (n_rows,)
    treatment : int8 array of shape (n_rows,)
    weight : float64 array of shape (n_rows,), or None
    codes : intp array of shape (n_rows,), places of the segments among those seen so far
    """

    columns: Float
    y: Float
    treatment: npt.NDArray[np.int8]
    weight: Float | None
    codes: Int

    def taken(self, at: Any) -> Rows:
        """Return some of the rows."""
        weight = None if self.weight is None else self.weight[at]
        columns = self.columns[at] if isinstance(at, slice) else self.columns.take(at, axis=0)
        return Rows(columns, self.y[at], self.treatment[at], weight, self.codes[at])

    def joined(self, other: Rows) -> Rows:
        """Put other rows behind these."""
        weight = None
        if self.weight is not None and other.weight is not None:
            weight = np.concatenate([self.weight, other.weight])
        return Rows(
            np.concatenate([self.columns, other.columns]),
            np.concatenate([self.y, other.y]),
            np.concatenate([self.treatment, other.treatment]),
            weight,
            np.concatenate([self.codes, other.codes]),
        )


@dataclass(frozen=True, slots=True)
class GapMarks:
    """Stands for the encoding where gaps are all that is looked at: NaN marks one.

    Attributes
    ----------
    names : of the columns
    """

    names: tuple[str, ...]

    def of(self, X: pd.DataFrame) -> npt.NDArray[np.bool_]:
        """Mark the gaps."""
        return np.column_stack([pd.isna(X[name]).to_numpy() for name in self.names])

    def encode(self, owner: str, X: pd.DataFrame) -> Float:
        """Mark the gaps as rows are encoded."""
        return np.where(self.of(X), np.nan, 0.0)


class SourceChanged(ValueError):  # noqa: N818 - users see a ValueError
    """Raise when a pass reads other rows than the one before."""


@dataclass(slots=True)
class Reader:
    """Reads a source pass by pass.

    Attributes
    ----------
    owner : class that messages name
    opened : starts a pass
    roles : which column is what
    steps : fitted transformers that append the segment column
    encoding : how covariates become numbers
    position : of the segment column in X; None for one segment
    weight_factor : what weights are multiplied by; None where there are none
    labels : labels of the segments in the order in which they were seen
    seen : rows, and sum of their outcomes, of the first pass
    filler : fills gaps after the other transformers; None where there are none
    allows_gaps : whether rows with gaps are encoded as they are
    dropping : columns for whose gaps rows are left out; None where none are
    """

    owner: str
    opened: Opened
    roles: Roles
    steps: list[Any] = field(default_factory=list)
    encoding: ColumnEncoding | GapMarks | None = None
    position: int | None = None
    weight_factor: float | None = None
    labels: dict[Any, int] = field(default_factory=dict)
    seen: tuple[int, float] | None = None
    filler: Any = None
    allows_gaps: bool = False
    dropping: GapMarks | None = None

    def raw(self) -> Iterator[RawRows]:
        """Read the source once, and compare with the pass before."""
        n, total = 0, 0.0
        for table in self.opened():
            if table.num_rows:
                rows = raw_rows(table, self.roles)
                n, total = n + len(rows.y), total + float(rows.y.sum())
                if self.dropping is not None:
                    rows = rows.taken(np.flatnonzero(~self.dropping.of(rows.X).any(axis=1)))
                if len(rows.y):
                    yield rows
        self.check_same(n, total)

    def learned(self) -> tuple[dict[Any, int], tuple[int, float] | None]:
        """Return what passes have taught so far: the segments, and what rows must add up to."""
        return dict(self.labels), self.seen

    def learn(self, learned: tuple[dict[Any, int], tuple[int, float] | None]) -> None:
        """Take over what passes have taught."""
        self.labels, self.seen = learned

    def check_same(self, n: int, total: float) -> None:
        """Compare the rows and the sum of the outcomes of a pass with those of the one before."""
        if self.seen is None:
            self.seen = n, total
        before, sum_before = self.seen
        if n != before or abs(total - sum_before) > _SAME * max(abs(sum_before), 1.0):
            raise SourceChanged(
                f"scale.fit: `source` changed between two passes: {before:,} rows, then {n:,} (or other outcomes). "
                "Read a snapshot: a fixed version of the table, or a copy of its files."
            )

    def transformed(self, X: pd.DataFrame) -> Any:
        """Append the segments, and fill gaps."""
        for step in self.steps:
            X = step.transform(X)
        return X if self.filler is None else self.filler.transform(X)

    def encoded(self, raw: RawRows) -> Rows:
        """Encode rows, and code their segments."""
        assert self.encoding is not None
        X = self.transformed(raw.X)
        values = self.encoding.encode(self.owner, X)
        if not self.allows_gaps:
            _refuse_gaps(values, self.encoding.names)
        found = code_segments(self.owner, X, self.position, may_look_like_ids=True)
        places = [
            self.labels.setdefault(label, len(self.labels)) for label in found.labels.tolist()
        ]
        weight = None
        if raw.weight is not None and self.weight_factor is not None:
            weight = raw.weight * self.weight_factor
        codes = np.array(places, dtype=np.intp)[found.codes]
        return Rows(values, raw.y, raw.treatment, weight, codes)

    def rows(self) -> Iterator[Rows]:
        """Read and encode the source once."""
        return map(self.encoded, self.raw())

    def by_segment(self) -> Iterator[tuple[int, Rows]]:
        """Yield the rows of each segment in each batch."""
        for rows in self.rows():
            yield from split_by_segment(rows)


def split_by_segment(rows: Rows) -> Iterator[tuple[int, Rows]]:
    """Yield the rows of each segment."""
    few = rows.codes.astype(np.int16) if rows.codes.max(initial=0) < 2**15 else rows.codes
    order = np.argsort(few, kind="stable")  # by counting, where codes are short
    codes = few[order]
    begins = np.flatnonzero(np.append(True, codes[1:] != codes[:-1]))
    for at in np.split(order, begins[1:]):
        yield int(rows.codes[at[0]]), rows.taken(at)


def _refuse_gaps(values: Float, names: tuple[str, ...]) -> None:
    gaps = np.isnan(values).sum(axis=0)
    if gaps.any():
        found = [f"{names[j]} ({gaps[j]})" for j in np.flatnonzero(gaps).tolist()]
        raise ValueError(
            f"scale.fit: covariates have missing values, in the columns {first_few(found, noun='columns')} of one "
            "batch. Fill them in the source and add a 0/1 column that says where, or drop those rows."
        )


def encoding_like(encoded: EncodedColumns) -> ColumnEncoding:
    """Keep how columns were encoded, for other rows."""
    return ColumnEncoding(
        encoded.names, encoded.source, encoded.kinds, np.zeros(len(encoded.names))
    )

"""Gaps in the covariates: refused, filled, or their rows left out, before anything else sees X.

Categories need none of this: a missing level is a level of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import bdtrc
from sklearn.utils import check_random_state

from segcate._covariates.imputation import impute
from segcate._inputs import frames
from segcate._inputs.arrays import Bool, Float, Int
from segcate._inputs.effect_data import DesignData, EffectData
from segcate._inputs.encoding import encode_columns, read_again
from segcate._inputs.kinds import ColumnKind, read_column, with_note
from segcate._inputs.listing import first_few, listed
from segcate._inputs.parameters import check_option
from segcate._inputs.segments import SegmentCodes
from segcate._inputs.weights import present, read_weights

Data = TypeVar("Data", bound=DesignData)

MISSING_OPTIONS = ("auto", "indicator", "drop", "impute")
# Up to this share of incomplete rows it does not matter how they are filled (columns.md, D).
MOST_INCOMPLETE = 0.05
# An indicator needs so many missing rows in each arm of the segment; a rarer one separates.
FEWEST_MISSING = 10
N_IMPUTATIONS = 5


@dataclass(frozen=True, slots=True)
class Filling:
    """How a fit treated gaps, for new rows and for reports.

    Attributes
    ----------
    how : "indicator", "drop" or "impute"
    kinds : records of the number columns with gaps
    n_missing : int64 array of shape (n_kinds, n_arms), rows without a value in each arm
    n_rows : int64 array of shape (n_arms,), rows of each arm
    fills : float64 array of shape (n_segments, n_kinds)
        What stands in for a missing value: the mean of the column in the segment.
    new_fills : float64 array of shape (n_kinds,), the same for new rows: the mean over all
    empty : positions of number columns without any value, which become constant
    indicators : columns (of `kinds`) with a 0/1 column "x: missing" after the last one of X
    names : names of these
    share_incomplete : float64 array of shape (n_segments,), rows that had a gap
    complete : positions of the rows that were kept by "drop"; None where none were left out, or not known
    n_complete : how many rows "drop" kept
    """

    how: str
    kinds: tuple[ColumnKind, ...]
    n_missing: npt.NDArray[np.int64]
    n_rows: npt.NDArray[np.int64]
    fills: Float
    new_fills: Float
    empty: tuple[int, ...]
    indicators: tuple[int, ...]
    names: tuple[str, ...]
    share_incomplete: Float
    complete: Int | None = None
    n_complete: int = 0

    def describe(self) -> str:
        """Say which columns had gaps, and what was done, in one line."""
        total = max(int(self.n_rows.sum()), 1)
        share = [f"{k.name} {100 * n.sum() / total:.2g} %" for k, n in self._columns]
        columns = first_few(share)
        if self.how == "drop":
            n_left_out = total - self.n_complete
            return (
                f"{columns}; {n_left_out} of {total} rows left out, effects are those of the rest"
            )
        if self.how == "impute":
            return (
                f"{columns}; {N_IMPUTATIONS} imputations with treatment and outcome, Rubin's rule"
            )
        what = "mean of the segment" if len(self.fills) > 1 else "mean"
        return f"{columns}; {what}" + (" and 0/1 indicator" if self.names else "")

    @property
    def _columns(self) -> list[tuple[ColumnKind, npt.NDArray[np.int64]]]:
        return list(zip(self.kinds, self.n_missing, strict=True))

    @property
    def shares_by_arm(self) -> dict[str, list[float]]:
        """Share of missing values in each arm, by column."""
        size = np.maximum(self.n_rows, 1)
        return {kind.name: (n / size).tolist() for kind, n in self._columns}

    def records(self, kinds: Sequence[ColumnKind]) -> tuple[ColumnKind, ...]:
        """Add share and treatment of gaps to the records of the columns that models got."""
        total = max(int(self.n_rows.sum()), 1)
        had = {kind.position: (j, kind) for j, kind in enumerate(self.kinds)}
        first_added = min((k.position for k in kinds if k.name in self.names), default=None)
        told = []
        for kind in kinds:
            if first_added is not None and kind.position >= first_added:
                continue
            if kind.position in had:
                j, before = had[kind.position]
                share = float(self.n_missing[j].sum()) / total
                kind = kind if self.how == "drop" else before
                kind = with_note(replace(kind, share_missing=share), self._note(j, share))
            elif kind.position in self.empty:
                kind = replace(kind, found="nothing", note="no value at all", share_missing=1.0)
            told.append(kind)
        return tuple(told)

    def _note(self, j: int, share: float) -> str:
        """Say what was done about the gaps of one column."""
        text = f"{100 * share:.2g} % missing: "
        if self.how == "drop":
            return text + "rows left out"
        if self.how == "impute":
            return text + f"{N_IMPUTATIONS} imputations"
        has_own = (
            "and 0/1 indicator"
            if j in self.indicators
            else f"(no 0/1 indicator: below {FEWEST_MISSING} gaps in an arm, or gaps of another column)"
        )
        return text + f"{'segment mean' if len(self.fills) > 1 else 'mean'} {has_own}"

    def remarks(self) -> list[str]:
        """Say of each segment how many of its rows were filled, where that is more than 5 %."""
        if self.how == "drop":
            return []
        return [
            f"{100 * share:.0f} % of rows have a covariate filled in"
            if share > MOST_INCOMPLETE
            else ""
            for share in self.share_incomplete
        ]

    def apply(self, owner: str, X: Any) -> Any:
        """Fill new rows of X as the fit was filled, with the means over all its rows."""
        columns: dict[int, Float] = dict.fromkeys(self.empty, np.zeros(frames.n_rows(X)))
        gaps: list[Bool] = []
        for kind, fill in zip(self.kinds, self.new_fills, strict=True):
            values = np.asarray(read_again(owner, X, kind), dtype=np.float64)
            gaps.append(np.isnan(values))
            columns[kind.position] = np.where(gaps[-1], fill, values)
        return rebuilt(X, columns, self.names, [gaps[j] for j in self.indicators])


def treat_missing(
    owner: str,
    data: Data,
    how: str,
    *,
    takes_missing: bool = False,
    skip: Sequence[int] = (),
    allowed: Sequence[str] = MISSING_OPTIONS,
) -> tuple[Data, Filling | None]:
    """Treat missing covariates as `how` says; data without gaps stay as they are.

    Parameters
    ----------
    owner : estimator that a message names
    data : checked input, whose X may have gaps
    how : "auto", "indicator", "drop" or "impute"
    takes_missing : whether the models in use can do with gaps; "auto" then leaves them
    skip : positions of columns that are no covariates of a model
    allowed : what `how` may be here

    Returns
    -------
    data : with X filled and indicators behind its last column, or without the incomplete rows; for
        "impute" X keeps its gaps, and `complete_data` draws what takes their place
    filling : Filling, or None where there was nothing to do
    """
    _check_how(owner, how, allowed)
    if how == "auto" and takes_missing:
        return data, None
    gaps = _gaps(data, skip)
    if not gaps:
        return data, None
    if how == "drop":
        return _drop(owner, data, gaps)
    read = [read_column(owner, data.X, i) for i in gaps]
    numbers = [
        (kind, np.asarray(content, dtype=np.float64))
        for kind, content in read
        if kind.found not in ("category", "nothing") and content is not None
    ]
    empty = tuple(kind.position for kind, _ in read if kind.found == "nothing")
    if not numbers and len(empty) in (0, len(data.covariates)):
        return data, None
    kinds = tuple(kind for kind, _ in numbers)
    values = np.column_stack([v for _, v in numbers]) if numbers else np.empty((data.n_rows, 0))
    missing = np.isnan(values)
    size, share = _share_incomplete(data, np.asarray(missing.any(axis=1)))
    if how == "auto":
        refuse_many(owner, kinds, missing.sum(axis=0), share, size, data.segment, allowed)
    return _filled(data, "impute" if how == "impute" else "indicator", kinds, values, empty, share)


def missing_by_arm(data: DesignData) -> dict[str, list[float]]:
    """Return the share of missing values in each arm, for the covariates that have any."""
    gaps = _gaps(data, ())
    if not gaps:
        return {}
    arm = _arms(data)
    size = np.maximum(np.bincount(arm), 1)
    return {
        _name(data.X, i): (np.bincount(arm[gap], minlength=len(size)) / size).tolist()
        for i, gap in gaps.items()
    }


def complete_data(data: EffectData, filling: Filling | None, rng: Any) -> list[EffectData]:
    """Return the data of each imputation: five under "impute", else the data as they are.

    A value is drawn from its regression, in the segment where that has rows enough, on all other
    covariates, treatment, outcome and their product.
    """
    if filling is None or filling.how != "impute" or not filling.kinds:
        return [data]
    places = [kind.position for kind in filling.kinds]
    values = np.column_stack([read_again("", data.X, kind) for kind in filling.kinds])
    others = encode_columns(data.X, [i for i in data.covariates if i not in places]).values
    arms = data.treatment.astype(np.float64)[:, None]
    if data.treatment.dtype.kind != "f":
        arms = (data.treatment[:, None] == np.unique(data.treatment)[1:]).astype(np.float64)
    y = (data.y - data.y.mean())[:, None]
    known = np.column_stack([others, arms, y, arms * y])
    drawn = impute(values, known, data.segment.codes, N_IMPUTATIONS, check_random_state(rng))
    return [
        replace(data, X=frames.replace_columns(data.X, dict(zip(places, one.T, strict=True))))
        for one in drawn
    ]


def _check_how(owner: str, how: str, allowed: Sequence[str]) -> None:
    if how == "impute" and "impute" not in allowed:
        raise ValueError(
            f"{owner}: `missing` must be one of {list(allowed)}; got 'impute', which draws values from treatment "
            f"and outcome and pools five fits; {owner} does not. Use 'indicator' or 'drop', or an estimator that "
            "imputes, for example SegmentMatching(missing='impute')."
        )
    check_option(owner, "missing", how, allowed)


def _gaps(data: DesignData, skip: Sequence[int]) -> dict[int, Bool]:
    """Mark the missing values of each covariate that has any."""
    found = {}
    for i in data.covariates:
        if i not in skip:
            column = frames.column_values(data.X, i)
            if column.dtype.kind in "iub" or (column.dtype.kind == "f" and _has_finite_sum(column)):
                continue
            missing = np.asarray(pd.isna(column))
            if missing.any():
                found[i] = missing
    return found


def _has_finite_sum(values: npt.NDArray[Any]) -> bool:
    """Tell in one cheap pass that no number is missing or infinite; a sum may overflow for other reasons."""
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(values.sum()))


def _share_incomplete(data: DesignData, incomplete: Bool) -> tuple[Float, Float]:
    """Count the rows of each segment, and the share with a gap; rows of weight 0 are not there."""
    counts = np.ones(data.n_rows)
    if data.sample_weight is not None:
        counts = (data.sample_weight > 0).astype(np.float64)
    codes, n = data.segment.codes, data.segment.n_segments
    size = np.bincount(codes, counts, n).astype(np.float64)
    return size, np.bincount(codes, counts * incomplete, n) / np.maximum(size, 1)


def _has_many(share: Float, size: Float) -> Bool:
    """Mark segments with more than 5 % of incomplete rows, beyond chance unless all rows together have."""
    is_above = np.asarray(share > MOST_INCOMPLETE)
    if share @ size > MOST_INCOMPLETE * size.sum():
        return is_above
    by_chance = bdtrc(np.rint(share * size) - 1, size.astype(np.int64), MOST_INCOMPLETE)
    return np.asarray(is_above & (by_chance < MOST_INCOMPLETE))


def refuse_many(
    owner: str,
    kinds: Sequence[ColumnKind],
    n_missing: npt.NDArray[Any],
    share: Float,
    size: Float,
    segment: SegmentCodes,
    allowed: Sequence[str],
) -> None:
    """Raise where more than 5 % of the rows are incomplete: name the columns and ways on.

    In one of several segments they are too many where chance does not explain them: 2 of 30 rows are
    filled, and the status says so.
    """
    many = np.flatnonzero(_has_many(share, size))
    if not len(many):
        return
    columns = [f"{k.name} ({int(n)})" for k, n in zip(kinds, n_missing, strict=True)]
    where = "the rows"
    if segment.position is not None:
        where = f"the rows of segment {listed([segment.labels[many[0]]])}"
    ways = [
        "missing='indicator' fills in means and adds 0/1 columns (right where the treatment was decided on what "
        "was seen)"
    ]
    if "drop" in allowed:
        ways.append("missing='drop' takes the complete rows (the effect is that of those rows)")
    if "impute" in allowed:
        ways.append(
            "missing='impute' makes 5 imputations with treatment and outcome (right in most other cases)"
        )
    raise ValueError(
        f"{owner}: Input X contains NaN, in the columns {first_few(columns, noun='columns')}, and the models in use "
        f"cannot take it; {100 * share[many[0]]:.0f} % of {where} are incomplete, and above "
        f"{100 * MOST_INCOMPLETE:.0f} % it matters what is done. Say so: {'; '.join(ways)}. Or choose models that "
        "take NaN, such as HistGradientBoostingClassifier for the propensity."
    )


def _drop(owner: str, data: Data, gaps: dict[int, Bool]) -> tuple[Data, Filling | None]:
    """Leave out the rows with a gap in any covariate that has values at all."""
    told = {i: m for i, m in gaps.items() if not m.all()}
    if not told:
        return data, None
    incomplete = np.logical_or.reduce(list(told.values()))
    rows = np.flatnonzero(~incomplete)
    if data.treatment.dtype.kind != "f":
        left = [int((data.treatment[rows] == arm).sum()) for arm in (0, 1)]
        refuse_no_rows(owner, left, data.n_rows, len(rows))
    kinds = tuple(ColumnKind(_name(data.X, i), i, "number", "number") for i in told)
    n_missing, n_rows = _by_arm(data, np.column_stack(list(told.values())))
    filling = Filling(
        "drop", kinds, n_missing, n_rows, np.empty((0, len(kinds))), np.full(len(kinds), np.nan),
        (), (), (), _share_incomplete(data, incomplete)[1], rows, len(rows),
    )  # fmt: skip
    return _rows_of(data, rows), filling


def refuse_no_rows(owner: str, left: Sequence[int], n_rows: int, n_complete: int) -> None:
    """Raise where "drop" leaves no row of an arm: rows left of controls, and of the treated."""
    for n, word in zip(reversed(left), ("treated", "control"), strict=True):
        if n == 0:
            raise ValueError(
                f"{owner}: with missing='drop' no {word} row is left ({n_complete} of {n_rows} rows are complete). "
                "Use missing='indicator' or 'impute', or leave out the columns with most gaps."
            )


def _name(X: Any, position: int) -> str:
    names = frames.column_names(X)
    return names[position] if names is not None else f"x{position}"


def _rows_of(data: Data, rows: Int) -> Data:
    """Take rows; segments and groups that have none left are gone."""
    taken = data.take(rows)
    kept, codes = np.unique(taken.segment.codes, return_inverse=True)
    groups, weight = taken.groups, taken.sample_weight
    if groups is not None:
        groups = np.unique(groups, return_inverse=True)[1].astype(np.intp)
    return replace(
        taken,
        segment=SegmentCodes(
            codes.astype(np.intp), data.segment.labels[kept], data.segment.position
        ),
        sample_weight=None if weight is None else read_weights(weight),
        groups=groups,
    )


def _by_arm(data: DesignData, missing: Bool) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Count the missing values of each column in each arm, and the rows; doses are one arm."""
    arm = _arms(data)
    n_rows = np.bincount(arm)
    counts = [np.bincount(arm[column], minlength=len(n_rows)) for column in missing.T]
    return np.array(counts, dtype=np.int64).reshape(-1, len(n_rows)), n_rows


def _arms(data: DesignData) -> Int:
    if data.treatment.dtype.kind == "f":
        return np.zeros(data.n_rows, dtype=np.intp)
    return data.treatment.astype(np.intp)


def _filled(
    data: Data,
    how: str,
    kinds: tuple[ColumnKind, ...],
    values: Float,
    empty: tuple[int, ...],
    share: Float,
) -> tuple[Data, Filling]:
    """Fill with the means of the segments, and add the indicators that have rows enough."""
    missing = np.isnan(values)
    codes = data.segment.codes
    fills, overall = _means(data, values, missing)
    shown: dict[int, Bool] = {}
    if how == "indicator":
        shown = _indicators(data, missing)
    names = free_names(data.X, [f"{kinds[j].name}: missing" for j in shown])
    columns: dict[int, Float] = dict.fromkeys(empty, np.zeros(data.n_rows))
    for j, kind in enumerate(kinds):
        columns[kind.position] = np.where(missing[:, j], fills[codes, j], values[:, j])
    n_missing, n_rows = _by_arm(data, missing)
    filling = Filling(
        how, kinds, n_missing, n_rows, fills, overall, empty, tuple(shown), names, share
    )
    if how == "impute":
        columns = {i: columns[i] for i in empty}
    return replace(data, X=rebuilt(data.X, columns, names, list(shown.values()))), filling


def _means(data: DesignData, values: Float, missing: Bool) -> tuple[Float, Float]:
    """Return the means of known values in each segment and over all; rows of weight 0 are not there."""
    codes, n_segments = data.segment.codes, data.segment.n_segments
    is_there = np.ones(data.n_rows, dtype=bool)
    if data.sample_weight is not None:
        is_there = data.sample_weight > 0
    n_known, total = np.zeros((2, n_segments, values.shape[1]))
    largest = np.zeros(values.shape[1])
    for j, (column, gap) in enumerate(zip(values.T, missing.T, strict=True)):
        known = is_there & ~gap
        if not known.any():
            known = ~gap
        n_known[:, j] = np.bincount(codes[known], minlength=n_segments)
        total[:, j] = np.bincount(codes[known], column[known], n_segments)
        largest[j] = np.abs(column[known]).max()
    return rounded_means(total, n_known, largest)


def rounded_means(total: Float, n_known: Float, largest: Float) -> tuple[Float, Float]:
    """Return the means of segments and of all, rounded to a 2**33rd of the largest values.

    Sums in another order then give the same fills to the last bit, and rows the same content.

    Parameters
    ----------
    total, n_known : float64 arrays of shape (n_segments, n_columns), sums and counts of known values
    largest : float64 array of shape (n_columns,), sizes of the largest values
    """
    overall = total.sum(axis=0) / n_known.sum(axis=0)
    means = np.where(n_known > 0, total / np.maximum(n_known, 1), overall)
    step = 2.0 ** (np.ceil(np.log2(np.maximum(largest, 1e-300))) - 33)
    return np.round(means / step) * step, np.round(overall / step) * step


def _indicators(data: DesignData, missing: Bool) -> dict[int, Bool]:
    """Mark gaps where ten rows of each arm of the segment have one; columns alike are one."""
    arm = _arms(data)
    n_arms = int(arm.max()) + 1
    cell, n_cells = data.segment.codes * n_arms + arm, data.segment.n_segments * n_arms
    kept = present(data.sample_weight)
    cell, missing_there = (cell, missing) if kept is None else (cell[kept], missing[kept])
    shown: dict[int, Bool] = {}
    for j, gap in enumerate(missing.T):
        counts = np.bincount(cell[missing_there[:, j]], minlength=n_cells).reshape(-1, n_arms)
        has_many = np.asarray((counts >= FEWEST_MISSING).all(axis=1))
        column = gap & has_many[data.segment.codes]
        if column.any() and not any((column == other).all() for other in shown.values()):
            shown[j] = column
    return shown


def free_names(X: Any, names: list[str]) -> tuple[str, ...]:
    """Return names that no column of X has."""
    taken = set(frames.column_names(X) or [])
    found = []
    for name in names:
        while name in taken:
            name += "_"
        taken.add(name)
        found.append(name)
    return tuple(found)


def rebuilt(X: Any, columns: dict[int, Float], names: Sequence[str], extra: Sequence[Bool]) -> Any:
    """Return X with some columns replaced and some added behind the last one."""
    X = frames.replace_columns(X, columns)
    for name, values in zip(names, extra, strict=True):
        X = frames.append_column(X, name, values.astype(np.float64))
    return X

"""Turn what a user passes into clean arrays; the one place where bad input is told what is wrong."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.utils import column_or_1d, get_tags
from sklearn.utils.validation import validate_data

from segcate import _frames
from segcate._inputs.cells import read_cells
from segcate._inputs.containers import refuse_no_table, without_dump
from segcate._inputs.groups import refuse_groups_that_are_arms
from segcate._inputs.labels import label_values
from segcate._inputs.listing import listed
from segcate._inputs.peek import count_gaps
from segcate._inputs.segment_column import Segment, find_segment_column
from segcate._inputs.vectors import (
    are_counts,
    as_array,
    check_same_index,
    count_not_finite,
    refuse_huge,
)
from segcate._inputs.weights import GivenRows, present_groups, read_weights
from segcate._routing import how_to_pass

Float = npt.NDArray[np.float64]
Int = npt.NDArray[np.intp]
TreatmentKind = Literal["binary", "arms", "continuous"]

__all__ = [
    "EffectData",
    "Segment",
    "SegmentCodes",
    "TreatmentKind",
    "check_arms",
    "check_dose",
    "check_effect_data",
    "check_features",
    "check_in_unit_interval",
    "check_option",
    "check_outcome",
    "check_treatment",
    "check_weights",
    "code_segments",
    "find_segment_column",
    "is_zero_one",
    "listed",
    "takes_missing",
]


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


@dataclass(frozen=True, slots=True)
class EffectData:
    """Everything a fit was given, checked and of one length.

    Attributes
    ----------
    X : frame, or float array of shape (n_rows, n_columns), segment column included
    treatment : array of shape (n_rows,)
        int8 values 0 and 1; int64 codes of several arms, 0 the control; or float64 doses.
    segment : the rows' segments
    y : float64 array of shape (n_rows,), None in the design stage
    sample_weight : float64 array of shape (n_rows,) or None
        As `segcate._inputs.weights.read_weights` gives them; None where all rows weigh the same.
    groups : intp codes of shape (n_rows,) or None
    propensity : float64 array of shape (n_rows,), inside (0, 1), or None
    given : the rows as they came, where `present_rows` left some out
    """

    X: Any
    treatment: npt.NDArray[Any]
    segment: SegmentCodes
    y: Float | None = None
    sample_weight: Float | None = None
    groups: Int | None = None
    propensity: Float | None = None
    given: GivenRows | None = None

    @property
    def n_rows(self) -> int:
        """Count the rows."""
        return len(self.treatment)

    @property
    def covariates(self) -> list[int]:
        """Positions of the columns of X that are not the segment."""
        return [i for i in range(self.X.shape[1]) if i != self.segment.position]


def check_option(owner: str, name: str, value: Any, allowed: Iterable[Any]) -> None:
    """Raise unless `value` is one of the allowed ones."""
    options = list(allowed)
    if not any(
        value is option or (type(value) is type(option) and value == option) for option in options
    ):
        raise ValueError(f"{owner}: `{name}` must be one of {options}; got {value!r}.")


def check_in_unit_interval(owner: str, name: str, value: Any) -> None:
    """Raise unless `value` is a number strictly between 0 and 1."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float | np.number)
        or not 0 < value < 1
    ):
        raise ValueError(f"{owner}: `{name}` must be a number inside (0, 1); got {value!r}.")


def takes_missing(model: Any) -> bool:
    """Tell whether a model says that it can be fitted with NaN in X."""
    is_tagged = hasattr(model, "__sklearn_tags__") and not isinstance(model, type)
    return is_tagged and bool(get_tags(model).input_tags.allow_nan)


def check_features(
    estimator: Any,
    X: Any,
    *,
    reset: bool,
    allow_missing: bool = True,
    segment: Segment = None,
) -> Any:
    """Check X and remember (or compare) its columns; a frame stays a frame, all else becomes floats.

    Infinite values are refused, and NaN too unless `allow_missing`. Of gaps in the column `segment`
    (a name or position) `code_segments` tells.
    """
    owner = type(estimator).__name__
    refuse_no_table(owner, X)
    _refuse_repeated_names(owner, X)
    if not _frames.is_frame(X):
        X = _as_floats(estimator, X, reset)
        if not allow_missing and np.isnan(X.sum()):
            names = [f"x{i}" for i in range(X.shape[1])]
            skipped = _position(segment, names)
            _refuse_gaps(
                owner,
                {
                    name: int(np.isnan(X[:, i]).sum())
                    for i, name in enumerate(names)
                    if i != skipped
                },
            )
        return X
    rows, columns = X.shape
    if rows == 0 or columns == 0:
        raise ValueError(
            f"{owner}: X has {rows} rows and {columns} columns; at least one of each is needed."
        )
    validate_data(estimator, X, reset=reset, skip_check_array=True)
    names = _frames.column_names(X) or []
    gaps = count_gaps(owner, X, skipped=_position(segment, names))
    if not allow_missing:
        _refuse_gaps(owner, gaps)
    return X


def _refuse_repeated_names(owner: str, X: Any) -> None:
    if isinstance(X, pd.DataFrame) and not X.columns.is_unique:
        repeated = X.columns[X.columns.duplicated()].unique()
        raise ValueError(
            f"{owner}: X has columns of the same name: {listed(repeated.astype(str))}. Rename them."
        )


def _position(segment: Segment, names: list[str]) -> int | None:
    """Return the position of the segment column if it is easy to tell, else None."""
    if isinstance(segment, str):
        segment = "segment" if segment == "auto" else segment
        return names.index(segment) if segment in names else None
    is_position = isinstance(segment, int | np.integer) and bool(names)
    return int(segment) % len(names) if is_position and segment is not None else None


def _as_floats(estimator: Any, X: Any, reset: bool) -> Float:
    """Return an array of numbers as floats; name the column that holds something else."""
    try:
        values: Float = validate_data(
            estimator, X, reset=reset, dtype=np.float64, ensure_all_finite="allow-nan"
        )
        return values
    except (TypeError, ValueError) as error:
        found = _no_numbers(np.asarray(X)) if isinstance(X, np.ndarray | list | tuple) else ""
        said = f"{found or 'X is no table of numbers'} ({without_dump(error)})"
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{type(estimator).__name__}: {said}") from error


def _no_numbers(values: npt.NDArray[Any]) -> str:
    """Say which column of an array is not numbers; "" where all of them are."""
    if values.ndim != 2 or values.dtype.kind not in "OUSMm":
        return ""
    for i in range(values.shape[1]):
        try:
            found = read_cells("", values, i).found
        except TypeError as error:
            return str(error)
        if found not in ("number", "nothing"):
            example = next((v for v in values[:, i].tolist() if not _frames.is_missing(v)), None)
            return (
                f"X is an array, and column 'x{i}' of it holds {found} ({example!r}); arrays hold numbers. Pass a "
                "DataFrame, whose columns may be text, dates or categories."
            )
    return ""


def _refuse_gaps(owner: str, gaps: dict[str, int]) -> None:
    """Raise if any column has missing values, and say which."""
    found = [f"{name} ({n})" for name, n in gaps.items() if n]
    if found:
        more = f" and {len(found) - 5} more columns" if len(found) > 5 else ""
        raise ValueError(
            f"{owner}: Input X contains NaN, in the columns {', '.join(found[:5])}{more}, and the models in use "
            "cannot take it. Impute before this step (a missing-indicator keeps the information), or choose models "
            "that can, such as HistGradientBoostingClassifier for the propensity."
        )


def check_outcome(owner: str, y: Any, X: Any) -> Float:
    """Check that y is numeric, finite, one-dimensional and as long as X."""
    if y is None:
        raise ValueError(
            f"This {owner} estimator requires y to be passed, but the target y is None: an effect needs an outcome."
        )
    values = _numbers(owner, "y", _column(owner, "y", y, warn=True), "numeric (0/1 or measured)")
    n_bad = count_not_finite(values)
    if n_bad:
        raise ValueError(
            f"{owner}: Input y contains NaN or infinity in {n_bad} of {len(values)} rows. "
            "Drop those rows from X, y and treatment alike before the fit."
        )
    _check_length(owner, "y", values, X)
    refuse_huge(owner, "y", values)
    return values


def is_zero_one(y: Float) -> bool:
    """Tell whether all values are 0 or 1."""
    return bool(np.isin(y, (0.0, 1.0)).all())


def check_treatment(owner: str, treatment: Any, X: Any) -> npt.NDArray[np.int8]:
    """Check that treatment holds 0 and 1 (or bool), has no gaps and belongs to the rows of X."""
    values = _treatment_column(owner, treatment, X)
    if values.dtype.kind in "iub" and len(values) and values.min() >= 0 and values.max() <= 1:
        return values.astype(np.int8)
    levels = _treatment_levels(owner, values)
    if not _are_numbers(levels) or not np.isin(levels.astype(np.float64), [0.0, 1.0]).all():
        raise ValueError(
            f"{owner}: `treatment` must hold only 0 and 1 (1 = treated); found {{{listed(levels)}}}. "
            "Recode it, for example `treatment == 'offer'`, or with segcate.encode_treatment(labels, control=...)."
        )
    return values.astype(np.int8)


def check_arms(owner: str, treatment: Any, X: Any) -> npt.NDArray[np.int64]:
    """Check that treatment codes arms as 0 (control), 1, 2, ..., without gaps and all present.

    Of two arms one may be empty: what that means is the caller's to say.
    """
    values = _treatment_column(owner, treatment, X)
    if values.dtype.kind in "iub" and len(values) and values.min() >= 0 and values.max() <= 1:
        return values.astype(np.int64)
    levels = _treatment_levels(owner, values)
    advice = (
        "Code the arms 0, 1, 2, ... with 0 the control, for example with "
        "segcate.encode_treatment(labels, control=...)."
    )
    if not _are_numbers(levels) or not are_counts(levels.astype(np.float64)):
        raise ValueError(
            f"{owner}: `treatment` must hold integer codes of arms; found {{{listed(levels)}}}. {advice}"
        )
    codes = values.astype(np.int64)
    n_arms = max(int(codes.max()) + 1, 2)
    if codes.min() < 0 or (n_arms != len(levels) and n_arms > 2):
        raise ValueError(
            f"{owner}: `treatment` must hold every code from 0 to the largest; found {{{listed(levels)}}} "
            f"(n_samples={len(codes)} rows). {advice}"
        )
    return codes


def check_dose(owner: str, treatment: Any, X: Any) -> Float:
    """Check a continuous treatment: finite numbers that are not all the same."""
    values = _treatment_column(owner, treatment, X)
    dose = _numbers(owner, "`treatment`", values, "numbers, the dose of each row")
    n_bad = int((~np.isfinite(dose)).sum())
    if n_bad:
        raise ValueError(
            f"{owner}: `treatment` is NaN or infinite in {n_bad} of {len(dose)} rows. Drop those rows, "
            "or say what their dose was."
        )
    if len(dose) and (dose == dose[0]).all():
        raise ValueError(
            f"{owner}: `treatment` is {dose[0]:g} in all n_samples={len(dose)} rows; an effect needs "
            "doses that differ."
        )
    refuse_huge(owner, "treatment", dose)
    return dose


def _treatment_column(owner: str, treatment: Any, X: Any) -> npt.NDArray[Any]:
    """Take the treatment as one column that belongs to the rows of X."""
    if treatment is None:
        raise ValueError(f"{owner} needs `treatment`, but none came. {how_to_pass('treatment')}")
    values = _column(owner, "treatment", treatment)
    _check_length(owner, "treatment", values, X)
    return values


def _treatment_levels(owner: str, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """List the arms that occur; refuse rows without one."""
    codes, levels = _frames.sorted_codes(values)
    if any(_frames.is_missing(level) for level in levels.tolist()):
        raise ValueError(
            f"{owner}: `treatment` is missing (NaN) in {int((codes == len(levels) - 1).sum())} of {len(values)} "
            "rows. Drop those rows, or say which arm they were in."
        )
    return levels


def check_weights(owner: str, sample_weight: Any, X: Any) -> Float | None:
    """Check that weights are finite and not negative, and read them (see `read_weights`)."""
    if sample_weight is None:
        return None
    values = as_array(owner, "sample_weight", sample_weight)
    if values.ndim == 0:
        raise ValueError(
            f"{owner}: `sample_weight` must be an array; got {sample_weight!r}. Pass one weight for every row."
        )
    if values.ndim != 1:
        raise ValueError(f"Sample weights must be 1D array or scalar, got {values.ndim}D array.")
    values = _numbers(owner, "`sample_weight`", values, "numbers, at least 0")
    _check_length(owner, "sample_weight", values, X)
    if not np.isfinite(values).all() or (values < 0).any():
        raise ValueError(
            f"{owner}: `sample_weight` must be finite and not negative; "
            f"{int((~np.isfinite(values)).sum())} are not finite, {int((values < 0).sum())} are negative. "
            "Drop those rows, or give them weight 0."
        )
    refuse_huge(owner, "sample_weight", values)
    if not (values > 0).any():
        raise ValueError(
            f"{owner}: `sample_weight` is zero in every row; nothing is left to estimate from."
        )
    return read_weights(values)


def check_propensity(
    owner: str,
    propensity: Any,
    X: Any,
    *,
    weight: Float | None = None,
    takes_certain: bool = False,
    remedy: str = "drop them and say so",
) -> Float | None:
    """Check the propensities handed in.

    They must lie inside (0, 1). Exactly 0 and 1 are taken with `takes_certain`, and in rows of
    weight 0. `remedy` ends the message.
    """
    if propensity is None:
        return None
    values = _column(owner, "propensity", propensity)
    _check_length(owner, "propensity", values, X)
    allowed = "[0, 1]" if takes_certain else "(0, 1)"
    values = _numbers(owner, "`propensity`", values, f"numbers inside {allowed}")
    if len(values) and values.min() >= 1e-100 and values.max() < 1:
        return values
    is_bad = ~((values >= 0) & (values <= 1))
    is_certain = (values == 0) | (values == 1)
    if not takes_certain:
        is_bad |= is_certain if weight is None else is_certain & (weight > 0)
    is_bad |= (values > 0) & (values < 1e-100)  # whose inverse has no square
    if is_bad.any():
        n_missing = int(np.isnan(values).sum())
        found = listed(np.unique(values[is_bad & ~np.isnan(values)]))
        strictly = "" if takes_certain else "strictly "
        raise ValueError(
            f"{owner}: `propensity` must lie {strictly}inside {allowed}; {int(is_bad.sum())} of {len(values)} values "
            f"do not ({found or 'no number'}; NaN {n_missing}). Rows that could never, or would always, be treated "
            f"have no counterpart: {remedy}."
        )
    return values


def check_groups(owner: str, groups: Any, X: Any) -> Int | None:
    """Code the clusters of dependent rows 0, 1, ..."""
    if groups is None:
        return None
    values = _column(owner, "groups", groups)
    _check_length(owner, "groups", values, X)
    codes, levels = _frames.sorted_codes(values)
    if any(_frames.is_missing(level) for level in levels.tolist()):
        raise ValueError(f"{owner}: `groups` has missing values. Give every row its group.")
    if len(levels) < 2:
        raise ValueError(
            f"{owner}: `groups` holds one group only ({listed(levels)}); at least two are needed."
        )
    return codes


def _groups_with_weight(owner: str, groups: Int | None, weight: Float | None) -> Int | None:
    """Leave out groups whose rows all have weight 0."""
    if groups is None:
        return None
    present = present_groups(groups, weight)
    if not present.any():
        raise ValueError(
            f"{owner}: `groups` holds one group only beside rows of weight 0; at least two are needed."
        )
    return present


def code_segments(
    owner: str, X: Any, position: int | None, *, may_look_like_ids: bool = False
) -> SegmentCodes:
    """Read the segment column and code it; refuse gaps, fractions and columns that look like ids."""
    n = _frames.n_rows(X)
    if position is None:
        return SegmentCodes(np.zeros(n, dtype=np.intp), np.array(["all"], dtype=object), None)
    column = label_values(owner, X, position)
    if column.dtype.kind == "f":
        column = _integral(owner, column)
    codes, labels = _frames.sorted_codes(column)
    if any(_frames.is_missing(label) for label in labels.tolist()):
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


def check_effect_data(
    estimator: Any,
    X: Any,
    y: Any = None,
    *,
    treatment: Any,
    segment: Segment,
    sample_weight: Any = None,
    groups: Any = None,
    propensity: Any = None,
    needs_outcome: bool = True,
    allow_missing: bool = False,
    treatment_kind: TreatmentKind = "binary",
    takes_certain: bool = False,
    propensity_remedy: str = "drop them and say so",
) -> EffectData:
    """Check all that a fit was given, in the order a user would want to hear of it.

    `takes_certain` and `propensity_remedy` are those of `check_propensity`.
    """
    owner = type(estimator).__name__
    check_same_index(
        owner, X=X, y=y, treatment=treatment, sample_weight=sample_weight, groups=groups,
        propensity=propensity,
    )  # fmt: skip
    X = check_features(estimator, X, reset=True, allow_missing=allow_missing, segment=segment)
    if needs_outcome or y is not None:
        y = check_outcome(owner, y, X)
    arms = _check_two_arms(owner, treatment, X, treatment_kind)
    codes = code_segments(owner, X, find_segment_column(owner, X, segment))
    clusters = check_groups(owner, groups, X)
    if treatment_kind != "continuous":
        refuse_groups_that_are_arms(owner, clusters, arms)
    weight = check_weights(owner, sample_weight, X)
    return EffectData(
        X=X,
        treatment=arms,
        segment=codes,
        y=y,
        sample_weight=weight,
        groups=_groups_with_weight(owner, clusters, weight),
        propensity=check_propensity(
            owner,
            propensity,
            X,
            weight=weight,
            takes_certain=takes_certain,
            remedy=propensity_remedy,
        ),
    )


def _check_two_arms(owner: str, treatment: Any, X: Any, kind: TreatmentKind) -> npt.NDArray[Any]:
    """Check the treatment by its kind, and that there is something to compare."""
    if _frames.n_rows(X) == 1:
        _treatment_column(owner, treatment, X)
        raise ValueError(
            f"{owner}: X has n_samples=1 row; comparing two arms needs at least 1 row in each."
        )
    if kind == "continuous":
        return check_dose(owner, treatment, X)
    check = check_arms if kind == "arms" else check_treatment
    codes: npt.NDArray[Any] = check(owner, treatment, X)
    for arm, word in ((1, "treated"), (0, "control")):
        if not (codes == arm).any():
            raise ValueError(
                f"{owner}: `treatment` has no {word} rows (all n_samples={len(codes)} are "
                f"{'control' if arm else 'treated'}); an effect needs both arms."
            )
    return codes


def _column(owner: str, name: str, values: Any, *, warn: bool = False) -> npt.NDArray[Any]:
    """Return `values` as a one-dimensional array; a single column counts as one."""
    array = as_array(owner, name, values)
    shape = array.shape
    if len(shape) == 1 or (len(shape) == 2 and shape[1] == 1):
        return np.asarray(column_or_1d(values, warn=warn))
    raise ValueError(
        f"{owner}: `{name}` must be one-dimensional, one value for every row of X (y should be a 1d array); "
        f"got {type(values).__name__} of shape {shape}. Pass a column or a 1d array."
    )


def _are_numbers(values: npt.NDArray[Any]) -> bool:
    """Tell whether an array holds real numbers, bools or gaps only, also one of dtype object."""
    if values.dtype.kind != "O":
        return values.dtype.kind in "iufb"
    return pd.api.types.infer_dtype(values, skipna=True) in _NUMERIC


_NUMERIC = frozenset({"integer", "floating", "mixed-integer-float", "boolean", "decimal", "empty"})


def _numbers(owner: str, name: str, values: npt.NDArray[Any], allowed: str) -> Float:
    """Return `values` as floats (gaps as NaN); refuse text, dates and complex numbers."""
    if values.dtype.kind == "c":
        raise ValueError(
            f"{owner}: {name} must be {allowed}. Complex data not supported: take the real part."
        )
    if not _are_numbers(values):
        raise ValueError(
            f"{owner}: {name} must be {allowed}; found {listed(np.unique(values.astype(str)))}. "
            "Recode it to numbers."
        )
    if values.dtype.kind == "O":
        values = np.where(pd.isna(values), np.nan, values)
    return values.astype(np.float64)


def _check_length(owner: str, name: str, values: npt.NDArray[Any], X: Any) -> None:
    n = _frames.n_rows(X)
    if len(values) != n:
        raise ValueError(
            f"{owner}: `{name}` has {len(values)} values but X has {n} rows (inconsistent numbers of samples); "
            "one value for every row is needed."
        )

"""The propensity of each row: fitted inside its segment, pooled, by any classifier, or handed in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit
from sklearn.base import clone
from sklearn.utils.parallel import Parallel, delayed

from segcate._inputs import frames
from segcate._inputs.arrays import Float
from segcate._inputs.effect_data import DesignData
from segcate._inputs.encoding import EncodedColumns
from segcate._inputs.jobs import in_threads
from segcate._inputs.listing import listed
from segcate._inputs.weights import are_counts, effective_rows, mass_in_rows
from segcate._nuisance.curves import Curves
from segcate._nuisance.segment_logit import fit_segment_logit
from segcate._statistics.columns import independent_columns
from segcate.exceptions import OverlapError
from segcate.matching._logit import LogitFit, fit_logit
from segcate.matching._model_columns import ModelColumns, curves_for
from segcate.matching._score_grid import linear_predictor, place_on_grid
from segcate.matching._shrunken_score import (
    DEPARTURE_SDS,
    LEVEL_SDS,
    NUMBER_SD,
    shrunken_logit,
    split_blocks,
)
from segcate.matching._support import sparse_in_all

Rows = npt.NDArray[np.intp]

# What to do about propensities of 0 and 1, whose log-odds are infinite.
CERTAIN_REMEDY = (
    "drop them and say so, or match on the probability itself, score_scale='probability'"
)
SCORE_SCALES = ("logit", "probability")
# A segment whose smaller arm has fewer rows than this for each slope borrows the pooled slopes.
ROWS_PER_SLOPE = 10
# Ridge on a segment's departures from the pooled slopes, per standard deviation of the column:
# a normal prior with standard deviation 0.5 on the log-odds scale.
DEPARTURE_SD = 0.5
# Ridge where the arms can be separated, so that no maximum exists: scikit-learn's default, C = 1.
SEPARATION_PENALTY = 1.0
NOTE_SHRUNK = "score shrunk to the pooled one (few rows a slope)"
NOTE_SEPARATED = "score penalised (arms can be separated)"


@dataclass(frozen=True, slots=True)
class ScoreOptions:
    """How the propensity is made: the parameters of a matcher that fits one."""

    estimator: Any = None
    score_scale: str = "logit"
    pool_propensity: bool = False
    n_jobs: int | None = None


@dataclass(frozen=True, slots=True)
class PropensityFit:
    """The propensity of every row and how it came about.

    Attributes
    ----------
    propensity : float64 array of shape (n_rows,); NaN in segments without both arms
    linear : float64 array of shape (n_rows,): the log-odds
    logits : one unpenalised `LogitFit` a segment, None where the score is of another kind
    notes : one text a segment, empty where there is nothing to say
    is_ours : whether it came from our own logit, which shrinks the levels of sparse categories
    curves : columns of the penalised logit of all segments; None where there is none
    """

    propensity: Float
    linear: Float
    logits: tuple[LogitFit | None, ...]
    notes: tuple[str, ...]
    is_ours: bool = False
    curves: Curves | None = None


def fit_propensity(
    owner: str,
    data: DesignData,
    encoded: EncodedColumns,
    columns: ModelColumns,
    sparse: npt.NDArray[np.bool_],
    options: ScoreOptions,
) -> PropensityFit:
    """Take the propensity as handed in, or fit it: by our logistic regression, or by a classifier."""
    if data.propensity is not None:
        return given_propensity(data.propensity, data.segment.n_segments)
    if columns.values.shape[1] == 0:
        raise ValueError(
            f"{owner}: X has no covariates beside the segment{left_out(encoded)}, so there is nothing to fit a "
            "propensity on. Keep the covariates in X (segmenters pass them through), or hand in `propensity=`."
        )
    rows_of = rows_by_code(data.segment.codes, data.segment.n_segments)
    how: dict[str, Any] = {"pooled": options.pool_propensity, "n_jobs": options.n_jobs}
    if is_curved(options.estimator):
        return curved_propensity(data, columns, sparse)
    if options.estimator is not None:
        return classifier_propensity(owner, options.estimator, data, rows_of, **how)
    return logit_propensity(data, columns, sparse, rows_of, **how)


def left_out(encoded: EncodedColumns) -> str:
    """Name the columns of X that say nothing, to follow "X has no covariates"."""
    found = ", ".join(f"{kind.name!r} ({kind.note})" for kind in encoded.kinds[:5])
    return f" that say anything (left out: {found})" if found else ""


def rows_by_code(codes: Rows, n_codes: int) -> Sequence[Rows]:
    """Return the rows of each code, ascending."""
    order = np.argsort(codes, kind="stable")
    return np.split(order, np.searchsorted(codes[order], np.arange(1, n_codes)))


def given_propensity(propensity: Float, n_segments: int) -> PropensityFit:
    """Take the propensity as handed in."""
    with np.errstate(divide="ignore"):
        linear = logit(propensity)
    return PropensityFit(propensity, linear, (None,) * n_segments, ("",) * n_segments)


def logit_propensity(
    data: DesignData,
    columns: ModelColumns,
    sparse: npt.NDArray[np.bool_],
    rows_of: Sequence[Rows],
    *,
    pooled: bool,
    n_jobs: int | None,
) -> PropensityFit:
    """Fit our logistic regression in every segment.

    A segment with `sparse` categories, of shape (n_segments, n_categories), shrinks their levels. One
    whose smaller arm has fewer than 10 rows a slope (or every segment, with `pooled`) shrinks its
    slopes to those common to all segments, unless categories are sparse in all segments together,
    too. Where the arms can be separated the likelihood has no maximum and a ridge stands in. The
    latter two are said in the segment's note.
    """
    if data.sample_weight is not None:  # beside a prior, a segment's rows weigh as so many rows
        mass = mass_in_rows(data.sample_weight, data.segment.codes, len(rows_of))
        own = replace(data, sample_weight=mass)
    else:
        own = data
    everyone = sparse_in_all(data, columns) if sparse.any() else []
    borrows = [
        len(rows_of) > 1
        and (
            pooled
            or (
                not (at.any() and any(everyone))
                and _is_thin(columns.values, data.treatment, rows, data.sample_weight)
            )
        )
        for rows, at in zip(rows_of, sparse, strict=True)
    ]
    offset = _pooled_offset(data, columns, everyone) if any(borrows) else None
    parts = (
        (own, columns, rows, at, offset if borrow else None)
        for rows, at, borrow in zip(rows_of, sparse, borrows, strict=True)
    )
    fits = in_threads(_fit_segment, parts, n_jobs)
    linear = np.full(data.n_rows, np.nan)
    notes = []
    for rows, borrow, (values, fit) in zip(rows_of, borrows, fits, strict=True):
        linear[rows] = values
        note = ""
        if borrow and not pooled and not np.isnan(values).any():
            note = NOTE_SHRUNK
        elif not borrow and fit is not None and fit.penalised:
            note = NOTE_SEPARATED
        notes.append(note)
    exact = tuple(
        fit if fit is not None and fit.converged and not fit.penalised else None for _, fit in fits
    )
    return PropensityFit(expit(linear), linear, exact, tuple(notes), is_ours=True)


def _is_thin(Z: Float, treatment: npt.NDArray[np.int8], rows: Rows, weight: Float | None) -> bool:
    """Tell whether the smaller arm has too few rows (or too little weight) for own slopes."""
    is_treated = treatment[rows] == 1
    smaller = float(min(is_treated.sum(), (~is_treated).sum()))
    if weight is not None:
        w, counts = weight[rows], are_counts(weight)
        smaller = min(effective_rows(w[at], as_counts=counts) for at in (is_treated, ~is_treated))
    if smaller == 0 or smaller >= ROWS_PER_SLOPE * Z.shape[1]:
        return False
    return bool(smaller < ROWS_PER_SLOPE * int(independent_columns(Z, rows, weight).sum()))


def _pooled_offset(data: DesignData, columns: ModelColumns, sparse: list[bool]) -> Float:
    """Linear predictor from slopes common to all segments (covariates centred in each segment).

    The levels of categories are shrunk where one is `sparse` over all rows.
    """
    codes, k = data.segment.codes, data.segment.n_segments
    Z = columns.values - columns.values.min(axis=0)
    w = np.ones(data.n_rows) if data.sample_weight is None else data.sample_weight
    size = np.bincount(codes, w, k)
    share = np.bincount(codes, w * data.treatment, k) / np.maximum(size, 1e-300)
    mixed = (share > 0) & (share < 1)
    level = np.where(mixed, logit(np.where(mixed, share, 0.5)), 0.0)
    rows = np.flatnonzero(mixed[codes])
    if any(sparse):
        blocks = split_blocks(ModelColumns(Z, columns.categories), rows, sparse)
        offset = np.zeros(data.n_rows)
        offset[rows] = shrunken_logit(
            blocks,
            data.treatment[rows],
            sds=LEVEL_SDS,
            number_sd=NUMBER_SD,
            weight=None if data.sample_weight is None else w[rows],
            offset=level[codes[rows]],
            centre=(codes[rows], _means(blocks.values, codes[rows], w[rows], k)),
        )
        return offset
    fit = fit_logit(
        Z,
        data.treatment,
        rows=rows,
        weight=data.sample_weight,
        offset=level[codes],
        centre=(codes, _means(Z, codes, w, k)),
    )
    everyone = np.arange(data.n_rows)
    grid = place_on_grid(Z, everyone, np.zeros(Z.shape[1]), 0.0, fit.coef[1:])
    return linear_predictor(Z, grid, everyone)


def _means(Z: Float, codes: Rows, weight: Float, n_codes: int) -> Float:
    """Average the columns over the rows of each code."""
    size = np.maximum(np.bincount(codes, weight, n_codes), 1e-300)
    sums = [np.bincount(codes, weight * z, n_codes) for z in Z.T]
    return np.column_stack(sums) / size[:, None]


def _fit_segment(
    data: DesignData,
    columns: ModelColumns,
    rows: Rows,
    sparse: npt.NDArray[np.bool_],
    offset: Float | None,
) -> tuple[Float, LogitFit | None]:
    """Fit one segment: log-odds of its rows, NaN where an arm is empty, and the fit behind them.

    There is no such fit where the levels of categories were shrunk.
    """
    Z, treatment, weight = columns.values, data.treatment, data.sample_weight
    n_treated = int(treatment[rows].sum())
    if n_treated in (0, len(rows)):
        return np.full(len(rows), np.nan), None
    start = None if offset is None else offset[rows]
    if sparse.any():
        eta = shrunken_logit(
            split_blocks(columns, rows, sparse.tolist()),
            treatment[rows],
            sds=LEVEL_SDS if start is None else DEPARTURE_SDS,
            number_sd=NUMBER_SD if start is None else DEPARTURE_SD,
            weight=None if weight is None else weight[rows],
            offset=start,
        )
        return eta + (0.0 if start is None else start), None
    fit = fit_logit(
        Z,
        treatment,
        rows=rows,
        weight=weight,
        offset=offset,
        penalty=0.0 if offset is None else 1 / DEPARTURE_SD**2,
    )
    if offset is None and not fit.converged:
        fit = fit_logit(Z, treatment, rows=rows, weight=weight, penalty=SEPARATION_PENALTY)
    eta = linear_predictor(Z, fit.grid, rows)
    if start is not None:
        eta += start
    return eta, fit


def is_curved(estimator: Any) -> bool:
    """Tell whether the score asked for is the penalised logistic regression on curves."""
    return isinstance(estimator, str) and estimator == "auto"


def curved_propensity(
    data: DesignData, columns: ModelColumns, sparse: npt.NDArray[np.bool_]
) -> PropensityFit:
    """Fit one penalised logistic regression on curves of the covariates, all segments together."""
    n = data.segment.n_segments
    rows_of = [
        rows if 0 < data.treatment[rows].sum() < len(rows) else rows[:0]
        for rows in rows_by_code(data.segment.codes, n)
    ]
    curves = curves_for(columns, data, sparse)
    treatment = data.treatment.astype(np.float64)
    fit = fit_segment_logit(curves, rows_of, treatment, data.sample_weight)
    linear = fit.log_odds(curves, rows_of, data.n_rows)
    return PropensityFit(expit(linear), linear, (None,) * n, ("",) * n, True, curves)


def check_classifier(owner: str, estimator: Any) -> None:
    """Refuse what is neither None, "auto" nor a classifier that can be fitted."""
    if is_curved(estimator):
        return
    is_usable = hasattr(estimator, "fit") and hasattr(estimator, "predict_proba")
    if estimator is not None and (isinstance(estimator, type) or not is_usable):
        raise TypeError(
            f"{owner}: `estimator` must be a classifier (an instance with `fit` and `predict_proba`), 'auto' or "
            f"None; got {estimator!r}. Use None for a logistic regression."
        )


def classifier_propensity(
    owner: str,
    estimator: Any,
    data: DesignData,
    rows_of: Sequence[Rows],
    *,
    pooled: bool,
    n_jobs: int | None,
) -> PropensityFit:
    """Fit a classifier on the covariates as they came, in every segment or once for all."""
    features = frames.select_columns(data.X, data.covariates)
    propensity = np.full(data.n_rows, np.nan)
    if pooled:
        blocks = [np.arange(data.n_rows)]
        features = _with_segment_columns(features, data)
    else:
        blocks = [rows for rows in rows_of if 0 < data.treatment[rows].sum() < len(rows)]
    fitted = Parallel(n_jobs=n_jobs)(
        delayed(_fit_classifier)(
            owner, estimator, features, data.treatment, rows, data.sample_weight
        )
        for rows in blocks
    )
    for rows, values in zip(blocks, fitted, strict=True):
        propensity[rows] = values
    with np.errstate(divide="ignore"):
        linear = logit(propensity)
    n = len(rows_of)
    return PropensityFit(propensity, linear, (None,) * n, ("",) * n)


def _with_segment_columns(features: Any, data: DesignData) -> Any:
    for code, label in enumerate(data.segment.labels[1:].tolist(), start=1):
        is_member = (data.segment.codes == code).astype(np.float64)
        features = frames.append_column(features, f"segment={label}", is_member)
    return features


def _fit_classifier(
    owner: str,
    estimator: Any,
    features: Any,
    treatment: npt.NDArray[np.int8],
    rows: Rows,
    weight: Float | None,
) -> Float:
    part = frames.take_rows(features, rows)
    keywords = {} if weight is None else {"sample_weight": weight[rows]}
    try:
        model = clone(estimator).fit(part, treatment[rows].astype(np.intp), **keywords)
        return np.asarray(model.predict_proba(part)[:, 1], dtype=np.float64)
    except (ValueError, TypeError) as error:
        raise type(error)(
            f"{owner}: the propensity model {type(estimator).__name__} cannot be fitted on the covariates: {error} "
            "It gets the columns of X as they came, without the segment: encode or impute them in a pipeline, or "
            "use `estimator=None`."
        ) from error


def check_scores(
    owner: str,
    score: Float,
    propensity: Float,
    has_both_arms: npt.NDArray[np.bool_],
    codes: Rows,
) -> None:
    """Refuse scores that are not finite in segments that have both arms."""
    bad = ~np.isfinite(score)
    if not bad.any():
        return
    bad &= has_both_arms[codes]
    if not bad.any():
        return
    n_gap = int((bad & np.isnan(propensity)).sum())
    if n_gap:
        raise ValueError(f"{owner}: the propensity model gave NaN for {n_gap} rows.")
    raise OverlapError(
        f"{owner}: the propensity model gave exactly 0 or 1 to {int(bad.sum())} rows "
        f"({listed(np.unique(propensity[bad]))}), whose log-odds are infinite. Use a smoother or cross-fitted "
        "model, hand in `propensity=`, or set score_scale='probability'."
    )

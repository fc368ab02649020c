"""The propensity of each row: fitted inside its segment, pooled, by any classifier, or handed in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit
from sklearn.base import clone
from sklearn.utils.parallel import Parallel, delayed

from segcate import _frames
from segcate._inputs.encoding import EncodedColumns
from segcate._validation import EffectData, listed
from segcate.exceptions import OverlapError
from segcate.matching._logit import LogitFit, fit_logit, independent_columns
from segcate.matching._score_grid import linear_predictor, place_on_grid

Float = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]

# A segment whose smaller arm has fewer rows than this for each slope borrows the pooled slopes.
ROWS_PER_SLOPE = 10
# Ridge on a segment's departures from the pooled slopes, per standard deviation of the column:
# a normal prior with standard deviation 0.5 on the log-odds scale.
_DEPARTURE_PENALTY = 4.0
# Ridge where the arms can be separated, so that no maximum exists: scikit-learn's default, C = 1.
_SEPARATION_PENALTY = 1.0


@dataclass(frozen=True, slots=True)
class PropensityFit:
    """The propensity of every row and how it came about.

    Attributes
    ----------
    propensity : float64 array of shape (n_rows,); NaN in segments without both arms
    linear : float64 array of shape (n_rows,): the log-odds
    logits : one unpenalised `LogitFit` a segment, None where the score is of another kind
    notes : one text a segment, empty where there is nothing to say
    """

    propensity: Float
    linear: Float
    logits: tuple[LogitFit | None, ...]
    notes: tuple[str, ...]


def given_propensity(propensity: Float, n_segments: int) -> PropensityFit:
    """Take the propensity as handed in."""
    return PropensityFit(propensity, logit(propensity), (None,) * n_segments, ("",) * n_segments)


def logit_propensity(
    data: EffectData,
    encoded: EncodedColumns,
    rows_of: Sequence[Rows],
    *,
    pooled: bool,
    n_jobs: int | None,
) -> PropensityFit:
    """Fit our logistic regression in every segment.

    A segment whose smaller arm has fewer than 10 rows a slope (or every segment, with `pooled`)
    shrinks its slopes to those common to all segments. Where the arms can be separated the
    likelihood has no maximum and a ridge stands in. Both are said in the segment's note.
    """
    Z, n = encoded.values, data.n_rows
    borrows = [
        len(rows_of) > 1 and (pooled or _is_thin(Z, data.treatment, rows, data.sample_weight))
        for rows in rows_of
    ]
    offset = _pooled_offset(data, Z) if any(borrows) else None
    fits = Parallel(n_jobs=n_jobs, prefer="threads")(
        delayed(_fit_segment)(
            Z, data.treatment, rows, data.sample_weight, offset if borrow else None
        )
        for rows, borrow in zip(rows_of, borrows, strict=True)
    )
    linear = np.full(n, np.nan)
    notes = []
    for rows, borrow, fit in zip(rows_of, borrows, fits, strict=True):
        note = ""
        if fit is not None:
            linear[rows] = linear_predictor(Z, fit.grid, rows)
            if borrow and offset is not None:
                linear[rows] += offset[rows]
                note = "" if pooled else "score shrunk to the pooled one (few rows a slope)"
            elif fit.penalised:
                note = "score penalised (arms can be separated)"
        notes.append(note)
    exact = tuple(
        fit if fit is not None and fit.converged and not fit.penalised else None for fit in fits
    )
    return PropensityFit(expit(linear), linear, exact, tuple(notes))


def _is_thin(Z: Float, treatment: npt.NDArray[np.int8], rows: Rows, weight: Float | None) -> bool:
    """Tell whether the smaller arm has too few rows (or too little weight) for own slopes."""
    is_treated = treatment[rows] == 1
    w = np.ones(len(rows)) if weight is None else weight[rows]
    smaller = min(w[is_treated].sum(), w[~is_treated].sum())
    if smaller == 0 or smaller >= ROWS_PER_SLOPE * Z.shape[1]:
        return False
    return bool(smaller < ROWS_PER_SLOPE * int(independent_columns(Z, rows, weight).sum()))


def _pooled_offset(data: EffectData, Z: Float) -> Float:
    """Linear predictor from slopes common to all segments (covariates centred in each segment)."""
    codes, k = data.segment.codes, data.segment.n_segments
    origin = Z.min(axis=0)
    Z = Z - origin
    w = np.ones(data.n_rows) if data.sample_weight is None else data.sample_weight
    size = np.bincount(codes, w, k)
    share = np.bincount(codes, w * data.treatment, k) / np.maximum(size, 1e-300)
    means = (
        np.column_stack([np.bincount(codes, w * z, k) for z in Z.T])
        / np.maximum(size, 1e-300)[:, None]
    )
    mixed = (share > 0) & (share < 1)
    level = np.where(mixed, logit(np.where(mixed, share, 0.5)), 0.0)
    rows = np.flatnonzero(mixed[codes])
    fit = fit_logit(
        Z,
        data.treatment,
        rows=rows,
        weight=data.sample_weight,
        offset=level[codes],
        centre=(codes, means),
    )
    everyone = np.arange(data.n_rows)
    grid = place_on_grid(Z, everyone, np.zeros(Z.shape[1]), 0.0, fit.coef[1:])
    return linear_predictor(Z, grid, everyone)


def _fit_segment(
    Z: Float,
    treatment: npt.NDArray[np.int8],
    rows: Rows,
    weight: Float | None,
    offset: Float | None,
) -> LogitFit | None:
    """Fit one segment; None where an arm is empty."""
    n_treated = int(treatment[rows].sum())
    if n_treated in (0, len(rows)):
        return None
    if offset is not None:
        return fit_logit(
            Z, treatment, rows=rows, weight=weight, offset=offset, penalty=_DEPARTURE_PENALTY
        )
    fit = fit_logit(Z, treatment, rows=rows, weight=weight)
    if fit.converged:
        return fit
    return fit_logit(Z, treatment, rows=rows, weight=weight, penalty=_SEPARATION_PENALTY)


def check_classifier(owner: str, estimator: Any) -> None:
    """Refuse what is neither None nor a classifier that can be fitted."""
    is_usable = hasattr(estimator, "fit") and hasattr(estimator, "predict_proba")
    if estimator is not None and (isinstance(estimator, type) or not is_usable):
        raise TypeError(
            f"{owner}: `estimator` must be a classifier (an instance with `fit` and `predict_proba`) or None; got "
            f"{estimator!r}. Use None for a logistic regression."
        )


def classifier_propensity(
    owner: str,
    estimator: Any,
    data: EffectData,
    rows_of: Sequence[Rows],
    *,
    pooled: bool,
    n_jobs: int | None,
) -> PropensityFit:
    """Fit a classifier on the covariates as they came, in every segment or once for all."""
    features = _frames.select_columns(data.X, data.covariates)
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


def _with_segment_columns(features: Any, data: EffectData) -> Any:
    for code, label in enumerate(data.segment.labels[1:].tolist(), start=1):
        is_member = (data.segment.codes == code).astype(np.float64)
        features = _frames.append_column(features, f"segment={label}", is_member)
    return features


def _fit_classifier(
    owner: str,
    estimator: Any,
    features: Any,
    treatment: npt.NDArray[np.int8],
    rows: Rows,
    weight: Float | None,
) -> Float:
    part = _frames.take_rows(features, rows)
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

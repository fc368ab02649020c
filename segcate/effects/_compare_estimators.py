"""Several estimators on the same rows: one table, and tests of whether each two agree."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix
from sklearn.base import clone

from segcate._inputs.arrays import Float
from segcate._inputs.listing import first_few
from segcate._inputs.segments import Segment
from segcate._statistics.intervals import Law
from segcate._statistics.multiplicity import holm
from segcate._writing.number_texts import write_number
from segcate.effects._segment_aipw import SegmentAIPW
from segcate.effects._segment_matching import SegmentMatching
from segcate.effects._segment_regression import SegmentRegression

__all__ = ["EstimatorComparison", "compare_estimators"]

_OWNER = "compare_estimators"
# Chance of any false disagreement over all pairs and segments.
LEVEL = 0.05
# Fourth power of a normal error over the square of its variance.
_KURTOSIS = 3.0


@dataclass(frozen=True, slots=True)
class _Fitted:
    """A fitted estimator and what each row (or group) adds to the errors of its effects."""

    model: Any
    scores: Any


@dataclass(frozen=True, slots=True)
class EstimatorComparison:
    """Effects by several estimators on the same rows.

    Attributes
    ----------
    estimand : str
    table : DataFrame, one row a segment and estimator
        effect, std_error, ci_low, ci_high, status; "overall" stands last, for everyone.
    agreement : DataFrame, one row a segment and pair of estimators
        segment, first, second, difference (first less second), std_error, p_value, p_adjusted (Holm over
        all rows), df.
    overall_agreement : DataFrame, one row a pair: the same for the mean over segments
    models : dict of str to the fitted estimators
    """

    estimand: str
    table: pd.DataFrame
    agreement: pd.DataFrame
    overall_agreement: pd.DataFrame
    models: dict[str, Any]

    def describe(self) -> str:
        """Say in words where estimators differ beyond chance, and what that means."""
        far = pd.concat([self.overall_agreement, self.agreement])
        far = far[far["p_adjusted"] <= LEVEL]
        if far.empty:
            return (
                f"{first_few(self.models)} agree in all segments, within what chance explains. What they share, such "
                "as a hidden cause, would not show: choose the narrowest that was chosen before."
            )
        texts: list[str] = [
            f"{'everyone' if row.segment == 'overall' else str(row.segment)}: {row.first!s} and {row.second!s} "
            f"differ by {write_number(row.difference)} (std. error {write_number(row.std_error)}, "
            f"p = {row.p_adjusted:.2g})"
            for row in far.itertuples()
        ]
        return (
            f"{first_few(texts, separator='; ')}. Further apart than chance explains on the same rows: a model is "
            "wrong there, and two that agree may share it. Look at overlap and balance, and for steps or groups of "
            "users that no curve follows; SegmentAIPW(None) has trees, which follow some."
        )


def compare_estimators(
    X: Any,
    y: Any,
    *,
    treatment: Any = None,
    sample_weight: Any = None,
    groups: Any = None,
    segment: Segment = "auto",
    estimand: str = "att",
    estimators: Mapping[str, Any] | None = None,
) -> EstimatorComparison:
    """Fit several estimators on the same rows, and test whether each two agree.

    Use it to see whether an answer hangs on the estimator. Choose the one that you report before you
    look; do not choose the one whose answer you like.

    Parameters
    ----------
    X : frame or array-like of shape (n_samples, n_features)
    y : array-like of shape (n_samples,)
    treatment : array-like of shape (n_samples,), values in {0, 1}
    sample_weight : array-like of shape (n_samples,), default=None
        Above 0.
    groups : array-like of shape (n_samples,), default=None
        Clusters of dependent rows.
    segment : "auto", str, int or None, default="auto"
        Column of X that holds the segments, for the estimators that are taken by default.
    estimand : {"att", "ate"}, default="att"
        For the estimators that are taken by default.
    estimators : mapping of str to estimator, default=None
        At least two of one estimand. None: matching, regression and AIPW with curves.

    Returns
    -------
    EstimatorComparison

    Raises
    ------
    ValueError
        If there are fewer than two estimators, their estimands differ, a weight is 0, or an
        estimator leaves rows with gaps out (``missing="drop"``).

    See Also
    --------
    SegmentMatching : Its `second_estimate_` compares two of these at no cost.

    Notes
    -----
    What each row adds to the error of either effect is known: by exact weights, of donors of all segments,
    after ``adjustment="auto"`` and ``outcome_model="auto"`` (residuals over the root of 1 less their
    leverage), by influence functions otherwise. The variance of a difference is the sum of the squared
    differences, so that what both estimators share cancels; Student's t with ``3 (sum d^2)^2 / sum d^4`` degrees of
    freedom (3: the fourth moment of a normal error), d what a row (or group) adds to the difference.

    Examples
    --------
    >>> from segcate.datasets import make_segmented_users
    >>> from segcate.effects import compare_estimators
    >>> users = make_segmented_users(2000, n_segments=2, random_state=0)
    >>> X = users.X.assign(segment=users.segment)
    >>> found = compare_estimators(X, users.y, treatment=users.treatment)
    >>> bool((found.agreement["p_adjusted"] > 0.05).all())
    True
    """
    asked = _defaults(segment, estimand) if estimators is None else dict(estimators)
    _check(asked, sample_weight)
    given = {"treatment": treatment, "sample_weight": sample_weight}
    fitted = {name: _fit(model, X, y, groups, given) for name, model in asked.items()}
    pairs = list(itertools.combinations(fitted, 2))
    rows = [row for a, b in pairs for row in _differences(fitted, a, b)]
    found = pd.DataFrame(rows).assign(
        p_value=lambda t: Law(t["df"].to_numpy()).two_sided_p(t["difference"] / t["std_error"])
    )
    is_overall = found.pop("is_overall").to_numpy()
    parts = [found[~is_overall], found[is_overall]]
    by_segment, overall = (
        part.assign(p_adjusted=holm(part["p_value"].to_numpy())).reset_index(drop=True)
        for part in parts
    )
    return EstimatorComparison(
        next(iter(asked.values())).estimand,
        pd.concat([_table(name, one.model) for name, one in fitted.items()], ignore_index=True),
        by_segment,
        overall,
        {name: one.model for name, one in fitted.items()},
    )


def _defaults(segment: Segment, estimand: str) -> dict[str, Any]:
    shared: dict[str, Any] = {"segment": segment, "estimand": estimand}
    return {
        "matching": SegmentMatching(adjustment="auto", **shared),
        "regression": SegmentRegression(adjustment="auto", **shared),
        "AIPW": SegmentAIPW("auto", **shared),
    }


def _check(asked: dict[str, Any], sample_weight: Any) -> None:
    if len(asked) < 2:
        raise ValueError(
            f"{_OWNER}: `estimators` holds {len(asked)}; a comparison needs at least two, such as "
            "{'matching': SegmentMatching(), 'regression': SegmentRegression(estimand='att')}."
        )
    estimands = {name: model.estimand for name, model in asked.items()}
    if len(set(estimands.values())) > 1:
        raise ValueError(
            f"{_OWNER}: `estimators` must have one estimand, as effects on different users differ; got {estimands}. "
            "Set estimand= alike."
        )
    dropping = [name for name, model in asked.items() if model.missing == "drop"]
    if dropping:
        raise ValueError(
            f"{_OWNER}: missing='drop' of {first_few(dropping)} leaves out rows that others keep. Drop them before, "
            "or use missing='indicator'."
        )
    if sample_weight is not None and not (np.asarray(sample_weight) > 0).all():
        raise ValueError(f"{_OWNER}: `sample_weight` must be above 0. Leave out rows of weight 0.")


def _fit(model: Any, X: Any, y: Any, groups: Any, given: dict[str, Any]) -> _Fitted:
    """Fit a copy, so that what each row or group adds to its errors is known."""
    model = clone(model)
    if groups is None and model._is_curved:
        model._keeps_row_scores = True
        model.fit(X, y, **given)
        scores, model._row_scores = model._row_scores, None
        return _Fitted(model, scores)
    each = np.arange(len(y)) if groups is None else groups
    model.fit(X, y, groups=each, **given)
    found = model.effect_table_.scores
    shape = (found.n_segments, found.n_levels)
    at = (found.segment, found.names[found.group])
    return _Fitted(model, csr_matrix((found.value, at), shape=shape).toarray())


def _differences(fitted: dict[str, _Fitted], a: str, b: str) -> list[dict[str, Any]]:
    """Compare two estimators segment by segment, and over all segments that both estimate."""
    first, second = fitted[a], fitted[b]
    one, other = first.model.effect_table_, second.model.effect_table_
    labels = one.labels.tolist()
    place = {label: j for j, label in enumerate(other.labels.tolist())}
    rows, total = [], []
    gaps: list[Float] = []
    for i, label in enumerate(labels):
        j = place.get(label, -1)
        if j < 0 or not np.isfinite(one.effect[i] - other.effect[j]):
            continue
        gaps.append(first.scores[i] - second.scores[j])
        total.append(one.weights.total[i])
        rows.append(_row(label, a, b, float(one.effect[i] - other.effect[j]), gaps[-1]))
    if rows:
        share = np.array(total) / np.sum(total)
        mean = float(share @ [row["difference"] for row in rows])
        rows.append(_row("overall", a, b, mean, share @ np.array(gaps)) | {"is_overall": True})
    return rows


def _row(label: Any, a: str, b: str, difference: float, gap: Float) -> dict[str, Any]:
    square = gap**2
    variance, fourth = float(square.sum()), float(square @ square)
    return {
        "segment": label, "first": a, "second": b, "difference": difference,
        "std_error": float(np.sqrt(variance)) if variance > 0 else np.nan,
        "df": max(_KURTOSIS * variance**2 / fourth, 1.0) if fourth > 0 else np.nan, "is_overall": False,
    }  # fmt: skip


def _table(name: str, model: Any) -> pd.DataFrame:
    columns = ["effect", "std_error", "ci_low", "ci_high"]
    rows: pd.DataFrame = model.effects_[[*columns, "status"]].reset_index()
    everyone = model.overall_[columns].to_dict() | {"segment": "overall", "status": ""}
    rows = pd.concat(
        [rows.astype({"segment": object}), pd.DataFrame([everyone])], ignore_index=True
    )
    rows.insert(1, "estimator", name)
    return rows

"""Rows with effect scores and predictions, checked, and the estimate of a mean over them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Bool, Float, Int
from segcate._inputs.groups import check_groups
from segcate._inputs.parameters import check_in_unit_interval
from segcate._inputs.treatment import check_treatment
from segcate._inputs.vectors import check_outcome, check_prediction, check_same_index, check_vector
from segcate._inputs.weights import check_weights
from segcate._nuisance.pseudo_outcomes import arm_centred_scores
from segcate._ranking.estimates import MetricEstimate
from segcate._statistics import sandwich

Design = Literal["observational", "experiment"]

_SCORE_ADVICE = "Every row needs an effect score; see segcate.metrics.effect_scores."


@dataclass(frozen=True, slots=True)
class ScoredRows:
    """The rows that count: those of weight 0 are left out.

    Attributes
    ----------
    psi : float64 array of shape (n_rows,), effect scores, or outcomes
    prediction : float64 array of shape (n_rows,)
    weight : float64 array of shape (n_rows,), all > 0, or None where every row counts once
    clusters : intp codes 0, 1, ... of shape (n_rows,), or None
    is_kept : bool array over the rows as they came, None where all were kept
    """

    psi: Float
    prediction: Float
    weight: Float | None
    clusters: Int | None
    is_kept: Bool | None

    @property
    def n_rows(self) -> int:
        """Count the rows."""
        return len(self.psi)

    @property
    def n_units(self) -> int:
        """Count the independent units: clusters where there are any, else rows."""
        return self.n_rows if self.clusters is None else int(self.clusters.max()) + 1

    def mean(self, values: Float) -> float:
        """Return the weighted mean of one value a row."""
        return float(np.average(values, weights=self.weight))

    def keep(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Take the rows that count out of an array over all rows."""
        return values if self.is_kept is None else values[self.is_kept]


def check_rows(
    owner: str,
    values: Any,
    prediction: Any,
    sample_weight: Any = None,
    groups: Any = None,
    *,
    name: Literal["pseudo_outcome", "y"] = "pseudo_outcome",
    X: Any = None,
    needs_units: int = 2,
    confidence_level: float = 0.95,
    **aligned: Any,
) -> ScoredRows:
    """Check the rows of a metric, and drop those of weight 0.

    Every curve, score and loss comes through here, once.

    Parameters
    ----------
    owner : the public function
    values : effect scores, or with name="y" outcomes; None stands for the predictions
    prediction : predicted effects; None for a metric that has none
    sample_weight, groups : as the public function takes them
    name : what the user calls the values
    X : what the rows are rows of; the values where it is None
    needs_units : the fewest rows, or clusters, that the metric takes
    confidence_level : of the metric's intervals
    **aligned : all further arguments with a value a row; their index is compared, their values are
        left to the metric
    """
    check_in_unit_interval(owner, "confidence_level", confidence_level)
    check_same_index(
        owner, X=X, **{name: values}, prediction=prediction, **aligned,
        sample_weight=sample_weight, groups=groups,
    )  # fmt: skip
    reference = values if X is None else X
    if name == "y":
        psi = check_outcome(owner, values, reference)
    elif values is None and X is not None:
        psi = check_prediction(owner, prediction, reference)
    else:
        psi = check_vector(owner, name, values, reference, _SCORE_ADVICE)
    ranking = psi
    if prediction is not None and values is not None:
        ranking = check_prediction(owner, prediction, reference)
    weight = check_weights(owner, sample_weight, reference)
    clusters = check_groups(owner, groups, reference)
    is_kept = None
    if weight is not None and not weight.all():
        is_kept = weight > 0
        psi, ranking, weight = psi[is_kept], ranking[is_kept], weight[is_kept]
        if clusters is not None:
            clusters = np.unique(clusters[is_kept], return_inverse=True)[1].astype(np.intp)
    rows = ScoredRows(psi, ranking, weight, clusters, is_kept)
    if rows.n_units < needs_units:
        what = "rows" if clusters is None else "groups"
        raise ValueError(
            f"{owner}: {rows.n_units} {what} with weight above 0; a standard error needs at least "
            f"{needs_units}. Score on more {what}."
        )
    return rows


def experiment_scores(owner: str, y: Any, treatment: Any, sample_weight: Any) -> Float:
    """Check the data of an experiment and make its effect scores."""
    outcome = check_outcome(owner, y, y)
    arm = check_treatment(owner, treatment, y)
    weight = check_weights(owner, sample_weight, y)
    counted = arm if weight is None else arm[weight > 0]
    n_treated = int(counted.sum())
    if n_treated in (0, len(counted)):
        raise ValueError(
            f"{owner}: of {len(counted)} rows to score on, {n_treated} are treated, and both arms "
            "are needed. In a search use cv=segcate.model_selection.TreatmentStratifiedKFold(), "
            "which keeps both arms in every fold."
        )
    return arm_centred_scores(outcome, arm, weight)


def mean_std_error(influence: Float, rows: ScoredRows) -> float:
    """Return the standard error of a weighted mean, from influences whose weighted mean is 0."""
    return sandwich.mean_std_error(influence, rows.weight, rows.clusters)[0]


def estimate_mean(values: Float, rows: ScoredRows, confidence_level: float) -> MetricEstimate:
    """Estimate the weighted mean of one value a row."""
    value = rows.mean(values)
    std_error = mean_std_error(values - value, rows)
    return MetricEstimate(value, std_error, rows.n_units, float(confidence_level))

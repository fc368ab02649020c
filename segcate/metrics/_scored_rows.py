"""Rows with effect scores and predictions, checked, and the means that metrics make of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from segcate._inputs.arrays import Float, Int
from segcate._inputs.groups import check_groups
from segcate._inputs.outcome import check_outcome
from segcate._inputs.treatment import check_treatment
from segcate._inputs.vectors import check_prediction, check_same_index, check_vector
from segcate._inputs.weights import check_weights
from segcate._nuisance.pseudo_outcomes import arm_centred_scores
from segcate._statistics.intervals import Law, satterthwaite

Bool = npt.NDArray[np.bool_]
Design = Literal["observational", "experiment"]

__all__ = [
    "Design",
    "GroupMeans",
    "ScoredRows",
    "check_rows",
    "clusters_freedom",
    "compress_codes",
    "experiment_scores",
    "group_means",
    "mean_std_error",
    "mid_position",
    "one_sided_p",
    "quantile_codes",
    "t_quantile",
    "two_sided_p",
    "unit_products",
    "welch_freedom",
]

# Sums over clusters and groups fit a table unless most of it would be empty.
_MOST_CELLS_A_ROW = 8

_SCORE_ADVICE = "Every row needs an effect score; see segcate.metrics.effect_scores."


@dataclass(frozen=True, slots=True)
class ScoredRows:
    """The rows that count: those of weight 0 are left out.

    Attributes
    ----------
    psi : float64 array of shape (n_rows,), effect scores
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
    pseudo_outcome: Any,
    prediction: Any,
    sample_weight: Any = None,
    groups: Any = None,
    *,
    needs_units: int = 2,
) -> ScoredRows:
    """Check effect scores, predictions, weights and groups, and drop rows of weight 0.

    `prediction` None stands for a metric that has none. A metric with further row-aligned arguments
    calls `check_same_index` with all of them first.
    """
    check_same_index(
        owner, pseudo_outcome=pseudo_outcome, prediction=prediction, sample_weight=sample_weight,
        groups=groups,
    )  # fmt: skip
    psi = check_vector(owner, "pseudo_outcome", pseudo_outcome, pseudo_outcome, _SCORE_ADVICE)
    ranking = psi if prediction is None else check_prediction(owner, prediction, pseudo_outcome)
    weight = check_weights(owner, sample_weight, pseudo_outcome)
    clusters = check_groups(owner, groups, pseudo_outcome)
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


def mid_position(prediction: Float, weight: Float | None) -> Float:
    """Return how far up the ranking each row stands, in (0, 1), from lowest to highest.

    The share of weight below the row plus half of the share at its own prediction, so rows of equal
    prediction stand together, at the middle of their block.
    """
    levels, block = np.unique(prediction, return_inverse=True)
    mass = np.bincount(block, weights=weight, minlength=len(levels)).astype(np.float64)
    through = np.cumsum(mass)
    middle: Float = (through - 0.5 * mass) / through[-1]
    return middle[block]


def quantile_codes(prediction: Float, weight: Float | None, n_groups: int) -> Int:
    """Return the quantile group of each row, 0 (lowest) to n_groups - 1; ties share a group.

    Group floor(n_groups u) for the mid-position u. A block that stands exactly on a boundary goes
    up; rounding must not decide that, so positions within 1e-9 of it count as on it.
    """
    position = mid_position(prediction, weight) * n_groups
    codes: Int = np.floor(position + 1e-9).astype(np.intp)
    return codes


def compress_codes(codes: Int) -> tuple[Int, Int]:
    """Return the codes that occur, and each row's position among them."""
    present = np.flatnonzero(np.bincount(codes))
    position = np.zeros(int(present[-1]) + 1, dtype=np.intp)
    position[present] = np.arange(len(present))
    return present, position[codes]


def unit_products(
    parts: Float, codes: Int, n_groups: int, clusters: Int | None
) -> tuple[Float, Int]:
    """Sum parts over each unit and group; return the groups' products over units, and unit counts.

    Entry (g, h) of the products is the sum over units of what they add to g times what to h.
    """
    if clusters is None:
        squares = np.bincount(codes, weights=parts**2, minlength=n_groups).astype(np.float64)
        return np.diag(squares), np.bincount(codes, minlength=n_groups)
    n_clusters = int(clusters.max()) + 1
    if n_clusters * n_groups > _MOST_CELLS_A_ROW * len(parts):
        cells = csr_matrix((parts, (clusters, codes)), shape=(n_clusters, n_groups))
        return (cells.T @ cells).toarray(), np.diff(cells.tocsc().indptr)
    key, n_cells = clusters * n_groups + codes, n_clusters * n_groups
    sums: Float = np.bincount(key, weights=parts, minlength=n_cells).astype(np.float64)
    sums = sums.reshape(n_clusters, n_groups)
    is_there = np.bincount(key, minlength=n_cells).reshape(n_clusters, n_groups) > 0
    products: Float = sums.T @ sums
    return products, is_there.sum(axis=0)


@dataclass(frozen=True, slots=True)
class GroupMeans:
    """Means of groups of rows, and how sure they are.

    Attributes
    ----------
    mean : float64 array of shape (n_groups,)
    covariance : float64 array of shape (n_groups, n_groups); NaN for a group of a single unit
    n_units : intp array of shape (n_groups,), independent units in each group
    """

    mean: Float
    covariance: Float
    n_units: Int

    @property
    def std_error(self) -> Float:
        """Standard errors of the means."""
        root: Float = np.sqrt(np.diag(self.covariance))
        return root


def group_means(
    values: Float, codes: Int, n_groups: int, weight: Float | None, clusters: Int | None
) -> GroupMeans:
    """Average `values` in each group, with the covariance of the averages.

    Every group must have a row. Clusters that reach into several groups tie their means together.
    """
    total = np.bincount(codes, weights=weight, minlength=n_groups)
    weighted = values if weight is None else values * weight
    mean = np.bincount(codes, weights=weighted, minlength=n_groups) / total
    residual = values - mean[codes]
    part = residual if weight is None else residual * weight
    squares, n_units = unit_products(part, codes, n_groups, clusters)
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = np.sqrt(n_units / np.where(n_units > 1, n_units - 1.0, np.nan)) / total
        covariance = squares * np.outer(factor, factor)
    return GroupMeans(mean, covariance, n_units.astype(np.intp))


def mean_std_error(influence: Float, rows: ScoredRows) -> float:
    """Return the standard error of a weighted mean, from influences whose weighted mean is 0."""
    total = float(rows.n_rows) if rows.weight is None else float(rows.weight.sum())
    part = influence if rows.weight is None else influence * rows.weight
    if rows.clusters is not None:
        part = np.bincount(rows.clusters, weights=part).astype(np.float64)
    return float(np.sqrt(len(part) / (len(part) - 1) * (part @ part))) / total


def t_quantile(confidence_level: float, df: Any) -> Any:
    """Return the t quantile that a standard error is multiplied by."""
    return Law(df).quantile(confidence_level)


def two_sided_p(statistic: Any, df: Any) -> Any:
    """Return the two-sided p-value of a t statistic; NaN stays NaN."""
    return Law(df).two_sided_p(statistic)


def one_sided_p(statistic: Any, df: Any) -> Any:
    """Return the chance of a t statistic at least as large; NaN stays NaN."""
    return Law(df).one_sided_p(statistic)


def welch_freedom(variance: Float, n_units: Int, n_clusters: int | None) -> float:
    """Return the degrees of freedom of a difference of two means: Welch's.

    With clusters no more than `clusters_freedom` allows.
    """
    if not (variance > 0).any():
        return float(n_units.sum() - 2 if n_clusters is None else n_clusters - 1)
    df = float(satterthwaite(variance, n_units - 1))
    return df if n_clusters is None else min(df, clusters_freedom(n_units, n_clusters))


def clusters_freedom(n_units: Int, n_clusters: int) -> float:
    """Return the degrees of freedom that groups of rows have together.

    Their own, clusters less one each, times distinct clusters over clusters counted in each group:
    the sum of all where the clusters are nested in the groups, those of one where all are in all.
    """
    return float((n_units - 1).sum() * min(n_clusters / n_units.sum(), 1.0))

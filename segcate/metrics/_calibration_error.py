"""Calibration error of predicted effects (Xu & Yadlowsky, 2022)."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from scipy.sparse import csr_matrix

from segcate._inputs.arrays import Float, Int
from segcate._inputs.parameters import check_option
from segcate._ranking.estimates import MetricEstimate
from segcate._statistics.sandwich import unit_factor
from segcate.exceptions import SegcateWarning
from segcate.metrics._effect_by_quantile import check_n_groups
from segcate.metrics._group_means import compress_codes, group_means, quantile_codes
from segcate.metrics._scored_rows import (
    ScoredRows,
    check_rows,
    mean_std_error,
)

CalibrationMethod = Literal["leave-one-out", "plug-in"]

_OWNER = "calibration_error"


def calibration_error(
    pseudo_outcome: Any,
    prediction: Any,
    *,
    n_groups: int = 10,
    method: CalibrationMethod = "leave-one-out",
    sample_weight: Any = None,
    groups: Any = None,
    confidence_level: float = 0.95,
) -> MetricEstimate:
    r"""Estimate the mean squared gap between predicted effects and effects at that prediction.

    Use it to compare how well the level of predictions fits; `blp` tests their slope, `qini_score`
    their order. Predictions must come from a model fitted on other rows.

    Parameters
    ----------
    pseudo_outcome : array-like of shape (n_samples,)
        Effect scores of the rows, in units of y, from `effect_scores`.
    prediction : array-like of shape (n_samples,)
        Predicted effect of each row, finite.
    n_groups : int, default=10
        Number of quantile groups inside which effects are averaged; at most the number of rows.
    method : {"leave-one-out", "plug-in"}, default="leave-one-out"
        "leave-one-out" is unbiased and can be negative; "plug-in" adds the variance of the group
        means, so noise looks like bad calibration.
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each row, >= 0. Equal weights are none; whole numbers from 1 are counts of rows;
        of all others only ratios count; a row of weight 0 is not there.
    groups : array-like of shape (n_samples,), default=None
        Clusters of dependent rows, at least two: the whole cluster is left out. Nothing to do with
        `n_groups`.
    confidence_level : float, default=0.95
        Of the interval, inside (0, 1).

    Returns
    -------
    MetricEstimate
        With `value` and `std_error` in squared units of y; its root is in units of y.

    Raises
    ------
    ValueError
        If an array has NaN, another length or another index, if `n_groups` is out of range, or if
        no quantile group has two independent rows.

    Warns
    -----
    SegcateWarning
        If a quantile group has one row (or cluster) only: there is no other to compare it with, so
        it is left out.

    See Also
    --------
    effect_by_quantile : Prediction beside effect, group by group, with a joint test.

    Notes
    -----
    With g(i) the quantile group of row i (ties together, as in `effect_by_quantile`), s the
    prediction and :math:`\bar\psi_{-i}` the mean effect score of the group without the row (or its
    cluster),

    .. math:: \frac{\sum_i w_i (\psi_i - s_i) (\bar\psi_{-i} - s_i)}{\sum_i w_i}.

    "plug-in" is the mean over rows of :math:`(\bar\psi_g - \bar s_g)^2`. The estimate is a sum over
    pairs: its variance has a part of the rows (from the influence of each) and one of the pairs,
    which is all there is when predictions are calibrated. The influences hold the second part
    twice; one is taken off. Groups of rows are treated as fixed. Near perfect calibration the
    estimate is not normal, and the standard error up to a quarter too large; with 100 clusters and
    a gap as large as its noise, 95 % intervals covered 91 % in simulation.

    References
    ----------
    Xu, Y., & Yadlowsky, S. (2022). Calibration error for heterogeneous treatment effects. AISTATS,
    PMLR 151, 9280-9303.

    Examples
    --------
    >>> import numpy as np
    >>> from segcate.metrics import calibration_error
    >>> rng = np.random.default_rng(0)
    >>> effect = rng.normal(size=5000)
    >>> psi = effect + rng.normal(size=5000)
    >>> good, bold = calibration_error(psi, effect), calibration_error(psi, 2 * effect)
    >>> print(abs(good.value) < 0.01, round(bold.value, 2), round(bold.std_error, 2))
    True 1.0 0.03
    """
    check_option(_OWNER, "method", method, get_args(CalibrationMethod))
    rows = check_rows(
        _OWNER, pseudo_outcome, prediction, sample_weight, groups, confidence_level=confidence_level
    )
    check_n_groups(_OWNER, n_groups, rows)
    codes = compress_codes(quantile_codes(rows.prediction, rows.weight, n_groups))[1]
    value, std_error = _plug_in(rows, codes) if method == "plug-in" else _leave_one_out(rows, codes)
    return MetricEstimate(value, std_error, rows.n_units, float(confidence_level))


@dataclass(frozen=True, slots=True)
class _Cells:
    """Weighted sums over each unit (row or cluster) inside each quantile group.

    Attributes
    ----------
    unit, group : intp arrays of shape (n_cells,)
    weight, psi, prediction, residual, product : float64 arrays of shape (n_cells,), sums of w,
        w psi, w s, w (psi - s) and w (psi - s) s
    """

    unit: Int
    group: Int
    weight: Float
    psi: Float
    prediction: Float
    residual: Float
    product: Float

    def of_group(self, values: Float) -> Float:
        """Return the sum over the group of each cell."""
        return np.bincount(self.group, weights=values).astype(np.float64)[self.group]

    def centred(self, values: Float) -> Float:
        """Return sums less weight times the group's mean, over the root of the group's weight."""
        total = self.of_group(self.weight)
        left: Float = (values - self.weight * self.of_group(values) / total) / np.sqrt(total)
        return left

    def products(self, a: Float, b: Float) -> Float:
        """Sum a times b over units, for every pair of groups."""
        if np.bincount(self.unit).max() == 1:
            return np.diag(np.bincount(self.group, weights=a * b))
        left, right = (csr_matrix((values, (self.unit, self.group))) for values in (a, b))
        table: Float = (left.T @ right).toarray()
        return table


def _cells(rows: ScoredRows, codes: Int) -> _Cells:
    weight = np.ones(rows.n_rows) if rows.weight is None else rows.weight
    residual = rows.psi - rows.prediction
    columns = [
        weight,
        weight * rows.psi,
        weight * rows.prediction,
        weight * residual,
        weight * residual * rows.prediction,
    ]
    if rows.clusters is None:
        return _Cells(np.arange(rows.n_rows), codes, *columns)
    n_groups = int(codes.max()) + 1
    found, cell = np.unique(rows.clusters * n_groups + codes, return_inverse=True)
    sums = [np.bincount(cell, weights=column).astype(np.float64) for column in columns]
    return _Cells(found // n_groups, found % n_groups, *sums)


def _leave_one_out(rows: ScoredRows, codes: Int) -> tuple[float, float]:
    """Return the estimate over pairs of units of one group, and its standard error."""
    cells = _with_partners(_cells(rows, codes))
    others = cells.of_group(cells.weight) - cells.weight
    mean_of_others = (cells.of_group(cells.psi) - cells.psi) / others
    own = mean_of_others * cells.residual - cells.product
    total = cells.weight.sum()
    value = float(own.sum() / total)
    # The part of a unit in the means of the others of its group.
    lent = (cells.psi - cells.weight * mean_of_others) / others
    lent *= cells.of_group(cells.residual) - cells.residual
    influence = np.bincount(cells.unit, weights=own + lent - value * cells.weight)
    n_units = int((np.bincount(cells.unit) > 0).sum())
    of_units = unit_factor(n_units) * float(influence @ influence) / total**2
    of_pairs = _pair_variance(cells) / total**2
    return value, float(np.sqrt(max(of_units - of_pairs, of_pairs)))


def _with_partners(cells: _Cells) -> _Cells:
    """Leave out cells that are alone in their group, and say so."""
    is_alone = np.bincount(cells.group)[cells.group] < 2
    if not is_alone.any():
        return cells
    n_groups = len(np.unique(cells.group))
    if is_alone.all():
        raise ValueError(
            f"{_OWNER}: none of the {n_groups} quantile groups has two independent rows, so no row "
            "can be left out of a mean. Lower `n_groups`, or score on more rows."
        )
    warnings.warn(
        f"{_OWNER}: {int(is_alone.sum())} of {n_groups} quantile groups hold one row (or cluster) "
        "only and were left out. Lower `n_groups`.",
        SegcateWarning,
        stacklevel=4,
    )
    kept = {name: getattr(cells, name)[~is_alone] for name in _Cells.__slots__}
    kept["group"] = compress_codes(kept["group"])[1]
    return _Cells(**kept)


def _pair_variance(cells: _Cells) -> float:
    """Return the variance of the pairs: of 2 p p' - p q' - q p', p and q centred psi and s."""
    p, q = cells.centred(cells.psi), cells.centred(cells.prediction)
    pp, pq, qq = cells.products(p, p), cells.products(p, q), cells.products(q, q)
    all_pairs = 4 * pp**2 - 4 * pp * (pq + pq.T) + 2 * qq * pp + 2 * pq * pq.T
    with_itself = np.bincount(cells.unit, weights=2 * p * (p - q))
    return 0.5 * float(all_pairs.sum() - with_itself @ with_itself)


def _plug_in(rows: ScoredRows, codes: Int) -> tuple[float, float]:
    """Return the mean squared gap of the groups, and its first-order standard error."""
    gap = group_means(
        rows.psi - rows.prediction, codes, int(codes.max()) + 1, rows.weight, rows.clusters
    ).mean[codes]
    value = rows.mean(gap**2)
    influence = 2.0 * gap * (rows.psi - rows.prediction - gap) + gap**2 - value
    return value, mean_std_error(influence, rows)

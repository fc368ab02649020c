"""Effects by quantile of the predicted effect (GATES), and by groups fixed in advance.

Chernozhukov, V., Demirer, M., Duflo, E., & Fernandez-Val, I. (2025). Econometrica, 93(4).
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from segcate._inputs import frames
from segcate._inputs.parameters import check_count
from segcate._inputs.vectors import as_column
from segcate.exceptions import SegcateWarning
from segcate.metrics._group_effects import EffectByGroup, EffectByQuantile, estimate_groups
from segcate.metrics._group_means import compress_codes, quantile_codes
from segcate.metrics._scored_rows import ScoredRows, check_rows


def effect_by_quantile(
    pseudo_outcome: Any,
    prediction: Any,
    *,
    n_groups: int = 5,
    sample_weight: Any = None,
    groups: Any = None,
    confidence_level: float = 0.95,
) -> EffectByQuantile:
    r"""Estimate the effect in each quantile group of the predicted effect (GATES).

    Use it to see whether users with a higher predicted effect have one, and whether the prediction
    is about right. The predictions must come from a model fitted on other rows.

    Parameters
    ----------
    pseudo_outcome : array-like of shape (n_samples,)
        Effect scores of the rows, in units of y, from `effect_scores`.
    prediction : array-like of shape (n_samples,)
        Predicted effect of each row, finite.
    n_groups : int, default=5
        Number of quantile groups, at least 1 and at most the number of rows.
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each row, >= 0; groups have equal weight. Equal weights are none; whole numbers
        from 1 are counts of rows; of all others only ratios count; a row of weight 0 is not there.
    groups : array-like of shape (n_samples,), default=None
        Clusters of dependent rows, at least two. Nothing to do with `n_groups`.
    confidence_level : float, default=0.95
        Of the intervals, inside (0, 1).

    Returns
    -------
    EffectByQuantile
        `frame()` has one row a group, lowest predictions first, with `n, low, high,
        mean_prediction, effect, std_error, ci_low, ci_high`. `monotonicity()`, `calibration()` and
        `heterogeneity()` test whether effects rise, agree with predictions, and differ.

    Raises
    ------
    ValueError
        If an array has NaN, another length or another index, or `n_groups` is out of range.

    Warns
    -----
    SegcateWarning
        If ties leave quantile groups without rows; there are fewer groups then, and `group` shows
        which ones.

    See Also
    --------
    effect_by_group : The same for segments fixed in advance.
    calibration_error : Agreement of prediction and effect as one number.

    Notes
    -----
    With :math:`u_i` the share of weight below the prediction of row i plus half the share at it,
    the row is in group :math:`g = \lfloor K u_i \rfloor + 1`: rows of equal prediction share a
    group. The effect is :math:`\hat\gamma_g = \sum_g w_i \psi_i / \sum_g w_i` and its variance
    :math:`\frac{m_g}{m_g - 1} \sum_c (\sum_{i \in c} w_i (\psi_i - \hat\gamma_g))^2 / (\sum_g w_i)^2`
    over the :math:`m_g` rows, or clusters, of the group; intervals use t with :math:`m_g - 1`
    degrees of freedom. A weight is a sampling weight: a row of weight 2 is one unit of evidence.
    Intervals are for one group each, not for all at once.

    References
    ----------
    Chernozhukov, V., Demirer, M., Duflo, E., & Fernandez-Val, I. (2025). Fisher-Schultz lecture:
    generic machine learning inference on heterogeneous treatment effects in randomized experiments.
    Econometrica, 93(4), 1121-1164. doi:10.3982/ECTA19303

    Examples
    --------
    >>> import numpy as np
    >>> from segcate.metrics import effect_by_quantile
    >>> rng = np.random.default_rng(0)
    >>> effect = rng.normal(size=2000)
    >>> found = effect_by_quantile(effect + rng.normal(size=2000), effect, n_groups=4)
    >>> found.frame()[["n", "mean_prediction", "effect", "std_error"]].reset_index().round(2)
       group    n  mean_prediction  effect  std_error
    0      1  500            -1.30   -1.26       0.05
    1      2  500            -0.36   -0.35       0.05
    2      3  500             0.30    0.31       0.05
    3      4  500             1.24    1.18       0.05
    >>> found.monotonicity().kendall_tau, found.calibration().p_value > 0.05
    (1.0, True)
    """
    owner = "effect_by_quantile"
    rows = check_rows(
        owner, pseudo_outcome, prediction, sample_weight, groups, confidence_level=confidence_level
    )
    check_n_groups(owner, n_groups, rows)
    present, codes = compress_codes(quantile_codes(rows.prediction, rows.weight, n_groups))
    if len(present) < n_groups:
        warnings.warn(
            f"{owner}: of {n_groups} quantile groups {n_groups - len(present)} are empty, because "
            f"the predictions have {len(np.unique(rows.prediction))} different values in "
            f"{rows.n_rows} rows and rows of equal prediction share a group; {len(present)} groups "
            "are left. Ask for fewer groups, or use effect_by_group on the values themselves.",
            SegcateWarning,
            stacklevel=2,
        )
    order = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[order], np.arange(len(present)))
    ranked = rows.prediction[order]
    return EffectByQuantile(
        group=present + 1,
        low=np.minimum.reduceat(ranked, starts),
        high=np.maximum.reduceat(ranked, starts),
        **estimate_groups(rows, codes, len(present), confidence_level, has_prediction=True),
    )


def effect_by_group(
    pseudo_outcome: Any,
    group: Any,
    *,
    prediction: Any = None,
    sample_weight: Any = None,
    groups: Any = None,
    confidence_level: float = 0.95,
) -> EffectByGroup:
    """Estimate the effect in each of some groups that were fixed in advance.

    Use it to check segment effects on rows that were not used to find the segments, or to compare
    an individual-effect model with the data segment by segment.

    Parameters
    ----------
    pseudo_outcome : array-like of shape (n_samples,)
        Effect scores of the rows, in units of y, from `effect_scores`.
    group : array-like of shape (n_samples,)
        Label of each row's group: a segment, a country, an age band. No gaps.
    prediction : array-like of shape (n_samples,), default=None
        Predicted effect of each row, for `mean_prediction` and `calibration()`.
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each row, >= 0. Equal weights are none; whole numbers from 1 are counts of rows;
        of all others only ratios count; a row of weight 0 is not there.
    groups : array-like of shape (n_samples,), default=None
        Clusters of dependent rows, at least two; they may reach into several groups.
    confidence_level : float, default=0.95
        Of the intervals, inside (0, 1).

    Returns
    -------
    EffectByGroup
        `frame()` has one row a group, sorted by label; `heterogeneity()` tests whether effects
        differ, `calibration()` whether they agree with the predictions.

    Raises
    ------
    ValueError
        If an array has NaN, another length or another index.

    See Also
    --------
    effect_by_quantile : Groups made of the predicted effect.

    Notes
    -----
    Means and standard errors as in `effect_by_quantile`.

    Examples
    --------
    >>> from segcate.metrics import effect_by_group
    >>> found = effect_by_group([1.0, 3.0, 0.0, 1.0, 2.0], ["a", "a", "b", "b", "b"])
    >>> found.frame()[["n", "effect", "std_error"]].reset_index().round(2)
      group  n  effect  std_error
    0     a  2     2.0       1.00
    1     b  3     1.0       0.58
    """
    owner = "effect_by_group"
    rows = check_rows(
        owner, pseudo_outcome, prediction, sample_weight, groups, group=group,
        confidence_level=confidence_level,
    )  # fmt: skip
    labels = rows.keep(_check_labels(owner, group, pseudo_outcome))
    codes, names = frames.sorted_codes(labels)
    return EffectByGroup(
        group=names,
        **estimate_groups(
            rows, codes, len(names), confidence_level, has_prediction=prediction is not None
        ),
    )


def check_n_groups(owner: str, n_groups: Any, rows: ScoredRows) -> None:
    """Raise unless the number of quantile groups is a whole number from 1 to that of rows."""
    check_count(
        owner, "n_groups", n_groups, 1, rows.n_rows,
        advice=f"There are {rows.n_rows} rows; 5 or 10 groups are usual.",
    )  # fmt: skip


def _check_labels(owner: str, group: Any, reference: Any) -> Any:
    """Check one label for every row, none of them missing."""
    labels = as_column(owner, "group", group)
    n_rows = frames.n_rows(reference)
    if len(labels) != n_rows:
        raise ValueError(
            f"{owner}: `group` has {len(labels)} labels for {n_rows} rows; one for every row is "
            "needed."
        )
    if any(frames.is_missing(level) for level in frames.sorted_codes(labels)[1].tolist()):
        raise ValueError(
            f"{owner}: `group` has missing values in some of the {n_rows} rows. Give those rows a "
            "group of their own, for example 'unknown'."
        )
    return labels

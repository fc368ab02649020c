"""Test a ranking against chance, or against another ranking of the same rows."""

from __future__ import annotations

from typing import Any, get_args

from segcate._inputs.groups import check_groups
from segcate._inputs.parameters import check_option
from segcate._inputs.vectors import check_prediction, check_same_index, check_vector
from segcate._inputs.weights import check_weights
from segcate._ranking.formulas import RankScore
from segcate.metrics._rank_estimate import RankMetric, StdError, check_scoring

__all__ = ["rank_test"]


def rank_test(
    pseudo_outcome: Any,
    prediction: Any,
    *,
    kind: RankMetric = "qini",
    k: float = 0.3,
    baseline: Any = None,
    sample_weight: Any = None,
    groups: Any = None,
    std_error: StdError = "influence",
    n_draws: int = 200,
    random_state: Any = None,
) -> RankScore:
    """Test whether a ranking beats chance, or another ranking of the same rows.

    Parameters
    ----------
    pseudo_outcome : array-like of shape (n_samples,)
        Effect scores of the rows, in units of y, made independently of the predictions.
    prediction : array-like of shape (n_samples,)
        Predicted effect of each row, from a model fitted on other rows.
    kind : {"qini", "autoc", "uplift_at_k"}, default="qini"
        Score of the ranking: `qini_score`, `autoc_score` or `uplift_at_k`. For the first two chance
        is 0; uplift at k is tested against no effect among the best rows.
    k : float, default=0.3
        Share of `uplift_at_k`, in (0, 1].
    baseline : array-like of shape (n_samples,), default=None
        Another prediction: the result is the score of `prediction` less that of `baseline`, with
        the standard error of the difference on the same rows.
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each row, >= 0. Equal weights are none; whole numbers from 1 are counts of rows;
        of all others only ratios count; a row of weight 0 is not there.
    groups : array-like of shape (n_samples,), default=None
        Clusters of dependent rows; at least two.
    std_error : {"influence", "plain", "half-sample"}, default="influence"
        "influence": counts that the ranks are estimated. "plain": takes ranks as fixed, for
        comparison with other systems; too wide when effects are predictable. "half-sample": the
        spread over half-samples without replacement, clusters whole (as grf does).
    n_draws : int, default=200
        Number of half-samples.
    random_state : int, RandomState instance or None, default=None
        Seed of the half-samples.

    Returns
    -------
    RankScore
        With `value` and `std_error` in units of y, `p_value` (two-sided, normal; NaN where every
        row has the same prediction) and `confidence_interval()`.

    Raises
    ------
    ValueError
        If an array is NaN or infinite somewhere, not one-dimensional, of another length or with
        another index, if `groups` holds a single group, or if an option is out of its range.

    See Also
    --------
    compare_scores : Several rankings at once, with adjusted p-values.

    Notes
    -----
    The standard error is that of the influence function, with the part that comes from ranks being
    estimated; without it, it is up to twice too wide. A weight is a sampling weight here: a row of
    weight 2 is one unit of evidence, as two equal rows of one group are. The spread of scores over
    folds is not a standard error.

    Examples
    --------
    >>> import numpy as np
    >>> from segcate.metrics import rank_test
    >>> rng = np.random.default_rng(0)
    >>> effect = rng.normal(size=500)
    >>> test = rank_test(effect + rng.normal(size=500), effect)
    >>> round(test.value, 2), round(test.std_error, 2), test.p_value < 0.001
    (0.29, 0.02, True)
    """
    owner = "rank_test"
    check_option(owner, "kind", kind, get_args(RankMetric))
    scoring = check_scoring(owner, kind, k, std_error, n_draws, random_state)
    check_same_index(
        owner, pseudo_outcome=pseudo_outcome, prediction=prediction, baseline=baseline,
        sample_weight=sample_weight, groups=groups,
    )  # fmt: skip
    psi = check_vector(owner, "pseudo_outcome", pseudo_outcome, pseudo_outcome)
    weight = check_weights(owner, sample_weight, pseudo_outcome)
    clusters = check_groups(owner, groups, pseudo_outcome)
    ranking = check_prediction(owner, prediction, pseudo_outcome)
    if baseline is None:
        return scoring(ranking, psi, weight, clusters, with_influence=False).score
    other = check_vector(owner, "baseline", baseline, pseudo_outcome)
    ours, theirs = (scoring(p, psi, weight, clusters) for p in (ranking, other))
    return ours.less(theirs)

"""Rosenbaum bounds: how strong a hidden bias would have to be to explain an effect away.

Rosenbaum, P. R. (2002). Observational Studies (2nd ed.), sections 4.3 to 4.5.
Rosenbaum, P. R. (2007). Sensitivity analysis for m-estimates, tests, and confidence intervals in matched
observational studies. Biometrics 63:456-464.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import bdtrc
from scipy.stats import norm, rankdata

from segcate._inputs.arrays import Float
from segcate._inputs.parameters import check_in_unit_interval, check_option
from segcate._inputs.vectors import check_vector
from segcate.effects._segment_matching import SegmentMatching

_OWNER = "rosenbaum_bounds"
_STATISTICS = ("wilcoxon", "mean", "huber")
_ALTERNATIVES = ("two-sided", "greater", "less")
_GAMMAS = (1.0, 1.25, 1.5, 2.0, 3.0)
# Differences count at most so many medians of their sizes.
_HUBER_TRIM = 2.5
_LARGEST_GAMMA = 1e6
_N_HALVINGS = 100


@dataclass(frozen=True, slots=True)
class RosenbaumBounds:
    """Bounds on p-value and effect where hidden bias is at most gamma.

    Attributes
    ----------
    gamma : float64 array of shape (n_gammas,), at least 1
        Within a pair the odds of treatment of one row are at most gamma times those of the other.
    p_lower, p_upper : float64 arrays of shape (n_gammas,)
        The smallest and the largest p-value that such a bias allows.
    effect_low, effect_high : float64 arrays of shape (n_gammas,)
        The smallest and the largest Hodges-Lehmann estimate, in units of y; NaN where the statistic
        is not that of Wilcoxon, and for outcomes 0 and 1.
    gamma_limit : float
        The largest gamma at which `p_upper` is at most 1 less the confidence level; NaN where it is
        above that already without bias.
    n_pairs, n_different : int
        Pairs, and pairs whose outcomes differ.
    statistic : {"wilcoxon", "mean", "huber", "mcnemar"}
    alternative : {"two-sided", "greater", "less"}
    """

    gamma: Float
    p_lower: Float
    p_upper: Float
    effect_low: Float
    effect_high: Float
    gamma_limit: float
    n_pairs: int
    n_different: int
    statistic: str
    alternative: str

    def frame(self) -> pd.DataFrame:
        """Return one row a gamma."""
        names = ("p_lower", "p_upper", "effect_low", "effect_high")
        index = pd.Index(self.gamma, name="gamma")
        return pd.DataFrame({name: getattr(self, name) for name in names}, index=index)


def rosenbaum_bounds(
    difference: Any,
    *,
    gamma: Any = _GAMMAS,
    statistic: str = "wilcoxon",
    alternative: str = "two-sided",
    confidence_level: float = 0.95,
) -> RosenbaumBounds:
    """Bound p-value and effect of matched pairs under hidden bias of given strength.

    Use it for pairs of one treated and one control row, each in one pair. A large `gamma_limit` says
    that only a strong hidden bias explains the effect away; it does not say that there is none.

    Parameters
    ----------
    difference : array-like of shape (n_pairs,)
        Outcome of the treated row less that of the control row. Where all are -1, 0 or 1, outcomes
        are taken as 0 and 1, and the test is McNemar's, exact.
    gamma : float or array-like of floats, at least 1, default=(1, 1.25, 1.5, 2, 3)
        Strengths of bias, as odds of treatment within a pair.
    statistic : {"wilcoxon", "mean", "huber"}, default="wilcoxon"
        "wilcoxon": signed ranks. "mean": the differences themselves. "huber": differences cut at 2.5
        medians of their sizes.
    alternative : {"two-sided", "greater", "less"}, default="two-sided"
        "greater": the treatment raises outcomes. "two-sided": twice the smaller of both.
    confidence_level : float in (0, 1), default=0.95
        For `gamma_limit`.

    Returns
    -------
    RosenbaumBounds

    Raises
    ------
    ValueError
        If `difference` is empty or not finite, gamma is below 1, or an option is unknown.

    See Also
    --------
    pair_differences : Differences of the pairs of a fitted `SegmentMatching`.
    e_value : The same question for other designs.

    Notes
    -----
    With scores q of the pairs (ranks of the sizes, for Wilcoxon) and T their sum over pairs with a
    positive difference, a bias of gamma bounds T by sums of independent scores that count with chance
    p = gamma / (1 + gamma), or 1 / (1 + gamma): mean p sum q, variance p (1 - p) sum q^2 (Rosenbaum
    2002, section 4.3.3). Pairs without a difference are left out of the p-values. A Hodges-Lehmann
    bound is the shift of the differences at which T equals that mean (section 4.3.5); there all pairs
    count.

    References
    ----------
    Rosenbaum, P. R. (2002). Observational Studies (2nd ed.), chapter 4. Rosenbaum (2007), Biometrics
    63:456-464.

    Examples
    --------
    >>> import numpy as np
    >>> from segcate.effects import rosenbaum_bounds
    >>> difference = np.random.RandomState(0).normal(0.5, 1.0, 200)
    >>> bounds = rosenbaum_bounds(difference, gamma=[1, 2, 3])
    >>> bounds.p_upper.round(3)
    array([0.   , 0.005, 0.488])
    >>> round(bounds.gamma_limit, 2)
    2.35
    """
    values = check_vector(_OWNER, "difference", difference, difference)
    check_option(_OWNER, "statistic", statistic, _STATISTICS)
    check_option(_OWNER, "alternative", alternative, _ALTERNATIVES)
    check_in_unit_interval(_OWNER, "confidence_level", confidence_level)
    gammas = _checked_gammas(gamma)
    is_binary = bool(np.isin(values, (-1.0, 0.0, 1.0)).all())
    statistic = "mcnemar" if is_binary else statistic
    test = _Test(values[values != 0], _scores(values, statistic), is_binary, alternative)
    has_shift = statistic == "wilcoxon" and len(values) > 0
    shifts = np.array(
        [_shifts(values, g) if has_shift else (np.nan, np.nan) for g in gammas.tolist()]
    ).reshape(-1, 2)
    return RosenbaumBounds(
        gamma=gammas,
        p_lower=np.array([test.p_value(1.0 / g) for g in gammas.tolist()]),
        p_upper=np.array([test.p_value(g) for g in gammas.tolist()]),
        effect_low=shifts[:, 0],
        effect_high=shifts[:, 1],
        gamma_limit=test.limit(1.0 - confidence_level),
        n_pairs=len(values),
        n_different=int((values != 0).sum()),
        statistic=statistic,
        alternative=alternative,
    )


@dataclass(frozen=True, slots=True)
class _Test:
    """Signed scores of the pairs that differ.

    Attributes
    ----------
    difference : float64 array, without zeros
    score : float64 array, above 0
    is_binary : whether the law of the statistic is binomial
    alternative : as asked
    """

    difference: Float
    score: Float
    is_binary: bool
    alternative: str

    def p_value(self, gamma: float) -> float:
        """Return the p-value where the odds of the row with the larger outcome are gamma."""
        if not len(self.score):
            return 1.0
        if self.alternative != "two-sided":
            return self._one_sided(gamma, self.alternative == "greater")
        return min(1.0, 2.0 * min(self._one_sided(gamma, up) for up in (True, False)))

    def _one_sided(self, gamma: float, is_up: bool) -> float:
        chance = gamma / (1.0 + gamma)
        is_counted = self.difference > 0 if is_up else self.difference < 0
        if self.is_binary:
            n_counted = int(is_counted.sum())
            return 1.0 if n_counted == 0 else float(bdtrc(n_counted - 1, len(self.score), chance))
        total = self.score.sum()
        spread = np.sqrt(chance * (1.0 - chance) * (self.score @ self.score))
        return float(norm.sf((self.score[is_counted].sum() - chance * total) / spread))

    def limit(self, level: float) -> float:
        """Return the largest gamma at which the p-value is at most a level."""
        if self.p_value(1.0) > level:
            return float("nan")
        if self.p_value(_LARGEST_GAMMA) <= level:
            return float("inf")
        found = brentq(lambda g: self.p_value(np.exp(g)) - level, 0.0, np.log(_LARGEST_GAMMA))
        return float(np.exp(found))


def _scores(values: Float, statistic: str) -> Float:
    """Return the score of each pair that differs."""
    size = np.abs(values)
    if statistic == "mcnemar":
        return np.ones(int((values != 0).sum()))
    if statistic == "huber":
        middle = float(np.median(size)) if len(size) else 0.0
        middle = middle if middle > 0 else float(size.max(initial=1.0))
        size = np.minimum(size / middle, _HUBER_TRIM)
    size = size[values != 0]
    return np.asarray(rankdata(size) if statistic == "wilcoxon" else size, dtype=np.float64)


def _shifts(values: Float, gamma: float) -> tuple[float, float]:
    """Return the Hodges-Lehmann estimates at the two bounds of the signed rank statistic."""
    ordered = np.sort(values)
    n_sums = len(values) * (len(values) + 1) / 2
    low, high = (_quantile_of_means(ordered, p * n_sums) for p in _chances(gamma))
    return low, high


def _chances(gamma: float) -> tuple[float, float]:
    return gamma / (1.0 + gamma), 1.0 / (1.0 + gamma)


def _quantile_of_means(ordered: Float, n_above: float) -> float:
    """Return the number that so many means of two values (or one and itself) lie above.

    Ties count half. Where a stretch of numbers does, its middle.
    """
    rounding = 1e-9 * n_above
    start, end = float(ordered[0]), float(ordered[-1])
    edges = []
    for most in (n_above + rounding, n_above - rounding):
        low, high = start, end
        for _ in range(_N_HALVINGS):
            middle = 0.5 * (low + high)
            if _n_means_above(ordered, middle) <= most:
                high = middle
            else:
                low = middle
        edges.append(0.5 * (low + high))
    return float(np.mean(edges))


def _n_means_above(ordered: Float, value: float) -> float:
    """Count the means of two values (or one and itself) above a number, equal ones half."""
    partner = 2.0 * value - ordered
    n = len(ordered)
    above = n - np.searchsorted(ordered, partner, side="right")
    equal = np.searchsorted(ordered, partner, side="right") - np.searchsorted(ordered, partner)
    own = (ordered > value) + 0.5 * (ordered == value)
    return float((above + 0.5 * equal).sum() + own.sum()) / 2.0


def _checked_gammas(gamma: Any) -> Float:
    try:
        values = np.atleast_1d(np.asarray(gamma, dtype=np.float64))
    except (TypeError, ValueError):
        values = np.empty(0)
    if values.ndim != 1 or not len(values) or not (values >= 1).all() or np.isinf(values).any():
        raise ValueError(
            f"{_OWNER}: `gamma` must hold finite numbers of at least 1, the odds of treatment within a pair; got "
            f"{gamma!r}. 1 is no bias."
        )
    return values


def pair_differences(estimator: SegmentMatching, y: Any) -> dict[Any, Float]:
    """Return the outcome of the treated row less that of the control row, for the pairs of each segment.

    Parameters
    ----------
    estimator : fitted SegmentMatching
        Of pairs: one neighbour, without replacement, no weights.
    y : array-like of shape (n_samples,)
        The outcome of its fit.

    Returns
    -------
    dict of segment label to float64 array of shape (n_pairs,)

    Raises
    ------
    ValueError
        If the design is not of pairs, or y does not fit.

    Examples
    --------
    >>> from segcate.datasets import make_segmented_users
    >>> from segcate.effects import SegmentMatching, pair_differences, rosenbaum_bounds
    >>> from segcate.matching import PropensityMatcher
    >>> users = make_segmented_users(2000, n_segments=2, random_state=0)
    >>> X = users.X.assign(segment=users.segment)
    >>> model = SegmentMatching(PropensityMatcher(n_neighbors=1, replacement=False))
    >>> model = model.fit(X, users.y, treatment=users.treatment)
    >>> difference = pair_differences(model, users.y)
    >>> [round(rosenbaum_bounds(difference[label]).gamma_limit, 1) for label in (0, 1)]
    [1.2, 4.4]
    """
    owner = "pair_differences"
    why_not = why_no_pairs(estimator)
    if why_not:
        raise ValueError(
            f"{owner}: pairs need one treated and one control row each, and {why_not}. Match with "
            "PropensityMatcher(n_neighbors=1, replacement=False)."
        )
    outcome = check_vector(owner, "y", y, y)
    sample = estimator.matcher_.matched_
    if hasattr(estimator, "complete_rows_") and len(outcome) != sample.n_rows:
        outcome = outcome[estimator.complete_rows_]
    if len(outcome) != sample.n_rows:
        raise ValueError(
            f"{owner}: `y` has {len(outcome)} values, and the estimator was fitted on {sample.n_rows} rows. Pass the "
            "outcome of its fit."
        )
    at = np.flatnonzero(sample.is_matched)
    match = sample.start[at] if sample.donors is None else sample.donors[sample.start[at]]
    gap = outcome[sample.order[at]] - outcome[sample.order[match]]
    gap = -gap if estimator.estimand == "atc" else gap
    cell = np.searchsorted(sample.bounds[::2], at, side="right") - 1
    segment = sample.cell_segment[cell]
    labels = estimator.segment_labels_.tolist()
    return {label: gap[segment == code] for code, label in enumerate(labels)}


def why_no_pairs(estimator: SegmentMatching) -> str:
    """Say why a design is not of pairs; "" where it is."""
    sample = estimator.matcher_.matched_
    if sample.replacement:
        return "rows are matched with replacement"
    if sample.n_neighbors != 1:
        return f"rows have up to {sample.n_neighbors} matches"
    if sample.sample_weight is not None:
        return "rows have weights"
    return "both arms look for matches" if estimator.estimand == "ate" else ""

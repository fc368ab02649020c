"""Test whether segments differ, and by how much.

Cochran (1954, Biometrics 10:101-129); DerSimonian & Laird (1986, Controlled Clinical Trials
7:177-188); Hartung & Knapp (2001, Stat. Med. 20:3875-3889).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Bool, Float
from segcate._inputs.parameters import check_option
from segcate._statistics.between_variance import TAU2_METHODS, diagonal, weighted_moments
from segcate._statistics.contrasts import check_covariance
from segcate._statistics.empirical_bayes import check_effects_and_errors
from segcate._statistics.intervals import Law
from segcate._statistics.joint_tests import RANK_TOLERANCE, WaldTest, johansen_p, wald_test

Tau2Method = Literal["dersimonian-laird", "paule-mandel", "reml"]


@dataclass(frozen=True, slots=True)
class Heterogeneity:
    """How far the effects of segments lie apart.

    Attributes
    ----------
    q : float. Cochran's Q; with a covariance the Wald statistic of equal effects; NaN for fewer
        than two segments
    df : int. Degrees of freedom of `q`: number of segments - 1, less if the covariance has not
        that rank
    p_value : float in [0, 1], small if the effects differ. Chi-squared for known variances, Welch's F
        for estimated ones, Hotelling's law where segments share groups
    i2 : float in [0, 1). Share of the spread of the estimates that is not sampling error
    tau2 : float, >= 0, in squared units of the effects. Variance of the true effects
    mean : float, in units of the effects. Mean of the law that the true effects come from
    mean_std_error : float. Of `mean`, taking `tau2` as known
    hartung_knapp_std_error : float. Of `mean`, from the spread of the effects around it; NaN
        where a covariance leaves no spread to expect
    n_segments : int. Segments that entered
    tau2_method : str. How `tau2` was estimated
    """

    q: float
    df: int
    p_value: float
    i2: float
    tau2: float
    mean: float
    mean_std_error: float
    hartung_knapp_std_error: float
    n_segments: int
    tau2_method: str

    def mean_interval(self, confidence_level: float = 0.95) -> tuple[float, float]:
        """Return the Hartung-Knapp interval of the mean: t law, number of segments - 1.

        Exact for equal standard errors. In simulation 95 % intervals cover 93 to 95 % where the
        largest of eight is four times the smallest, 82 to 89 % for four segments of which one is
        six times as precise as the others: do not use it there.

        Parameters
        ----------
        confidence_level : float, default=0.95. Inside (0, 1)

        Returns
        -------
        tuple of two floats, NaN for fewer than two segments
        """
        if self.n_segments < 2:
            return np.nan, np.nan
        law = Law(self.n_segments - 1)
        low, high = law.interval(self.mean, self.hartung_knapp_std_error, confidence_level)
        return float(low), float(high)


def heterogeneity(
    effect: npt.ArrayLike,
    std_error: npt.ArrayLike,
    *,
    usable: npt.ArrayLike | None = None,
    covariance: npt.ArrayLike | None = None,
    tau2_method: Tau2Method = "dersimonian-laird",
    df: npt.ArrayLike | None = None,
    group_df: float | None = None,
) -> Heterogeneity:
    """Test whether segments share one effect and estimate how far they are apart.

    Give only segments large enough for their standard errors to be trusted (at least 20 treated):
    the weights are estimates, and a tiny segment with a standard error that came out small by
    chance rules the mean and inflates Q.

    Parameters
    ----------
    effect : array-like of shape (n_segments,). NaN for a segment without an estimate
    std_error : array-like of shape (n_segments,), >= 0. A segment whose effect or standard error
        is NaN or infinite, or whose standard error is zero, has no weight and is left out;
        `n_segments` of the result counts the others
    usable : array-like of bool of shape (n_segments,), default=None. False leaves a segment out
    covariance : array-like of shape (n_segments, n_segments), default=None. For segments that
        share groups or a propensity model; its diagonal replaces `std_error`. None means
        independent segments
    tau2_method : {"dersimonian-laird", "paule-mandel", "reml"}, default="dersimonian-laird".
        The default is in closed form; the others solve for tau^2
    df : array-like of shape (n_segments,), default=None. Degrees of freedom of each variance: the
        p-value then follows Welch's F in place of chi-squared. None means variances as good as known
    group_df : float, default=None. Degrees of freedom of a `covariance` made by groups that reach
        into several segments: the p-value is then Hotelling's, or Welch's where that is larger

    Returns
    -------
    Heterogeneity

    Raises
    ------
    ValueError
        If shapes do not fit, a standard error is negative, the covariance is not one, the method
        is unknown, or "reml" meets a covariance of deficient rank.

    Notes
    -----
    With w = 1/s^2: Q = sum w (t - sum w t / sum w)^2, chi-squared with K - 1 degrees of freedom.
    DerSimonian-Laird takes tau^2 >= 0 so that E[Q] is met, Paule-Mandel so that Q with the
    weights w* = 1/(s^2 + tau^2) is K - 1, REML where the restricted likelihood is largest.
    mean = sum w* t / sum w*; I^2 = tau^2 / (tau^2 + v), v the typical sampling variance of Higgins
    & Thompson (2002), which for DerSimonian-Laird is (Q - K + 1)/Q.
    With a covariance V, Q = (C t)' (C V C')^+ (C t) for differences C. The mean keeps the weights
    w* (generalised least squares on an estimated covariance of few groups is erratic), its variance
    and the moments that tau^2 solves count the covariances; without any, all formulas above return.

    Examples
    --------
    >>> found = heterogeneity([1.0, 3.0], [1.0, 1.0])
    >>> found.q, found.df, found.tau2, found.mean
    (2.0, 1, 1.0, 2.0)
    """
    check_option(
        "heterogeneity", "tau2_method", tau2_method, ["dersimonian-laird", "paule-mandel", "reml"]
    )
    t, v, kept = _usable_segments(effect, std_error, usable, covariance)
    n, freedom = len(t), None if df is None else np.asarray(df, dtype=np.float64)[kept]
    if n < 2:
        mean = (float(t[0]), float(np.sqrt(diagonal(v)[0]))) if n else (np.nan, np.nan)
        return Heterogeneity(np.nan, 0, np.nan, np.nan, np.nan, *mean, np.nan, n, tau2_method)
    test = _equal_effects(t, v, freedom, group_df)
    tau2 = TAU2_METHODS[tau2_method](t, v)
    at_zero, at_tau2 = weighted_moments(t, v, 0.0), weighted_moments(t, v, tau2)
    expected = at_tau2.noise + tau2 * at_tau2.slope
    excess = at_tau2.q / expected if expected > RANK_TOLERANCE * n else np.nan
    return Heterogeneity(
        q=test.statistic,
        df=test.df,
        p_value=test.p_value,
        i2=tau2 / (tau2 + at_zero.noise / at_zero.slope) if tau2 > 0 else 0.0,
        tau2=tau2,
        mean=at_tau2.mean,
        mean_std_error=float(np.sqrt(at_tau2.variance)),
        hartung_knapp_std_error=float(np.sqrt(at_tau2.variance * excess)),
        n_segments=n,
        tau2_method=tau2_method,
    )


def _equal_effects(t: Float, v: Float, df: Float | None, group_df: float | None) -> WaldTest:
    """Test equal effects: Cochran's sum if independent, else differences from the surest effect."""
    n = len(t)
    if v.ndim == 1:
        q, weight = weighted_moments(t, v, 0.0).q, 1.0 / v
        known = np.full(n, np.inf) if df is None else df
        return WaldTest(q, n - 1, johansen_p(q, n - 1, 1.0 - weight / weight.sum(), known))
    reference = int(np.argmin(np.diag(v)))
    differences = np.delete(np.eye(n), reference, axis=0)
    differences[:, reference] = -1.0
    return wald_test(t, v, differences, df=df, group_df=group_df)


def _usable_segments(
    effect: npt.ArrayLike,
    std_error: npt.ArrayLike,
    usable: npt.ArrayLike | None,
    covariance: npt.ArrayLike | None,
) -> tuple[Float, Float, Bool]:
    """Return effects, variances or covariance of the segments that have a weight, and which have."""
    t, s = check_effects_and_errors(effect, std_error)
    v = s**2 if covariance is None else check_covariance(covariance, len(t))
    kept: Bool = np.isfinite(t) & np.isfinite(diagonal(v)) & (diagonal(v) > 0)
    if usable is not None:
        asked = np.asarray(usable)
        if asked.shape != t.shape or asked.dtype != np.bool_:
            raise ValueError(
                f"`usable` must hold one True or False for each of the {len(t)} segments; got type "
                f"{asked.dtype} and shape {asked.shape}. Pass for example `n_treated >= 20`."
            )
        kept &= asked
    return t[kept], v[kept] if v.ndim == 1 else v[np.ix_(kept, kept)], kept

"""Joint tests of several combinations of estimates, and their laws where the covariance is estimated.

Welch (1951), Biometrika 38:330-336, and its extension to any linear combinations by Johansen (1980),
Biometrika 67:85-92, for independent estimates; Hotelling's law for estimates that share groups.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import qr
from scipy.special import chdtrc, fdtrc

from segcate._inputs.arrays import Float

# Eigenvalues of the correlation matrix of the contrasts below this share of the largest count as
# zero: rounding leaves 1e-16 to 1e-14 there, two distinct estimates never come as close as 1e-10.
RANK_TOLERANCE = 1e-10


@dataclass(frozen=True, slots=True)
class WaldTest:
    """A joint test that several linear combinations are all zero.

    Attributes
    ----------
    statistic : float, NaN where nothing could be tested
    df : int, rank of the combinations' covariance, degrees of freedom of the chi-squared law
    p_value : float in [0, 1], NaN where `df` is 0
    """

    statistic: float
    df: int
    p_value: float


def wald_test(
    effect: Float,
    covariance: Float,
    matrix: Float,
    *,
    df: npt.ArrayLike | None = None,
    group_df: float | None = None,
) -> WaldTest:
    """Test that all linear combinations `matrix @ effect` are zero.

    Parameters
    ----------
    effect : float array of shape (n_segments,), finite
    covariance : float array of shape (n_segments, n_segments), or (n_segments,) for the variances
        of independent effects; finite
    matrix : float array of shape (n_contrasts, n_segments). Dependent rows are allowed
    df : array-like of shape (n_segments,), default=None. Degrees of freedom of each variance: the
        statistic then follows Johansen's law (Welch's for equal effects). None means variances as
        good as known, and chi-squared
    group_df : float, default=None. Degrees of freedom of a covariance made by groups that reach into
        several segments: the p-value is then Hotelling's, or Johansen's where that is larger

    Returns
    -------
    WaldTest
        The combinations are first divided by their standard errors, so that the rank does not
        depend on units; `RANK_TOLERANCE` decides which eigenvalues are zero.

    Examples
    --------
    >>> import numpy as np
    >>> found = wald_test(np.array([2.0, 0.0]), np.ones(2), np.array([[1.0, -1.0], [-2.0, 2.0]]))
    >>> round(found.statistic, 9), found.df, round(found.p_value, 4)
    (2.0, 1, 0.1573)
    """
    rows = _independent_rows(matrix)
    whitened = _whitened(covariance, rows)
    rank = len(whitened)
    if rank == 0:
        return WaldTest(np.nan, 0, np.nan)
    statistic = float(((whitened @ effect) ** 2).sum())
    p_values = []
    if group_df is not None:
        p_values.append(hotelling_p(statistic, rank, group_df))
    if df is not None:
        variance = covariance if covariance.ndim == 1 else np.diag(covariance)
        alone = whitened if covariance.ndim == 1 else _whitened(variance, rows)
        p_values.append(johansen_p(statistic, rank, variance * (alone**2).sum(axis=0), df))
    p_value = max(p_values) if p_values else float(chdtrc(rank, statistic))
    return WaldTest(statistic, rank, float("nan") if np.isnan(p_values).any() else p_value)


def _whitened(covariance: Float, matrix: Float) -> Float:
    """Return combinations of the rows of `matrix` that are uncorrelated and of variance 1."""
    joint = matrix * covariance if covariance.ndim == 1 else matrix @ covariance
    joint = joint @ matrix.T
    std_error = np.sqrt(np.diag(joint).clip(0))
    rows = std_error > 0
    if not rows.any():
        return np.empty((0, matrix.shape[1]))
    scaled = matrix[rows] / std_error[rows, np.newaxis]
    correlation = joint[np.ix_(rows, rows)] / np.outer(std_error[rows], std_error[rows])
    values, vectors = np.linalg.eigh((correlation + correlation.T) / 2)
    kept = values > RANK_TOLERANCE * values[-1]
    whitened: Float = (vectors[:, kept].T @ scaled) / np.sqrt(values[kept])[:, np.newaxis]
    return whitened


def _independent_rows(matrix: Float) -> Float:
    """Keep rows that span all, where there are more rows than segments."""
    if len(matrix) <= matrix.shape[1]:
        return matrix
    _, triangle, order = qr(matrix.T, mode="economic", pivoting=True)
    size = np.abs(np.diag(triangle))
    return matrix[np.sort(order[: np.count_nonzero(size > RANK_TOLERANCE * size[0])])]


def johansen_p(statistic: float, rank: int, shares: npt.ArrayLike, df: npt.ArrayLike) -> float:
    r"""Return the p-value of a Wald statistic of independent estimates.

    Parameters
    ----------
    statistic : float, at least 0
    rank : int, number of independent combinations that are tested
    shares : array-like of shape (n_estimates,)
        Diagonal of ``V C' (C V C')^+ C``: how much of the test rests on each estimate. For a test
        of equal effects 1 less the share of the weights 1 / V.
    df : array-like of shape (n_estimates,), degrees of freedom of each variance

    Notes
    -----
    With :math:`A = \sum p_k^2 / f_k` the statistic over
    :math:`r + 2A - 6A/(r + 2)` follows F with r and :math:`r (r + 2) / (3 A)` degrees of freedom.
    For equal effects this is Welch's test, for one combination the t test with Satterthwaite's
    degrees of freedom, and for known variances chi-squared.

    Examples
    --------
    >>> round(johansen_p(4.0, 1, [0.5, 0.5], [5.0, 5.0]), 4)     # t of 2 with 10 degrees of freedom
    0.0734
    """
    p, f = np.asarray(shares, dtype=np.float64), np.asarray(df, dtype=np.float64)
    a = float((p**2 / f)[p != 0].sum())
    if a == 0:
        return float(chdtrc(rank, statistic))
    scale = rank + 2 * a - 6 * a / (rank + 2)
    return float(fdtrc(rank, rank * (rank + 2) / (3 * a), statistic / scale))


def hotelling_p(statistic: float, rank: int, df: float) -> float:
    """Return the p-value of a Wald statistic whose covariance has `df` degrees of freedom.

    ``statistic (df + 1 - rank) / (df rank)`` follows F with rank and df + 1 - rank; NaN where the
    covariance has too few to test so many combinations.

    Examples
    --------
    >>> round(hotelling_p(4.0, 1, 10.0), 4)
    0.0734
    """
    left = df + 1 - rank
    if not left > 0:
        return float("nan")
    return float(fdtrc(rank, left, statistic * left / (df * rank)))

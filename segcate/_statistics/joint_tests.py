"""Laws of joint tests whose covariance is an estimate.

Welch (1951), Biometrika 38:330-336, and its extension to any linear combinations by Johansen (1980),
Biometrika 67:85-92, for independent estimates; Hotelling's law for estimates that share groups.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import chdtrc, fdtrc

Float = npt.NDArray[np.float64]

__all__ = ["hotelling_p", "johansen_p"]


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

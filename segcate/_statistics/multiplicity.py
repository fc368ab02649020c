"""P-values of many tests at once.

Holm (1979, Scandinavian Journal of Statistics 6:65-70); Benjamini & Hochberg (1995, JRSS-B
57:289-300).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Float, Int


def holm(p_value: npt.ArrayLike) -> Float:
    """Adjust p-values after Holm (1979): no false rejection at all, any dependence.

    Use it where one wrong claim is one too many. NaN passes through and does not count as a test.

    Parameters
    ----------
    p_value : array-like of shape (n_tests,), values in [0, 1] or NaN

    Returns
    -------
    float array of shape (n_tests,)
        p_(i) becomes max over j <= i of min(1, (m - j + 1) p_(j)), m = number of p-values not NaN.

    Raises
    ------
    ValueError
        If a value lies outside [0, 1] or the input has more than one dimension.

    Examples
    --------
    >>> import numpy as np
    >>> holm([0.01, 0.04, 0.03, np.nan])
    array([0.03, 0.06, 0.06,  nan])
    """
    values, order = _sorted_tests(p_value)
    m = len(order)
    raised = np.maximum.accumulate(values[order] * np.arange(m, 0, -1))
    values[order] = np.minimum(raised, 1.0)
    return values


def benjamini_hochberg(p_value: npt.ArrayLike) -> Float:
    """Adjust p-values after Benjamini & Hochberg (1995): a bounded share of false claims.

    Valid for independent tests and under positive dependence. NaN passes through and does not
    count as a test.

    Parameters
    ----------
    p_value : array-like of shape (n_tests,), values in [0, 1] or NaN

    Returns
    -------
    float array of shape (n_tests,)
        p_(i) becomes min over j >= i of min(1, m p_(j) / j), m = number of p-values not NaN.

    Raises
    ------
    ValueError
        If a value lies outside [0, 1] or the input has more than one dimension.

    Examples
    --------
    >>> import numpy as np
    >>> benjamini_hochberg([0.01, 0.04, 0.03, np.nan])
    array([0.03, 0.04, 0.04,  nan])
    """
    values, order = _sorted_tests(p_value)
    m = len(order)
    lowered = np.minimum.accumulate((values[order] * (m / np.arange(1, m + 1)))[::-1])[::-1]
    values[order] = np.minimum(lowered, 1.0)
    return values


def _sorted_tests(p_value: npt.ArrayLike) -> tuple[Float, Int]:
    """Return a checked copy of the p-values and the positions of the tests, smallest first."""
    values = np.array(p_value, dtype=np.float64)
    if values.ndim != 1:
        raise ValueError(
            f"`p_value` must have one dimension; got shape {values.shape}. Pass one p-value a test."
        )
    tested = np.flatnonzero(~np.isnan(values))
    n_bad = int(((values[tested] < 0) | (values[tested] > 1)).sum())
    if n_bad:
        raise ValueError(
            f"`p_value` must hold values in [0, 1] or NaN; {n_bad} of {len(values)} lie outside "
            f"(smallest {np.nanmin(values):.3g}, largest {np.nanmax(values):.3g}). "
            "Were test statistics passed in their place?"
        )
    return values, tested[np.argsort(values[tested], kind="stable")]

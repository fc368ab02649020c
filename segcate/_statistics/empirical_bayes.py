"""Shrink noisy effects towards their mean.

Morris (1983, JASA 78:47-55).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Float
from segcate._inputs.parameters import check_option

ShrinkMethod = Literal["morris", "plug-in"]

# With three segments or fewer Morris's term divides by zero or less.
MIN_SEGMENTS_TO_SHRINK = 4


@dataclass(frozen=True, slots=True)
class Shrunken:
    """Effects pulled towards their mean, each by as much as it is uncertain.

    Attributes
    ----------
    effect : float array of shape (n_segments,), NaN where nothing could be shrunk
    std_error : float array of shape (n_segments,)
    """

    effect: Float
    std_error: Float


def shrink(
    effect: npt.ArrayLike,
    std_error: npt.ArrayLike,
    tau2: float,
    mean: float,
    *,
    mean_std_error: float | None = None,
    n_segments: int | None = None,
    method: ShrinkMethod = "morris",
) -> Shrunken:
    """Shrink each effect towards the mean of all (empirical Bayes).

    Use it to rank segments and to say what a repetition would show: the largest of several noisy
    effects is too large. Use the unshrunken ones to report what was measured in a segment.

    Parameters
    ----------
    effect : array-like of shape (n_segments,). NaN gives NaN
    std_error : array-like of shape (n_segments,), >= 0. NaN and zero give NaN
    tau2 : float, >= 0. Variance of the true effects, from `heterogeneity`; NaN gives NaN
    mean : float. Their mean, from `heterogeneity`
    mean_std_error : float, default=None. Standard error of `mean`, used by "plug-in" alone. None
        takes sqrt(1 / sum w*) over the effects given
    n_segments : int, default=None. Number of segments that `tau2` and `mean` were estimated from,
        used by "morris" alone. None counts the effects given
    method : {"morris", "plug-in"}, default="morris". "morris" allows for `tau2` being an estimate
        and is the one to publish; with fewer than 4 segments it is NaN. "plug-in" takes `tau2` for
        the truth, as metafor's `blup` does, and its 95 % intervals cover about 85 %

    Returns
    -------
    Shrunken

    Raises
    ------
    ValueError
        If shapes do not fit, a standard error or `tau2` is negative, or the method is unknown.

    Notes
    -----
    "plug-in": B = s^2 / (s^2 + tau^2), effect (1 - B) t + B mean, variance
    (1 - B) s^2 + B^2 var(mean).
    "morris" (Morris 1983, section 5): B = (K - 3)/(K - 1) s^2 / (s^2 + tau^2), the same effect,
    variance s^2 (1 - B (K - 1)/K) + 2 B^2 r (t - mean)^2 / (K - 3) with
    r = (mean of s^2 + tau^2) / (s^2 + tau^2). Without the factor (K - 3)/(K - 1) and r the
    intervals of precise segments cover 77 to 93 % (8 segments or fewer, unequal standard errors);
    with them 94 to 97 %, and up to 99.6 % where sampling noise exceeds the spread of the effects.

    Examples
    --------
    >>> shrink([0.0, 4.0], [1.0, 1.0], tau2=1.0, mean=2.0, method="plug-in")
    Shrunken(effect=array([1., 3.]), std_error=array([0.866..., 0.866...]))
    """
    check_option("shrink", "method", method, ["morris", "plug-in"])
    t, s = check_effects_and_errors(effect, std_error)
    if tau2 < 0:
        raise ValueError(
            f"`tau2` must not be negative; got {tau2!r}. Pass `heterogeneity(...).tau2`."
        )
    known = np.isfinite(t) & np.isfinite(s) & (s > 0)
    variance = np.where(known, s**2, np.nan)
    total = variance + tau2
    share = variance / total
    if method == "plug-in":
        inverse = 1.0 / (1.0 / total[known]).sum() if known.any() else np.nan
        mean_variance = inverse if mean_std_error is None else mean_std_error**2
        spread = (1 - share) * variance + share**2 * mean_variance
    else:
        k = int(known.sum()) if n_segments is None else n_segments
        if k < MIN_SEGMENTS_TO_SHRINK or not known.any():
            return Shrunken(np.full(len(t), np.nan), np.full(len(t), np.nan))
        share = share * (k - 3) / (k - 1)
        unequal = (variance[known].mean() + tau2) / total
        spread = variance * (1 - share * (k - 1) / k)
        spread += 2 * share**2 * unequal * (t - mean) ** 2 / (k - 3)
    return Shrunken((1 - share) * t + share * mean, np.sqrt(spread))


def check_effects_and_errors(
    effect: npt.ArrayLike, std_error: npt.ArrayLike
) -> tuple[Float, Float]:
    t = np.asarray(effect, dtype=np.float64)
    s = np.asarray(std_error, dtype=np.float64)
    if t.ndim != 1 or s.shape != t.shape:
        raise ValueError(
            "`effect` and `std_error` must have one dimension and one length; got shapes "
            f"{t.shape} and {s.shape}. Pass one value a segment, NaN where there is no estimate."
        )
    n_negative = int((s < 0).sum())
    if n_negative:
        raise ValueError(
            f"`std_error` must not be negative; {n_negative} of {len(s)} values are (smallest "
            f"{np.nanmin(s):.3g}). Were z values passed in its place?"
        )
    return t, s

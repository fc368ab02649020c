"""Least squares of the outcome on treatment, centred covariates and all interactions.

Lin (2013), Annals of Applied Statistics 7:295-318. With every interaction the fit is one regression
an arm, and the coefficient of the treatment is the difference of the two at the covariates' mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from segcate._inputs.arrays import Bool, Float, Int
from segcate._statistics.least_squares import LeastSquares, centre_columns, least_squares
from segcate._statistics.sandwich import FULL_LEVERAGE, cluster_scores, corrected


@dataclass(frozen=True, slots=True)
class InteractedFit:
    """The effect at the mean of the target rows, and what each row adds to its error.

    Attributes
    ----------
    effect : the coefficient of the treatment
    influence : float64 array of shape (n_rows,)
        Of each row's residual: share of the residual in the effect times the residual.
    centring : float64 array of shape (n_rows,)
        Of each row's covariates, through the mean at which the regressions are compared.
    leverage : float64 array of shape (n_rows,), values in [0, 1]
    alone_variance : variance from rows of leverage 1, whose residual is 0 whatever their error
    n_alone : number of those rows
    arm_ranks : coefficients of the regression in the control arm and in the treated arm
    rank : coefficients of the whole regression
    n_coefficients : what an arm with enough rows would have, a constant and every covariate that
        is no combination of others
    n_common : covariates with one slope for both arms, because they do not vary in one of them
    weighted : design, residuals and weights
    bread : inverse of the normal equations
    """

    effect: float
    influence: Float
    centring: Float
    leverage: Float
    alone_variance: float
    n_alone: int
    arm_ranks: tuple[int, int]
    rank: int
    n_coefficients: int
    n_common: int
    weighted: tuple[Float, Float, Float]
    bread: Float

    def scores(self, correction: str) -> Float:
        """Return each row's error, its residual corrected for having been fitted.

        "hc1" as it is; "hc2" divided by the root of one less the leverage; "hc3" by one less it.
        """
        return corrected(self.influence, self.leverage, correction) + self.centring

    def scores_left_out(self, codes: Int) -> Float:
        """Return each group's error by leaving it out; NaN where a group decides a coefficient alone.

        `codes` of the rows run from 0 without gaps.
        """
        design, residual, weight = self.weighted
        root = np.sqrt(weight)
        scores, _ = cluster_scores(
            design * root[:, None], residual * root, self.bread, codes, leaves_out=True
        )
        return scores[:, 1]


def interacted_regression(
    y: Float, is_treated: Bool, Z: Float, own: Float, weight: Float | None
) -> InteractedFit | None:
    """Fit ``y ~ 1 + t + (Z - m) + t (Z - m)``, m the mean of Z over the target rows.

    None where a combination of covariates equals the treatment, so that no effect can be told.

    Parameters
    ----------
    y : float64 array of shape (n_rows,)
    is_treated : bool array of shape (n_rows,)
    Z : float64 array of shape (n_rows, n_covariates)
    own : float64 array of shape (n_rows,)
        Weight of each row in the target population, 0 outside it.
    weight : float64 array of shape (n_rows,) or None
        Weight of each row in the regression, above 0.
    """
    p, total = Z.shape[1], float(own.sum())
    Z = centre_columns(Z)
    centred = Z - own @ Z / total
    t = is_treated.astype(np.float64)
    design = np.empty((len(y), 2 + 2 * p))
    design[:, 0], design[:, 1], design[:, 2 : 2 + p] = 1.0, t, centred
    np.multiply(t[:, None], centred, out=design[:, 2 + p :])
    fit = least_squares(design, y, weight)
    mains, interactions = fit.kept[2 : 2 + p], fit.kept[2 + p :]
    n_coefficients = fit.rank_of(np.append(0, np.arange(2, 2 + p)))
    if int(mains.sum()) < n_coefficients - 1:
        return None
    w = np.ones(len(y)) if weight is None else weight
    residual = y - design @ fit.coef
    along = design @ fit.bread
    leverage = np.clip(w * np.einsum("ij,ij->i", along, design), 0.0, 1.0)
    is_alone = leverage > FULL_LEVERAGE
    influence = np.where(is_alone, 0.0, along[:, 1] * w * residual)
    slopes = centred @ fit.coef[2 + p :]
    ranks = _arm_ranks(fit, leverage, is_treated)
    return InteractedFit(
        effect=float(fit.coef[1]),
        influence=influence,
        centring=own / total * slopes,
        leverage=leverage,
        alone_variance=_alone_variance(residual, w * along[:, 1], w, is_treated, is_alone, ranks),
        n_alone=int(is_alone.sum()),
        arm_ranks=ranks,
        rank=fit.rank,
        n_coefficients=n_coefficients,
        n_common=int((mains & ~interactions).sum()),
        weighted=(design, residual, w),
        bread=fit.bread,
    )


def _arm_ranks(fit: LeastSquares, leverage: Float, is_treated: Bool) -> tuple[int, int]:
    """Share the coefficients between the arms: leverages of an arm sum to its own."""
    in_treated = float(leverage[is_treated].sum())
    return int(np.ceil(fit.rank - in_treated - 1e-6)), int(np.ceil(in_treated - 1e-6))


def _alone_variance(
    residual: Float,
    share: Float,
    weight: Float,
    is_treated: Bool,
    is_alone: Bool,
    ranks: tuple[int, int],
) -> float:
    """Give rows of leverage 1 the residual variance of their arm (of a row of weight 1)."""
    total = 0.0
    for arm in (0, 1):
        at = is_treated == (arm == 1)
        lone = at & is_alone
        spare = int(at.sum()) - ranks[arm]
        if lone.any():
            sigma2 = float(weight[at] @ residual[at] ** 2) / spare if spare > 0 else np.nan
            total += float((share[lone] ** 2 / weight[lone]).sum()) * sigma2
    return total

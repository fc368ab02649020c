"""Linear g-computation: outcome regression with treatment interactions on the matched rows.

``y ~ w * Z`` with matching weights; the effect is the mean over matched focal rows of predicted
y(1) - y(0). The regression with Lin's (2013) interactions; standard errors as in Abadie & Spiess.
"""

from __future__ import annotations

import numpy as np

from segcate._inputs.arrays import Float
from segcate._statistics.least_squares import centre_columns, least_squares
from segcate._statistics.sandwich import row_scores
from segcate.effects._matched.adjustment import MatchedEffect
from segcate.effects._matched.row_scores import RowScores
from segcate.effects._matched.view import SegmentView


def g_computation(view: SegmentView, Z: Float, inference: str) -> tuple[MatchedEffect, RowScores]:
    """Estimate the effect on the matched focal rows and the scores its variance is made of.

    With ``inference="population"`` the score of a focal row also carries its own predicted effect
    less the mean, Var(tau(X)) / P, which the delta method leaves out.

    Parameters
    ----------
    view : the segment; "att" or "atc"
    Z : float64 array of shape (n_rows, n_encoded), covariates of all rows of X
    inference : {"population", "sample"}
    """
    weight = view.own + view.uses
    at = np.flatnonzero(weight > 0)
    covariates = centre_columns(Z[view.rows[at]])
    w = view.is_treated[at].astype(np.float64)
    design = np.column_stack([np.ones(len(at)), w, covariates, w[:, None] * covariates])
    fit = least_squares(design, view.y[at], weight[at])
    p = covariates.shape[1]
    slopes = np.concatenate([[fit.coef[1]], fit.coef[2 + p :]])
    tau_at = slopes[0] + covariates @ slopes[1:]
    own = view.own[at]
    effect = float(own @ tau_at / view.total)

    target = np.zeros(design.shape[1])  # gradient of the effect in the coefficients
    target[1] = 1.0
    target[2 + p :] = own @ covariates / view.total
    residual = view.y[at] - design @ fit.coef
    row_score = row_scores(design, residual, fit.bread, "hc0")[0] @ target
    focal, donor = np.zeros(len(view.y)), np.zeros(len(view.y))
    donor[at] = np.where(view.uses[at] > 0, row_score, 0.0)
    is_focal = own > 0
    focal[at[is_focal]] = row_score[is_focal]
    if inference == "population":
        focal[at[is_focal]] += (tau_at[is_focal] - effect) / view.total
    tau = np.full(len(view.y), np.nan)
    tau[at[is_focal]] = tau_at[is_focal]
    return MatchedEffect(effect, tau), RowScores(focal, donor, fit.rank)

"""Effects and standard errors after matching written out: slow, plain, from the formulas.

Takes the designs that `naive_matching` makes. With replacement: Abadie & Imbens (2006, 2011, 2016).
Without: weighted regression with clustered sandwich variances, as R's sandwich and marginaleffects
compute them (Abadie & Spiess 2022). `treatment` is always a 0/1 integer array.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import stats
from sklearn.base import clone

from tests.helpers.naive_matching import Design, match_with_replacement, same_arm_sets, usage


class Effect(NamedTuple):
    """An effect with its standard error for the population and for the sample at hand.

    `unit_effect` holds tau_i of the focal units and NaN elsewhere.
    """

    estimate: float
    std_error: float
    sample_std_error: float
    unit_effect: np.ndarray


# --- with replacement: Abadie & Imbens (2006, 2011) -----------------------------------------------


def conditional_variance(y: np.ndarray, same_arm: Design, itself: str) -> np.ndarray:
    """Estimate each unit's outcome variance given covariates from `same_arm_sets(itself=...)`.

    NaN where the set is too small.
    """
    sigma2 = np.full(len(y), np.nan)
    for i, found in enumerate(same_arm):
        j = len(found)
        if itself == "out" and j > 0:
            sigma2[i] = j / (j + 1) * (y[i] - y[found].mean()) ** 2
        elif itself != "out" and j > 1:
            sigma2[i] = y[found].var(ddof=1)
    return sigma2


def donor_regression(
    y: np.ndarray, treatment: np.ndarray, design: Design, Z: np.ndarray
) -> np.ndarray:
    """Fit y on (1, Z) among the units used as matches, weights K, in each arm that gave some.

    Returns
    -------
    array of shape (n, 2): value for every unit of the regression in arm 0 and in arm 1; zero for an
    arm that gave no matches
    """
    columns = np.column_stack([np.ones(len(y)), Z])
    k, _ = usage(design, len(y))
    fitted = np.zeros((len(y), 2))
    for arm in (0, 1):
        donors = (treatment == arm) & (k > 0)
        if donors.any():
            root = np.sqrt(k[donors])
            coef = np.linalg.lstsq(columns[donors] * root[:, None], y[donors] * root, rcond=None)[0]
            fitted[:, arm] = columns @ coef
    return fitted


def donor_outcomes(
    y: np.ndarray, treatment: np.ndarray, design: Design, Z: np.ndarray | None = None
) -> list[np.ndarray]:
    """Return the outcomes of each unit's matches, moved to the unit's covariates if Z is given."""
    fitted = np.zeros((len(y), 2)) if Z is None else donor_regression(y, treatment, design, Z)
    moved = []
    for i, found in enumerate(design):
        other = fitted[:, 1 - treatment[i]]
        moved.append(y[found] + other[i] - other[found])
    return moved


def homoskedastic_variance(
    y: np.ndarray, treatment: np.ndarray, design: Design, Z: np.ndarray | None = None
) -> np.ndarray:
    """Estimate one outcome variance for all: half the variance of the pair differences."""
    differences, weights = [], []
    for i, outcomes in enumerate(donor_outcomes(y, treatment, design, Z)):
        for outcome in outcomes:
            differences.append((2 * treatment[i] - 1) * (y[i] - outcome))
            weights.append(1 / len(outcomes))
    mean = np.average(differences, weights=weights)
    return np.full(len(y), np.average((np.array(differences) - mean) ** 2, weights=weights) / 2)


def matching_effect(
    y: np.ndarray,
    treatment: np.ndarray,
    design: Design,
    sigma2: np.ndarray,
    Z: np.ndarray | None = None,
) -> Effect:
    """Average the focal units' differences from their matches (Abadie & Imbens 2006, Theorem 7).

    The estimand follows from who is focal in `design`: treated ATT, controls ATC, both ATE. Units
    without a match do not count. Bias-adjusted on Z if it is given.
    """
    n = len(y)
    outcomes = donor_outcomes(y, treatment, design, Z)
    is_focal = np.array([len(found) > 0 for found in design])
    tau = np.full(n, np.nan)
    for i in np.flatnonzero(is_focal):
        tau[i] = (2 * treatment[i] - 1) * (y[i] - outcomes[i].mean())
    estimate = tau[is_focal].mean()
    k, k2 = usage(design, n)
    is_both = len(np.unique(treatment[is_focal])) == 2
    extra = k**2 + 2 * k - k2 if is_both else k**2 - k2
    spread = ((tau[is_focal] - estimate) ** 2).sum() + (sigma2 * extra)[k > 0].sum()
    load = is_focal + k
    sample = (sigma2 * load**2)[load > 0].sum()
    n_focal = is_focal.sum()
    return Effect(estimate, np.sqrt(spread) / n_focal, np.sqrt(sample) / n_focal, tau)


def pooled_variances(
    n_treated: np.ndarray, effect: np.ndarray, std_error: np.ndarray
) -> tuple[float, float, float]:
    """Pool stratified effects: estimate, variance with fixed strata, with strata drawn too."""
    share = np.asarray(n_treated) / np.sum(n_treated)
    estimate = share @ effect
    fixed = share**2 @ np.asarray(std_error) ** 2
    return estimate, fixed, fixed + share @ (effect - estimate) ** 2 / np.sum(n_treated)


# --- the score is estimated: Abadie & Imbens (2016) -----------------------------------------------


class Score(NamedTuple):
    """A fitted binary regression: probability, its derivative in z'g, covariance of g."""

    probability: np.ndarray
    slope: np.ndarray
    covariance: np.ndarray


def fit_score(z: np.ndarray, treatment: np.ndarray, link: str = "logit") -> Score:
    """Fit treatment on z (constant included) by Newton's method to the last digit.

    Rows with the same z get the same score to the last bit; otherwise rounding breaks ties.
    """
    z, treatment = np.asarray(z, dtype=float), np.asarray(treatment, dtype=float)
    scale = np.abs(z).max(axis=0)
    rows, group = np.unique(z / scale, axis=0, return_inverse=True)
    group = group.ravel()
    size, ones = np.bincount(group), np.bincount(group, weights=treatment)
    coef = np.zeros(z.shape[1])
    for _ in range(100):
        gradient, information = _score_derivatives(rows @ coef, size, ones, rows, link)
        step = np.linalg.solve(information, gradient)
        coef = coef + step
        if np.abs(step).max() < 1e-13 * max(1.0, np.abs(coef).max()):
            break
    else:
        raise AssertionError("Newton's method has not converged")
    index = rows @ coef
    _, information = _score_derivatives(index, size, ones, rows, link)
    covariance = np.linalg.inv(information) / np.outer(scale, scale)
    law = stats.logistic if link == "logit" else stats.norm
    return Score(law.cdf(index)[group], law.pdf(index)[group], covariance)


def _score_derivatives(index, size, ones, rows, link):
    """Return gradient and observed information of the log-likelihood."""
    if link == "logit":
        p = stats.logistic.cdf(index)
        gradient, curvature = ones - size * p, size * p * (1 - p)
    else:
        up, down = (
            stats.norm.pdf(index) / tail for tail in (stats.norm.cdf(index), stats.norm.sf(index))
        )
        gradient = ones * up - (size - ones) * down
        curvature = ones * up * (up + index) + (size - ones) * down * (down - index)
    return rows.T @ gradient, rows.T @ (rows * curvature[:, None])


def estimated_score_effect(
    y: np.ndarray,
    treatment: np.ndarray,
    z: np.ndarray,
    *,
    focal: str,
    k: int = 1,
    j: int = 2,
    link: str = "logit",
) -> Effect:
    """Match on a fitted score and correct the variance for its estimation (Stata's psmatch).

    Parameters
    ----------
    z : array of shape (n, n_columns), without the constant
    focal : "treated" (ATT) or "all" (ATE)
    k, j : matches a unit; neighbours (the unit among them) for variances and covariances
    """
    columns = np.column_stack([np.ones(len(y)), z])
    score = fit_score(columns, treatment, link)
    p = score.probability
    design = match_with_replacement(p, treatment, k, focal=focal)
    counted = same_arm_sets(p, treatment, j, itself="counted")
    found = matching_effect(y, treatment, design, conditional_variance(y, counted, "counted"))
    near = [same_arm_sets(p, treatment, j, itself="counted", arm_of=arm) for arm in (0, 1)]
    c0, c1 = (_local_covariances(columns, y, sets) for sets in near)
    variance = found.std_error**2
    f = score.slope[:, None]
    if focal == "all":
        c = (f * (c1 / p[:, None] + c0 / (1 - p)[:, None])).mean(axis=0)
        variance -= c @ score.covariance @ c
    else:
        c, b = _att_terms(y, treatment, columns, found.estimate, p, f, c0, c1, k, j)
        variance += b @ score.covariance @ b - c @ score.covariance @ c
    return found._replace(std_error=np.sqrt(variance))


def _local_covariances(columns: np.ndarray, y: np.ndarray, sets: Design) -> np.ndarray:
    """Return the covariance of each column with y inside each set."""
    out = np.zeros(columns.shape)
    for i, found in enumerate(sets):
        centred = columns[found] - columns[found].mean(axis=0)
        out[i] = centred.T @ (y[found] - y[found].mean()) / (len(found) - 1)
    return out


def _att_terms(y, treatment, columns, att, p, f, c0, c1, k, j):
    """Return the gradients c and b of the ATT correction."""
    n_treated = treatment.sum()
    near = [same_arm_sets(p, treatment, j, itself="out", arm_of=arm) for arm in (0, 1)]
    mean0, mean1 = (np.array([y[found].mean() for found in sets]) for sets in near)
    odds = (p / (1 - p))[:, None]
    c = (columns * f * (mean1 - mean0 - att)[:, None] + f * (c1 + odds * c0)).sum(axis=0)
    across = match_with_replacement(columns[:, 1:], treatment, k, focal="all")
    imputed = np.array([y[found].mean() for found in across])
    difference = (2 * treatment - 1) * (y - imputed) - att
    b = (columns * f * difference[:, None]).sum(axis=0)
    return c / n_treated, b / n_treated


# --- without replacement: regression on the matched rows ------------------------------------------


class Rows(NamedTuple):
    """Matched rows to regress on: row number, weight, matched set. A reused row comes again."""

    unit: np.ndarray
    weight: np.ndarray
    pair: np.ndarray


def matched_rows(design: Design) -> Rows:
    """One row per unit and matched set: focal weight 1, each of its matches 1/|J|."""
    unit, weight, pair = [], [], []
    for i, found in enumerate(design):
        if len(found):
            unit += [i, *found]
            weight += [1.0, *np.full(len(found), 1 / len(found))]
            pair += [i] * (len(found) + 1)
    return Rows(np.array(unit), np.array(weight), np.array(pair))


def weighted_rows(weight: np.ndarray, pair: np.ndarray | None = None) -> Rows:
    """One row per unit of positive weight."""
    unit = np.flatnonzero(weight > 0)
    return Rows(unit, weight[unit], unit if pair is None else np.asarray(pair)[unit])


def regression_effect(
    y: np.ndarray,
    treatment: np.ndarray,
    rows: Rows,
    *,
    covariates: np.ndarray | None = None,
    target: np.ndarray | None = None,
    kind: str = "HC1",
    clusters: tuple[np.ndarray, ...] = (),
) -> tuple[float, float]:
    """Regress on the matched rows and average the difference of the two predictions.

    Without covariates, y ~ treatment: the weighted difference in means. With, y ~ treatment *
    covariates, and the effect is the mean over `target` of prediction under treatment minus
    prediction under control (g-computation), standard error by the delta method: covariates fixed.

    Parameters
    ----------
    rows : the matched rows
    covariates : array of shape (n, n_columns)
    target : bool array of shape (n,), units whose rows are averaged over, unweighted; None: all
    kind : "HC0", "HC1" or "HC3"; with clusters "HC0" or "HC1"
    clusters : label of each row's cluster, one array (of the length of `rows`) or two

    Returns
    -------
    estimate, standard error
    """
    t = treatment[rows.unit].astype(float)
    Z = np.empty((len(t), 0)) if covariates is None else np.asarray(covariates, float)[rows.unit]
    X = np.column_stack([np.ones(len(t)), t, Z, t[:, None] * Z])
    in_target = np.ones(len(t), bool) if target is None else target[rows.unit]
    mean = Z[in_target].mean(axis=0)
    gradient = np.concatenate([[0.0, 1.0], np.zeros(len(mean)), mean])
    root = np.sqrt(rows.weight)
    kept = independent_columns(X * root[:, None])
    scale = np.abs(X[:, kept]).max(axis=0)
    X, gradient = X[:, kept] / scale, gradient[kept] / scale
    coef = np.linalg.lstsq(X * root[:, None], y[rows.unit] * root, rcond=None)[0]
    covariance = sandwich(X, rows.weight, y[rows.unit] - X @ coef, kind, clusters)
    return float(gradient @ coef), float(np.sqrt(gradient @ covariance @ gradient))


def independent_columns(X: np.ndarray) -> list[int]:
    """Return the columns that R's lm keeps: each that those before it do not span (1e-7).

    The coefficients of the others count as zero, which decides predictions that the rows matched
    cannot tell apart: a level of a factor that only one arm has gets no treatment effect of its
    own, and takes that of the factor's first level.
    """
    basis = np.empty((len(X), 0))
    kept = []
    for column in range(X.shape[1]):
        rest = X[:, column].copy()
        size = np.linalg.norm(rest)
        for _ in range(2):
            rest -= basis @ (basis.T @ rest)
        if np.linalg.norm(rest) > 1e-7 * size:
            basis = np.column_stack([basis, rest / np.linalg.norm(rest)])
            kept.append(column)
    return kept


def dummies(*factors: np.ndarray) -> np.ndarray:
    """Return 0/1 columns for all levels but the first (sorted) of each factor."""
    levels = [(values, level) for values in factors for level in np.unique(values)[1:]]
    return np.column_stack([values == level for values, level in levels]).astype(float)


def sandwich(
    X: np.ndarray,
    weight: np.ndarray,
    residual: np.ndarray,
    kind: str,
    clusters: tuple[np.ndarray, ...] = (),
) -> np.ndarray:
    """Return the robust covariance of weighted least squares, as R's vcovHC and vcovCL.

    Two ways of clustering add up and the intersection comes off, each with its own G/(G - 1)
    (sandwich: cadjust=TRUE, multi0=FALSE).
    """
    n, rank = X.shape
    bread = np.linalg.inv(X.T @ (X * weight[:, None]))
    part = X * (weight * residual)[:, None]
    if kind == "HC3":
        leverage = weight * ((X @ bread) * X).sum(axis=1)
        part = part / (1 - leverage)[:, None]
    factor = (n - 1) / (n - rank) if kind == "HC1" and clusters else 1.0
    factor = n / (n - rank) if kind == "HC1" and not clusters else factor
    if not clusters:
        meat = part.T @ part
    else:
        meat = sum(_cluster_meat(part, labels, kind) for labels in clusters)
        if len(clusters) == 2:
            both = np.unique(np.column_stack(clusters), axis=0, return_inverse=True)[1].ravel()
            meat = meat - _cluster_meat(part, both, kind)
    return bread @ (factor * meat) @ bread


def _cluster_meat(part: np.ndarray, labels: np.ndarray, kind: str) -> np.ndarray:
    """Sum scores inside clusters; outer products of the sums, times G/(G - 1) for HC1."""
    _, code = np.unique(labels, return_inverse=True)
    sums = np.zeros((code.max() + 1, part.shape[1]))
    np.add.at(sums, code, part)
    return sums.T @ sums * (len(sums) / (len(sums) - 1) if kind == "HC1" else 1.0)


def paired_effect(y: np.ndarray, treatment: np.ndarray, design: Design) -> tuple[float, float]:
    """Return mean and standard error of the differences inside matched sets, as a paired t test."""
    difference = np.array(
        [
            (2 * treatment[i] - 1) * (y[i] - y[found].mean())
            for i, found in enumerate(design)
            if len(found)
        ]
    )
    return float(difference.mean()), float(difference.std(ddof=1) / np.sqrt(len(difference)))


# --- regression and weighting of rows: Lin (2013), Robins, Rotnitzky & Zhao (1994) ----------------


def stacked_regression(
    y: np.ndarray,
    treatment: np.ndarray,
    Z: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray | None = None,
) -> tuple[float, float]:
    """Return the effect on the target rows and its standard error from stacked equations.

    One regression an arm on (1, Z), the mean of Z over the target, and the effect as their
    difference at that mean, all as one system of estimating equations (Negi & Wooldridge 2021,
    section 4): covariance A^-1 B A^-T, A the derivatives by finite differences. No formula for the
    interacted regression or its centring is used. HC0.
    """
    n, p = Z.shape
    w = np.ones(n) if weight is None else weight
    D = np.column_stack([np.ones(n), Z])

    def equations(theta: np.ndarray) -> np.ndarray:
        mean, b0, b1, effect = theta[:p], theta[p : 2 * p + 1], theta[2 * p + 1 : -1], theta[-1]
        columns = [target[:, None] * (Z - mean)]
        for arm, b in ((0, b0), (1, b1)):
            columns.append(((treatment == arm) * (y - D @ b))[:, None] * D)
        at_mean = np.concatenate([[1.0], mean])
        columns.append(np.full((n, 1), at_mean @ (b1 - b0) - effect) * target[:, None])
        return np.hstack(columns) * w[:, None]

    mean = np.average(Z, axis=0, weights=w * target)
    coefs = []
    for arm in (0, 1):
        root = np.sqrt(w * (treatment == arm))
        coefs.append(np.linalg.lstsq(D * root[:, None], y * root, rcond=None)[0])
    effect = np.concatenate([[1.0], mean]) @ (coefs[1] - coefs[0])
    theta = np.concatenate([mean, *coefs, [effect]])
    slopes = np.empty((len(theta), len(theta)))
    for j in range(len(theta)):
        step = np.zeros(len(theta))
        step[j] = 1e-4
        slopes[:, j] = (equations(theta + step) - equations(theta - step)).sum(axis=0) / 2e-4
    bread = np.linalg.inv(slopes)
    scores = equations(theta)
    covariance = bread @ (scores.T @ scores) @ bread.T
    return float(effect), float(np.sqrt(covariance[-1, -1]))


def doubly_robust_mean(
    y: np.ndarray,
    treatment: np.ndarray,
    propensity: np.ndarray,
    mu0: np.ndarray,
    mu1: np.ndarray,
    estimand: str,
    groups: np.ndarray | None = None,
) -> tuple[float, float]:
    """Return the effect and its standard error, row by row (Chernozhukov et al. 2018, 5.3, 5.4).

    Sums over groups where given; factor n / (n - 1), or G / (G - 1).
    """
    share = treatment.mean()
    scores = []
    for i in range(len(y)):
        if estimand == "ate" and treatment[i] == 1:
            score = mu1[i] - mu0[i] + (y[i] - mu1[i]) / propensity[i]
        elif estimand == "ate":
            score = mu1[i] - mu0[i] - (y[i] - mu0[i]) / (1 - propensity[i])
        elif treatment[i] == 1:
            score = (y[i] - mu0[i]) / share
        else:
            score = -propensity[i] / (1 - propensity[i]) * (y[i] - mu0[i]) / share
        scores.append(score)
    effect = sum(scores) / len(y)
    # For the treated, the score less the effect times t / share has mean zero.
    own = np.ones(len(y)) if estimand == "ate" else treatment / share
    parts: dict[int, float] = {}
    for i in range(len(y)):
        label = i if groups is None else int(groups[i])
        parts[label] = parts.get(label, 0.0) + (scores[i] - own[i] * effect) / len(y)
    k = len(parts)
    return effect, float(np.sqrt(k / (k - 1) * sum(part**2 for part in parts.values())))


def cross_fitted(
    model, X: np.ndarray, target: np.ndarray, usable: np.ndarray, splits, method: str = "predict"
) -> np.ndarray:
    """Predict each row by a model fitted on the usable rows of the other part of its split."""
    out = np.full(len(X), np.nan)
    for train, test in splits:
        rows = [i for i in train if usable[i]]
        fitted = clone(model).fit(X[rows], target[rows])
        found = getattr(fitted, method)(X[test])
        out[test] = found[:, 1] if method == "predict_proba" else found
    return out

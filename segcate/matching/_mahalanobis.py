"""MahalanobisMatcher: matches that are near on the covariates themselves.

Rubin (1980), Biometrics 36:293-298.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Float
from segcate._inputs.effect_data import DesignData
from segcate._inputs.parameters import check_option
from segcate._inputs.segments import Segment
from segcate._inputs.weights import mass_in_rows
from segcate._kernels import kernel
from segcate.matching._base import Matcher
from segcate.matching._design import (
    Covariates,
    Design,
    Space,
    design_covariates,
    nearest_design,
    score_space,
)
from segcate.matching._options import check_matching_options, describe_rules, matching_options
from segcate.matching._propensity import (
    CERTAIN_REMEDY,
    SCORE_SCALES,
    ScoreOptions,
    check_classifier,
    left_out,
    rows_by_code,
)

COVARIANCES = ("pooled", "sample", "pooled-diagonal", "sample-diagonal")
# Squared distances that differ by no more are tied, as in R's Matching: 1e-5 standard deviations.
TIE_TOLERANCE = 1e-10
# Directions whose share of the variance of standardised columns is smaller follow from the others.
_SINGULAR = 1e-10


class MahalanobisMatcher(Matcher):
    """Match treated and control rows on the Mahalanobis distance of covariates, inside each segment.

    Use it where a few continuous covariates (up to about eight) decide treatment and outcome: matched
    rows are then alike in each of them, and no model of the treatment is needed. With many columns,
    or many levels of categories, all rows lie far apart: use `PropensityMatcher` there.

    Parameters
    ----------
    covariance : {"pooled", "sample", "pooled-diagonal", "sample-diagonal"}, default="pooled"
        Covariance of the segment's rows that scales the distance: "pooled" about the mean of each
        arm, as MatchIt's ``distance="mahalanobis"``; "sample" about the common mean, as Stata's
        ``teffects nnmatch`` and ``Weight=2`` of R's Matching. "-diagonal" takes the variances alone:
        MatchIt's ``"scaled_euclidean"``, Stata's ``metric(ivariance)`` and ``Weight=1``.
    n_neighbors : int, default=3
        Matches wanted for each focal row. With replacement, all rows tied with the last are kept.
    replacement : bool, default=True
        Whether a row may serve as a match more than once.
    caliper : float >= 0, default=None
        Largest difference of propensity scores allowed (inclusive), in units of `caliper_scale`:
        the nearest rows are taken among those within it. None: no limit, and no propensity.
    caliper_scale : {"sd", "raw"}, default="sd"
        "sd": standard deviations (ddof 1) of the score over the rows of the segment; "raw": units of
        the score.
    score_scale : {"logit", "probability"}, default="logit"
        Scale of the score that the caliper limits.
    estimator : classifier with `predict_proba`, default=None
        Model of the propensity, where `caliper` or `order` needs one; None is the logistic
        regression of `PropensityMatcher`.
    order : {"data", "random", "closest", "largest", "smallest"}, default="data"
        Without replacement: who chooses first, by row, at random, nearest pair first, or by
        propensity score.
    exact : column or sequence of columns, default=None
        Columns, by name or position, on which matched rows must agree. They are no covariates.
    segment : "auto", str, int or None, default="auto"
        Column of X that holds the segments; None: all rows are one segment. "auto" takes the column
        `segment`, or the only one whose name ends in `__segment`.
    missing : {"auto", "indicator", "drop"}, default="auto"
        What is done about missing numbers and dates among the covariates, as in
        `PropensityMatcher`. There is no distance to a missing value, so gaps have to be filled or left out.
    n_jobs : int, default=None
        Segments whose propensity is fitted at the same time.
    random_state : int, RandomState or None, default=None
        Used with ``order="random"``.

    Attributes
    ----------
    propensity_ : float64 array of shape (n_samples,), or None
        None where neither `caliper` nor `order` needs one and none was handed in.
    matched_ : MatchedSample
        Pairs, weights, rows unmatched and why; `points` holds where rows lie.
    effective_sample_size_ : float64 array of shape (n_segments, 2)
        Of controls and treated in the matched sample, ``(sum w)^2 / sum w^2``.
    segment_labels_ : array of shape (n_segments,)
        Sorted; the noise segment -1 comes first.
    score_notes_ : dict of segment label to str
        What is special about the distance or score of a segment; empty texts are left out.
    complete_rows_ : intp array, with ``missing="drop"`` where rows were left out
        Positions in X of the rows that were used. Fitted arrays of one value a row have these rows.
    covariates_ : DataFrame, one row a column of X: kind, treatment, note, share_missing
    n_features_in_, feature_names_in_ : as in scikit-learn

    See Also
    --------
    PropensityMatcher : Matches on the probability of treatment, for many covariates.
    segcate.effects.SegmentMatching : Effects per segment from these matches.

    Notes
    -----
    The distance of rows i and j is ``sqrt((x_i - x_j)' S^-1 (x_i - x_j))`` with S the covariance in
    the segment. Categories enter as 0/1 columns for all levels but the first. Where columns follow
    from others, S is singular and a generalised inverse stands in; `score_notes_` and the status say
    so. Any other choice of units, or linear combination of the columns, leaves the matches as they
    are (with a diagonal covariance, any other choice of units).

    Squared distances that differ by at most 1e-10 are tied. Without replacement matching is greedy,
    and of tied donors the first row of the data is taken; ``order="data"`` depends on the order of
    rows, too. With replacement nothing does. Rows whose level of a sparse category has no row of the
    other arm in the segment are not matched, as in `PropensityMatcher`.

    A covariate with a long tail has most of its variance there: take its logarithm first. A match
    fills as many places of `n_neighbors` as it weighs, and weighs so in S; weights need
    ``replacement=True``. With more than one continuous covariate matches are biased in large
    samples (Abadie & Imbens 2006): keep the adjustment of `SegmentMatching`.

    References
    ----------
    Rubin (1980), Biometrics 36:293-298. Abadie & Imbens (2006), Econometrica 74:235-267.

    Examples
    --------
    >>> import numpy as np
    >>> from segcate.matching import MahalanobisMatcher
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 2))
    >>> treatment = (rng.random(200) < 1 / (1 + np.exp(1 - X[:, 0]))).astype(int)
    >>> matcher = MahalanobisMatcher(n_neighbors=1, segment=None).fit(X, treatment=treatment)
    >>> matcher.balance_.loc["all", "smd_before"].round(2).to_dict()
    {'x0': 0.82, 'x1': 0.12}
    >>> matcher.balance_.loc["all", "smd_after"].round(2).to_dict()
    {'x0': 0.05, 'x1': -0.03}
    """

    propensity_remedy = CERTAIN_REMEDY

    def __init__(
        self,
        covariance: str = "pooled",
        *,
        n_neighbors: int = 3,
        replacement: bool = True,
        caliper: float | None = None,
        caliper_scale: str = "sd",
        score_scale: str = "logit",
        estimator: Any = None,
        order: str = "data",
        exact: Any = None,
        segment: Segment = "auto",
        missing: str = "auto",
        n_jobs: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.covariance = covariance
        self.n_neighbors = n_neighbors
        self.replacement = replacement
        self.caliper = caliper
        self.caliper_scale = caliper_scale
        self.score_scale = score_scale
        self.estimator = estimator
        self.order = order
        self.exact = exact
        self.segment = segment
        self.missing = missing
        self.n_jobs = n_jobs
        self.random_state = random_state

    def check_parameters(self) -> None:
        """Refuse parameters that no design can be made with, before any data are looked at."""
        owner = type(self).__name__
        check_option(owner, "covariance", self.covariance, COVARIANCES)
        check_option(owner, "score_scale", self.score_scale, SCORE_SCALES)
        check_classifier(owner, self.estimator)
        check_matching_options(self)

    def match(self, data: DesignData, estimand: str) -> Design:
        """Find who is compared with whom, for an estimand; nothing is stored.

        Parameters
        ----------
        data : the checked input, rows of weight 0 left out
        estimand : {"att", "atc", "ate"}

        Returns
        -------
        Design
        """
        owner = type(self).__name__
        options = matching_options(self, data, estimand, tie_tolerance=TIE_TOLERANCE)
        covariates = design_covariates(owner, data, self.exact, estimand)
        if not covariates.encoded.names:
            raise ValueError(
                f"{owner}: X has no covariates beside the segment{left_out(covariates.encoded)}, so there is no "
                "distance between rows. Keep the covariates in X (segmenters pass them through)."
            )
        points, notes = _whitened(covariates, self.covariance)
        fit, score = None, None
        if self._needs_score or data.propensity is not None:
            how = ScoreOptions(self.estimator, self.score_scale, n_jobs=self.n_jobs)
            on_score = score_space(owner, covariates, how)
            fit, score = on_score.propensity, on_score.score
            pairs = zip(notes, on_score.notes, strict=True)
            notes = ["; ".join(filter(None, pair)) for pair in pairs]
        return nearest_design(covariates, Space(score, fit, tuple(notes), points), options)

    def describe(self) -> str:
        """Say in one line how rows were matched."""
        return (
            f"{self.n_neighbors} nearest on the Mahalanobis distance ({self.covariance} covariance), "
            f"{describe_rules(self)}"
        )

    @property
    def takes_certain(self) -> bool:
        """Whether `fit` takes propensities of exactly 0 and 1."""
        return self.score_scale == "probability"

    @property
    def _needs_score(self) -> bool:
        """Whether rows must have a propensity score."""
        chooses = not self.replacement and self.order in ("largest", "smallest")
        return self.caliper is not None or chooses


def _whitened(covariates: Covariates, covariance: str) -> tuple[Float, list[str]]:
    """Return points whose Euclidean distance is the one asked for, and one note a segment."""
    data, Z = covariates.data, covariates.encoded.values
    codes, n_segments = data.segment.codes, data.segment.n_segments
    mass = np.ones(data.n_rows)
    if data.sample_weight is not None:
        mass = mass_in_rows(data.sample_weight, codes, n_segments)
    points, notes = np.zeros(Z.shape), [""] * n_segments
    for code, rows in enumerate(rows_by_code(codes, n_segments)):
        if covariates.has_both_arms[code]:
            z = Z[rows] - Z[rows].mean(axis=0)
            matrix = _covariance(z, data.treatment[rows], mass[rows], covariance)
            transform, n_varying = _root_of_inverse(matrix, z)
            if transform.shape[1] < n_varying:
                notes[code] = (
                    f"covariance singular: distance by a generalised inverse (rank {transform.shape[1]} of {n_varying})"
                )
            points[rows, : transform.shape[1]] = transformed(z, transform)
    return points, notes


def _covariance(z: Float, treatment: npt.NDArray[np.int8], mass: Float, covariance: str) -> Float:
    """Covariance of centred columns; a weight counts as that many rows."""
    arms = [treatment == 0, treatment == 1] if "pooled" in covariance else [treatment >= 0]
    total = np.zeros((z.shape[1], z.shape[1]))
    for arm in arms:
        gap = z[arm] - mass[arm] @ z[arm] / mass[arm].sum()
        total += (gap * mass[arm, None]).T @ gap
    total /= max(float(mass.sum()) - len(arms), 1.0)
    return np.diag(np.diag(total)) if "diagonal" in covariance else total


def _root_of_inverse(matrix: Float, z: Float) -> tuple[Float, int]:
    """Return T with ``T T'`` a generalised inverse of the matrix, and how many columns of z vary."""
    varies = (z != z[:1]).any(axis=0)
    spread = np.sqrt(np.diag(matrix))
    used = np.flatnonzero(varies & (spread > _SINGULAR * z.std(axis=0)))
    scale = spread[used]
    values, vectors = np.linalg.eigh(matrix[np.ix_(used, used)] / np.outer(scale, scale))
    kept = values > _SINGULAR * len(used)
    root = np.zeros((len(matrix), int(kept.sum())))
    root[used] = vectors[:, kept] / np.sqrt(values[kept]) / scale[:, None]
    return root, int(varies.sum())


@kernel
def transformed(z, transform):  # type: ignore[no-untyped-def]
    """Return ``z @ transform``, each row by the same steps, so that equal rows stay equal."""
    out = np.zeros((len(z), transform.shape[1]))
    for i in range(len(z)):
        for k in range(z.shape[1]):
            for c in range(transform.shape[1]):
                out[i, c] += z[i, k] * transform[k, c]
    return out

"""SegmentRegression: the effect of a treatment in every segment, by interacted least squares."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from segcate._covariates.missing import Filling
from segcate._inputs.effect_data import EffectData
from segcate._inputs.encoding import encode_columns
from segcate._inputs.kinds import ColumnKind
from segcate._inputs.parameters import check_option
from segcate._inputs.segments import Segment
from segcate._nuisance.curves import Curves
from segcate.effects._curved.reweighted import BY_ODDS
from segcate.effects._curved.weighted_effects import refuse_many_segments
from segcate.effects._curved.words import describe_curves, std_error_words
from segcate.effects._mixin import Estimated, SegmentEffectsMixin
from segcate.effects._table.summary import ESTIMAND_NAMES, Described
from segcate.effects._unmatched.curved_estimate import (
    CurvedRows,
    curved_estimates,
    thin_or_counted,
)
from segcate.effects._unmatched.odds import odds_of_other_arm, odds_propensity
from segcate.effects._unmatched.regression_estimate import RegressionOptions, regress_segments
from segcate.effects._unmatched.rows import SegmentRows, rows_by_segment, with_telling
from segcate.matching._model_columns import curves_for, model_columns, noted
from segcate.matching._support import level_support

STD_ERRORS = ("auto", "hc1", "hc2", "hc3", "group")


class SegmentRegression(SegmentEffectsMixin, BaseEstimator):
    r"""Estimate the effect in every segment by least squares with interactions.

    Use it in a randomised experiment, where it narrows the interval of the difference in means
    whatever the shape of the outcome (its bias falls like 1 / n); and on observational data where,
    within a segment, the outcome is close to linear in the covariates of each arm. Where it bends, or
    the arms hardly overlap, prefer `SegmentAIPW` or `SegmentMatching`.

    Parameters
    ----------
    estimand : {"ate", "att", "atc"}, default="ate"
        Effect on all, on the treated, or on the controls, in units of y (a risk difference when y
        is 0/1).
    adjustment : {"auto", "linear"}, default="auto"
        "auto": one penalised regression
        for all segments and each donors' arm on lines, bends, products, and each segment's own slopes
        and squares; the effect is that of its fitted values, as in `SegmentMatching` with equal
        weights in place of matches. Narrow where such curves fit, and the first to be off where
        they do not; with `std_error` "hc1", "hc2" or "hc3" it is "linear". "linear": least squares
        with interactions in each segment, see Notes.
    std_error : {"auto", "hc1", "hc2", "hc3", "group"}, default="auto"
        Heteroskedasticity-robust, with the small-sample correction of MacKinnon & White (1985), or
        clustered by `groups`. After ``adjustment="auto"`` "auto" is the variance of residuals by exact
        weights, with Satterthwaite's degrees of freedom, or "group". Else it is "group" where `groups`
        are given, else "hc2", which came out nearest to the truth in simulation; "hc3" is too wide
        in small segments.
    inference : {"population", "sample"}, default="population"
        Whether the rows stand for a population, or for themselves (covariates held fixed).
    confidence_level : float in (0, 1), default=0.95
        Of the intervals.
    segment : "auto", str, int or None, default="auto"
        Column of X that holds the segments; None: all rows are one segment.
    on_empty : {"raise", "nan", "overall"}, default="raise"
        What a segment without an estimate, or first seen by `predict`, gets: an error, NaN, or the
        overall effect (flagged in `status`). An estimate needs at least 5 rows of each arm.
    min_per_arm : int >= 2 or None, default=None
        Segments with fewer rows in an arm merge, before anything else, into the segment with the
        nearest covariate means, see `merged_segments_`. With less than 5 it is also the number of
        rows of each arm that an estimate needs. None: no segment is merged.
    missing : {"auto", "indicator", "drop", "impute"}, default="auto"
        What is done about missing numbers and dates among the covariates (a missing category is a
        level of its own). "auto": where at most 5 % of a segment's rows have one, the mean of the
        segment and a 0/1 column; more is an error. "indicator": the
        same for any share. "drop": only rows without a missing covariate. "impute": five
        imputations with treatment and outcome, combined by Rubin's rule.
    n_jobs : int, default=None
        Segments estimated at the same time, in threads.
    random_state : int, RandomState instance or None, default=None
        Seed of ``missing="impute"``; nothing else is random.

    Attributes
    ----------
    effects_ : DataFrame, one row a segment, ordered by label (noise, -1, first)
        status, n, n_treated, n_control, n_matched, effect, std_error, ci_low, ci_high, z, p_value,
        p_adjusted (Holm), shrunken_effect, p_adjusted_bh, shrunken_ci_low, shrunken_ci_high.
        `n_matched` counts the rows the effect is averaged over: all, the treated, or the controls.
    overall_ : Series
        The same for everyone: segments weighted by those rows.
    heterogeneity_ : Heterogeneity
        Cochran's Q, its p-value, tau^2, over segments with at least 20 such rows.
    std_error_method_ : str
        The method that "auto" chose, or the one asked for.
    second_estimate_ : SecondEstimate or None
        After ``adjustment="auto"`` each effect once more, by the same regression with odds as weights: `table`
        with differences and their tests, and `overall`. A difference beyond chance says that the
        regression is wrong there.
    late_columns_ : dict of str
        Covariates that tell much of the outcome, or who was treated: by name, what was found. They
        may have been measured after the treatment.
    segment_labels_ : array of shape (n_segments,)
        Labels of `effects_`.
    merged_segments_ : dict
        Label of each segment that was merged into another -> label of that one. The status of the
        latter names it, and `predict` gives its rows the effect of the latter.
    complete_rows_ : intp array, with ``missing="drop"`` where rows were left out
        Positions in X of the rows that were used; what is there a row belongs to these.
    covariates_ : DataFrame, one row a column of X: kind, treatment, note, share_missing
    n_features_in_, feature_names_in_ : as in scikit-learn

    See Also
    --------
    SegmentAIPW : Any models of outcome and treatment in place of lines.
    SegmentMatching : Compare like with like, without a model of the outcome.

    Notes
    -----
    With ``adjustment="linear"``, in each segment, with m the mean of the covariates over the rows of the estimand,

    .. math:: y = \alpha + \tau t + (Z - m)' \beta + t (Z - m)' \delta + u,

    and :math:`\hat\tau` is the effect (Lin 2013, section 4, for all rows; Imbens & Wooldridge 2009,
    section 5.3, for the treated). A row of weight :math:`w_i` adds to its error

    .. math:: \frac{a_i w_i \hat u_i}{\sqrt{1 - h_i}} + \frac{v_i (Z_i - m)' \hat\delta}{\sum_j v_j},

    where :math:`a_i` is the row of :math:`\tau` in :math:`(D'WD)^{-1} D'`, D the regressors,
    :math:`h_i` the leverage ("hc2"), and :math:`v_i` the weight in the population of the estimand.
    The second term is there for ``inference="population"`` alone: another sample has another mean
    of covariates. Robust standard errors of regression software leave it out; in simulation they
    covered 92 % in place of 95 % where effects vary as much as the noise, 86 % where twice as much.
    Intervals use Student's t below 100 rows, with the rows of the smaller arm less its coefficients
    as degrees of freedom, and over groups (those of the smaller arm less 1). Contrasts, Q and the
    overall effect follow the same law, see the guide.

    Rows of a level (of text or a category) that has no row of the other arm in the segment are left
    out, and the status says how many; with more than half of them left out there is no estimate.
    A column with a value more than 10 robust standard deviations from its median enters as two that
    such values cannot rule (`covariates_` says so).
    Columns that repeat others are dropped, from the right. A covariate that does not vary in one arm
    gets one slope for both, and the status says so, as it does where an arm has fewer than five
    rows a coefficient. An arm without a spare row, or covariates that tell the arms apart, leave the
    segment without an estimate. Strings and categories become 0/1 columns.

    Assumed: given the covariates in X, treatment is as good as random within the segment; the mean of
    y is linear in them in each arm (in an experiment neither is needed); one row's treatment does not
    touch another's outcome.

    References
    ----------
    Lin, W. (2013). Annals of Applied Statistics 7:295-318. doi:10.1214/12-AOAS583
    Imbens, G. W., & Wooldridge, J. M. (2009). Journal of Economic Literature 47:5-86.
    MacKinnon, J. G., & White, H. (1985). Journal of Econometrics 29:305-325.
    Negi, A., & Wooldridge, J. M. (2021). Econometric Reviews 40:504-534.

    Examples
    --------
    >>> from segcate.datasets import make_segmented_users
    >>> from segcate.effects import SegmentRegression
    >>> users = make_segmented_users(4000, n_segments=3, random_state=0)
    >>> X = users.X.assign(segment=users.segment)
    >>> model = SegmentRegression().fit(X, users.y, treatment=users.treatment)
    >>> table = model.effects_[["n_treated", "effect", "std_error"]].round(2)
    >>> print(table.to_string(index_names=False))
       n_treated  effect  std_error
    0        406   -0.03       0.06
    1        422    0.55       0.06
    2        389    1.01       0.07
    """

    _remedy = "use fewer covariates"

    def __init__(
        self,
        *,
        estimand: str = "ate",
        adjustment: str = "auto",
        std_error: str = "auto",
        inference: str = "population",
        confidence_level: float = 0.95,
        segment: Segment = "auto",
        on_empty: str = "raise",
        min_per_arm: int | None = None,
        missing: str = "auto",
        n_jobs: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.estimand = estimand
        self.adjustment = adjustment
        self.std_error = std_error
        self.inference = inference
        self.confidence_level = confidence_level
        self.segment = segment
        self.on_empty = on_empty
        self.min_per_arm = min_per_arm
        self.missing = missing
        self.n_jobs = n_jobs
        self.random_state = random_state

    @property
    def _is_curved(self) -> bool:
        """Tell whether outcomes are adjusted by curves, to which no "hc" standard error belongs."""
        return self.adjustment == "auto" and self.std_error in ("auto", "group")

    def _check_parameters(self, owner: str) -> None:
        self._check_shared_parameters(owner)
        check_option(owner, "adjustment", self.adjustment, ("linear", "auto"))
        check_option(owner, "std_error", self.std_error, STD_ERRORS)
        check_option(owner, "inference", self.inference, ("population", "sample"))

    def _plan(self, owner: str, data: EffectData) -> RegressionOptions:
        """Pick the standard error that fits the data, or check the one asked for."""
        method, has_groups = self.std_error, data.groups is not None
        if method == "auto":
            alone = "residual" if self._is_curved else "hc2"
            method = "group" if has_groups else alone
        if method == "group" and not has_groups:
            raise ValueError(f"{owner}: std_error='group' needs `groups=` in fit.")
        if method != "group" and has_groups:
            raise ValueError(
                f"{owner}: std_error={method!r} takes rows as independent, but `groups` were given. Use "
                "'group' (or 'auto'), or leave the groups out."
            )
        return RegressionOptions(method, self.inference, self._fewest_rows)

    def _estimate(self, owner: str, data: EffectData, plan: RegressionOptions) -> Estimated:
        encoded = encode_columns(data.X, data.covariates, owner=owner)
        columns = model_columns(encoded, two_values=self._is_curved)
        support = level_support(data, columns, self.estimand)
        rows = rows_by_segment(data, self.estimand, support)
        kinds = noted(encoded, columns).kinds
        if self._is_curved:
            curves = curves_for(columns, data, support.sparse)
            told = [with_telling(thin_or_counted(part, plan.fewest), encoded) for part in rows]
            return self._curved(owner, data, told, curves, kinds)
        estimates = regress_segments(rows, columns.values, data.groups, plan, self.n_jobs)
        return Estimated(estimates, kinds)

    def _curved(
        self,
        owner: str,
        data: EffectData,
        segments: list[SegmentRows],
        curves: Curves,
        kinds: tuple[ColumnKind, ...],
    ) -> Estimated:
        """Regress all segments together on curves; odds as weights give second estimates."""
        refuse_many_segments(owner, data.segment.n_segments, "adjustment='linear'")
        uses = np.ones(data.n_rows) if data.sample_weight is None else data.sample_weight
        chance = odds_propensity(curves, segments, data)
        odds = odds_of_other_arm(chance, data)
        rows = CurvedRows(
            segments, curves, None, uses, odds, BY_ODDS, self.estimand, self.inference
        )
        estimates, weighted, second = curved_estimates(rows, data)
        words = describe_curves(curves, weighted.found)
        return Estimated(estimates, kinds, words, second, weighted)

    def _keep(
        self, data: EffectData, plan: RegressionOptions, found: Estimated, filling: Filling | None
    ) -> None:
        self.std_error_method_ = plan.std_error
        self._regression = (
            found.details or "treatment, covariates and their interactions, in each segment"
        )

    def _describe(self) -> tuple[Described, Described]:
        above = [
            ("Estimand", f"{ESTIMAND_NAMES[self.estimand]}, {self.inference} inference"),
            ("Regression", self._regression),
            ("Standard error", std_error_words(self.std_error_method_)),
        ]
        return above, []

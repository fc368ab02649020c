"""SegmentMatching: the effect of a treatment in every segment, by matching inside the segment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import pandas as pd
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import has_fit_parameter

from segcate._covariates.missing import Filling
from segcate._inputs.effect_data import EffectData
from segcate._inputs.features import takes_missing
from segcate._inputs.parameters import check_count, check_option
from segcate._inputs.segments import Segment
from segcate.effects._curved.weighted_effects import refuse_many_segments
from segcate.effects._curved.words import std_error_words
from segcate.effects._matched.estimate import estimate_segments
from segcate.effects._matched.estimated_segment import EstimateOptions, is_curved
from segcate.effects._matched.standard_errors import (
    STD_ERROR_OPTIONS,
    Situation,
    choose_std_error,
    describe_std_error,
    refuse_segments,
)
from segcate.effects._mixin import Estimated, SegmentEffectsMixin
from segcate.effects._table.segment_estimate import SegmentEstimate
from segcate.effects._table.summary import (
    ESTIMAND_NAMES,
    Described,
    describe_donors,
    describe_unmatched,
)
from segcate.matching import Matcher, PropensityMatcher

_MADE_FOR_BIAS = ("abadie-imbens", "abadie-imbens-2016", "pair+unit")
_ADJUSTMENTS = (
    "`adjustment` must be None, 'auto', 'bias', 'linear' or a regressor (an instance with "
    "`fit` and `predict`)"
)


class _Plan(NamedTuple):
    """Who is compared with whom, and how effects follow from it."""

    matcher: Matcher
    options: EstimateOptions


class SegmentMatching(SegmentEffectsMixin, BaseEstimator):
    r"""Estimate the effect of a treatment in every segment, by matching inside the segment.

    Use it on observational data whose segments and covariates were measured before the treatment, to
    say where the treatment helped, by how much and how sure one can be. The segments must not have
    been chosen by looking at `y`; where a search chose them, see `honest_effects`.

    Parameters
    ----------
    matcher : Matcher, default=None
        How to match. None is ``PropensityMatcher("auto", n_neighbors="auto")``: twice the root
        of the donors (more of few), with replacement, on a penalised and curved score of all segments. With another
        `adjustment` it is ``PropensityMatcher()``: three neighbours on the log-odds of a logistic
        regression fitted in the segment. Its own `segment` is ignored.
    estimand : {"att", "atc", "ate"}, default="att"
        Effect on the treated, on the controls, or on all, in units of y (a risk difference when y
        is 0/1).
    adjustment : None, "auto", "bias", "linear" or regressor, default="auto"
        "auto": one penalised regression on curves of the covariates
        among the donors of all segments takes out what differs within matched sets; it follows bends,
        and each segment's own slopes as far as the data say. None: difference in matched means.
        "bias": Abadie & Imbens (2011), a linear regression among
        the matches takes out what differs within matched sets. Where donors are fewer than 10 a
        parameter it takes the score alone; a design without a score takes all rows of the donors'
        arm, at least 4 a parameter. The status says so. "linear": g-computation from a regression
        with treatment interactions on the matched rows. A regressor (it must accept
        `sample_weight`) stands in for the linear regression of "bias".
    std_error : str, default="auto"
        One of "auto", "residual", "abadie-imbens", "abadie-imbens-2016", "pair", "pair+unit", "group".
        "residual": after ``adjustment="auto"``, the variance of what it leaves, by the exact weights of
        the estimate. The next two, and "pair+unit", go with another `adjustment`.
        "abadie-imbens" (2006): matching with replacement, the score taken as known; with
        ``inference="sample"`` any matching.
        "abadie-imbens-2016": for a score estimated by our logistic regression in the segment; it
        looks for rows near on the covariates as they came, as Stata does, and "auto" on
        standardised ones.
        "pair": clustered by matched set, without replacement. "pair+unit": by matched set and row,
        after linear adjustment with replacement. "group": clustered by `groups`. "auto" (default)
        takes the one that is valid for the design, see Notes.
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
        segment and a 0/1 column; more is an error unless
        the models take them. "indicator": the
        same for any share. "drop": only rows without a missing covariate. "impute": five
        imputations with treatment and outcome, combined by Rubin's rule.
    n_variance_neighbors : int >= 0, default=2
        Rows of the same arm from which the variance of y around each row is estimated; 0 takes one
        variance for all rows (valid under equal variances only).
    n_jobs : int, default=None
        Segments estimated at the same time, in threads.
    random_state : int, RandomState instance or None, default=None
        Seed of ``missing="impute"``; nothing else is random.

    Attributes
    ----------
    effects_ : DataFrame, one row a segment, ordered by label (noise, -1, first)
        status, n, n_treated, n_control, n_matched, effect, std_error, ci_low, ci_high, z, p_value,
        p_adjusted (Holm), shrunken_effect, p_adjusted_bh, shrunken_ci_low, shrunken_ci_high,
        df (degrees of freedom of the interval's law), n_eff_controls (controls of equal weight that
        the effect rests on).
    overall_ : Series
        The same for everyone: segments weighted by their matched rows.
    heterogeneity_ : Heterogeneity
        Cochran's Q, its p-value, tau^2, over segments with at least 20 matched rows.
    matcher_ : Matcher
        The fitted matcher: `propensity_`, `matched_`, `balance_`.
    balance_ : DataFrame
        That of the matcher.
    std_error_method_ : str
        The method that "auto" chose, or the one asked for.
    second_estimate_ : SecondEstimate or None
        After ``adjustment="auto"`` each effect once more, by the regression alone, with equal weights: `table`
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
        Positions in X of the rows that were used. Fitted arrays of one value a row have these rows.
    covariates_ : DataFrame, one row a column of X: kind, treatment, note, share_missing
    n_features_in_, feature_names_in_ : as in scikit-learn

    See Also
    --------
    segcate.matching.PropensityMatcher : Look at the matches before the outcome.
    segcate.model_selection.honest_effects : Search on one half, estimate on the other.

    Notes
    -----
    With ``adjustment="auto"``, :math:`\hat m_0` the penalised regression of the controls' outcomes and
    :math:`o_j` the share of control j in the matched sets of its segment, the effect on the treated is

    .. math:: \hat\tau = \frac{1}{n_1} \sum_{treated} (y_i - \hat m_0(x_i))
              - \sum_j o_j (y_j - \hat m_0(x_j)) = \bar y_1 - \sum_j c_j y_j,

    doubly robust (Lin, Ding & Han 2023), with weights :math:`c_j` of all controls that are known exactly.
    "residual" is the variance of the mean over the treated plus
    :math:`\sum_j c_j^2 \hat e_j^2 / (1 - h_j)`, e the residuals and h the leverages; Student's t with
    Satterthwaite's degrees of freedom. Segments share controls through the regression: contrasts and
    the overall effect count these covariances.

    "auto" takes: "group" where `groups` are given; "residual" after ``adjustment="auto"``; "pair"
    without replacement; "pair+unit" with replacement after linear adjustment; otherwise
    "abadie-imbens", in each segment the larger of the 2006 and the 2016 variance where our own logit
    was fitted in it and at least 100 rows are matched, and 2006 elsewhere. With
    ``inference="sample"`` the variance of 2006 holds for any matches, so that without linear
    adjustment it stands for "pair" too. Intervals use Student's t where either arm has fewer than
    100 matched rows (the distinct ones of the smaller arm less 1 are its degrees of freedom), and
    over groups (those of the smaller arm less 1). Contrasts, Q and the overall effect follow the
    same law, see the guide.

    Assumed: given the covariates in X, treatment is as good as random within the segment; both arms
    occur at every score; one row's treatment does not touch another's outcome.

    References
    ----------
    Abadie & Imbens (2006), Econometrica 74:235-267; (2011), JBES 29:1-11; (2016), Econometrica
    84:781-807. Abadie & Spiess (2022), JASA 117:983-995. Lin, Ding & Han (2023), Econometrica
    91:2187-2217. Lips, Camacho & van de Velden (2023).

    Examples
    --------
    >>> from segcate.datasets import make_segmented_users
    >>> from segcate.effects import SegmentMatching
    >>> users = make_segmented_users(4000, n_segments=3, random_state=0)
    >>> X = users.X.assign(segment=users.segment)
    >>> model = SegmentMatching().fit(X, users.y, treatment=users.treatment)
    >>> table = model.effects_[["n_treated", "effect", "std_error"]].round(2)
    >>> print(table.to_string(index_names=False))
       n_treated  effect  std_error
    0        406   -0.04       0.07
    1        422    0.53       0.07
    2        389    0.98       0.07
    """

    _children: ClassVar[dict[str, str]] = {"matcher": "SegmentMatching(PropensityMatcher())"}

    matcher_: Matcher

    def __init__(
        self,
        matcher: Matcher | None = None,
        *,
        estimand: str = "att",
        adjustment: Any = "auto",
        std_error: str = "auto",
        inference: str = "population",
        confidence_level: float = 0.95,
        segment: Segment = "auto",
        on_empty: str = "raise",
        min_per_arm: int | None = None,
        missing: str = "auto",
        n_variance_neighbors: int = 2,
        n_jobs: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.matcher = matcher
        self.estimand = estimand
        self.adjustment = adjustment
        self.std_error = std_error
        self.inference = inference
        self.confidence_level = confidence_level
        self.segment = segment
        self.on_empty = on_empty
        self.min_per_arm = min_per_arm
        self.missing = missing
        self.n_variance_neighbors = n_variance_neighbors
        self.n_jobs = n_jobs
        self.random_state = random_state

    @property
    def balance_(self) -> pd.DataFrame:
        """Balance before and after matching, from the matcher."""
        return self.matcher_.balance_

    @property
    def _adjusts_by(self) -> Any:
        """The adjustment; "auto" follows a standard error that was made for another one."""
        is_named = isinstance(self.std_error, str) and self.std_error in _MADE_FOR_BIAS
        return "bias" if is_named and is_curved(self.adjustment) else self.adjustment

    @property
    def _is_curved(self) -> bool:
        return is_curved(self._adjusts_by)

    def _check_parameters(self, owner: str) -> None:
        self._check_shared_parameters(owner)
        check_option(owner, "std_error", self.std_error, STD_ERROR_OPTIONS)
        check_option(owner, "inference", self.inference, ("population", "sample"))
        check_count(owner, "n_variance_neighbors", self.n_variance_neighbors, 0)
        if isinstance(self.adjustment, str):
            if self.adjustment not in ("auto", "bias", "linear"):
                raise ValueError(f"{owner}: {_ADJUSTMENTS}; got {self.adjustment!r}.")
        elif self.adjustment is not None:
            self._check_regressor(owner)
        if not isinstance(self._matcher, Matcher):
            raise TypeError(
                f"{owner}: `matcher` must be a Matcher, such as PropensityMatcher(), or None; got {self.matcher!r}."
            )
        self._matcher.check_parameters()
        if self._matcher.missing != "auto":
            how = self._matcher.missing
            raise ValueError(
                f"{owner}: `missing` of the matcher must be 'auto' here, as gaps are treated once for matches and "
                f"adjustment; got {how!r}. Pass it as {owner}(missing={how!r})."
            )

    def _check_regressor(self, owner: str) -> None:
        """Refuse an adjustment that is no regressor, or cannot weigh its rows."""
        model = self.adjustment
        if isinstance(model, type) or not hasattr(model, "fit") or not hasattr(model, "predict"):
            raise TypeError(f"{owner}: {_ADJUSTMENTS}; got {model!r}.")
        if not has_fit_parameter(model, "sample_weight"):
            raise TypeError(
                f"{owner}: `adjustment` must be a regressor whose fit takes `sample_weight`, as matches weigh by how "
                f"often they serve; {type(model).__name__} does not. Use 'bias' or 'linear', or another regressor."
            )

    @property
    def _matcher(self) -> Matcher:
        """The matcher handed in, or the default one for the adjustment; not fitted."""
        if self.matcher is not None:
            return self.matcher
        if self._is_curved:
            return PropensityMatcher("auto", n_neighbors="auto")
        return PropensityMatcher()

    def _propensity_rules(self) -> dict[str, Any]:
        matcher = self._matcher
        return {
            "takes_certain": matcher.takes_certain,
            "propensity_remedy": matcher.propensity_remedy,
        }

    def _uncompared_columns(self, data: EffectData) -> list[int]:
        return self._matcher.exact_positions(data)

    def _takes_missing(self, has_propensity: bool) -> bool:
        """Tell whether both the propensity and the adjustment can do with NaN in X."""
        matcher = self._matcher
        can_match = isinstance(matcher, Matcher) and matcher.allows_missing(has_propensity)
        return can_match and (self._adjusts_by is None or takes_missing(self._adjusts_by))

    def _plan(self, owner: str, data: EffectData) -> _Plan:
        """Choose the standard error that is valid for the design, or check the one asked for."""
        is_linear = isinstance(self.adjustment, str) and self.adjustment == "linear"
        if is_linear and self.estimand == "ate":
            raise ValueError(
                f"{owner}: adjustment='linear' estimates effects on the treated or on the controls; with "
                "estimand='ate' use adjustment='bias'."
            )
        if self._is_curved:
            refuse_many_segments(owner, data.segment.n_segments, "adjustment='bias'")
        matcher: Matcher = clone(self._matcher)
        situation = Situation(
            estimand=self.estimand,
            inference=self.inference,
            is_linear=is_linear,
            has_groups=data.groups is not None,
            replacement=matcher.replacement,
            estimates_score=matcher.estimates_score,
            n_variance_neighbors=int(self.n_variance_neighbors),
            is_curved=self._is_curved,
        )
        options = EstimateOptions(
            self.estimand,
            self._adjusts_by,
            choose_std_error(owner, self.std_error, situation),
            self.inference,
            situation.n_variance_neighbors,
            self._fewest_rows,
            as_published=self.std_error != "auto",
        )
        return _Plan(matcher, options)

    def _estimate(self, owner: str, data: EffectData, plan: _Plan) -> Estimated:
        design = plan.matcher.match(data, self.estimand)
        estimates, words, curved = estimate_segments(design, data.y, plan.options, self.n_jobs)
        details = (design, words)
        if curved is None:
            return Estimated(estimates, design.encoded.kinds, details)
        return Estimated(estimates, design.encoded.kinds, details, curved.second, curved.weighted)

    def _refuse_estimates(
        self,
        owner: str,
        data: EffectData,
        plan: _Plan,
        estimates: Sequence[SegmentEstimate],
    ) -> None:
        super()._refuse_estimates(owner, data, plan, estimates)
        refuse_segments(owner, plan.options.std_error, data.segment.labels.tolist(), estimates)

    def _keep(
        self, data: EffectData, plan: _Plan, found: Estimated, filling: Filling | None
    ) -> None:
        self.matcher_ = plan.matcher
        design, self._adjustment = found.details
        self.matcher_.adopt(design, filling)
        self.std_error_method_ = describe_std_error(plan.options.std_error, found.estimates)

    def _describe(self) -> tuple[Described, Described]:
        matcher = self.matcher_
        above = [
            ("Estimand", f"{ESTIMAND_NAMES[self.estimand]}, {self.inference} inference"),
            ("Matching", matcher.describe()),
            ("Adjustment", self._adjustment),
            ("Standard error", std_error_words(self.std_error_method_)),
        ]
        return above, [
            ("Donors", describe_donors(matcher)),
            ("Unmatched", describe_unmatched(matcher)),
        ]

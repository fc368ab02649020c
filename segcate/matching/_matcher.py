"""PropensityMatcher: the design stage as an estimator. No outcome is needed, or looked at."""

from __future__ import annotations

from typing import Any, ClassVar

from segcate._inputs.effect_data import DesignData
from segcate._inputs.features import takes_missing
from segcate._inputs.parameters import check_flag, check_option
from segcate._inputs.segments import Segment
from segcate.matching._base import Matcher
from segcate.matching._design import Design, design_covariates, nearest_design, score_space
from segcate.matching._options import (
    check_matching_options,
    describe_rules,
    is_auto,
    matching_options,
)
from segcate.matching._propensity import (
    CERTAIN_REMEDY,
    SCORE_SCALES,
    ScoreOptions,
    check_classifier,
    is_curved,
)


class PropensityMatcher(Matcher):
    """Match treated and control rows on the propensity score, inside each segment.

    Use it to look at balance and overlap before any outcome is shown; hand an (unfitted) instance to
    `segcate.effects.SegmentMatching` for effects. Matches never cross a segment.

    Parameters
    ----------
    estimator : None, "auto" or classifier with `predict_proba`, default=None
        Model of the propensity; it gets the covariates as they came. None is a logistic regression
        without penalty on encoded columns (strings and categories as 0/1 columns). A segment whose
        smaller arm has fewer than 10 rows a slope shrinks its slopes to those common to all
        segments, and one whose arms can be separated is fitted with a ridge; `score_notes_` says so.
        "auto" is one logistic regression for all segments on lines, bends, products and each
        segment's own slopes and squares, penalised as far as the data say.
    n_neighbors : int or "auto", default=3
        Matches wanted for each focal row. "auto" takes twice the root of the donors of the cell, at
        least 36 or four fifths of fewer than 45, for use with an outcome regression
        (``SegmentMatching(adjustment="auto")``). With replacement, all rows tied with the last are kept.
    replacement : bool, default=True
        Whether a row may serve as a match more than once.
    caliper : float >= 0, default=None
        Largest distance allowed (inclusive), in units of `caliper_scale`. None: no limit.
    caliper_scale : {"sd", "raw"}, default="sd"
        "sd": standard deviations (ddof 1) of the score over the rows of the segment; "raw": units of
        the score.
    score_scale : {"logit", "probability"}, default="logit"
        Match on log-odds or on the probability.
    pool_propensity : bool, default=False
        Fit one model for all segments. Ours then has an intercept in every segment and slopes that are
        shrunk to common ones; a classifier gets 0/1 columns of the segments.
    order : {"largest", "smallest", "data", "random", "closest"}, default="largest"
        Without replacement: who chooses first, by score, row, at random, or nearest pair first.
    exact : column or sequence of columns, default=None
        Columns, by name or position, on which matched rows must agree. They are no covariates.
    common_support : {None, "treated", "control", "both"}, default=None
        Leave out rows of these arms whose score lies outside the range of the other arm.
    segment : "auto", str, int or None, default="auto"
        Column of X that holds the segments; None: all rows are one segment. "auto" takes the column
        `segment`, or the only one whose name ends in `__segment`.
    missing : {"auto", "indicator", "drop"}, default="auto"
        What is done about missing numbers and dates among the covariates (a missing category is a
        level of its own). "auto": where at most 5 % of a segment's rows have one, the mean of the
        segment and a 0/1 column ("x: missing" in `balance_`); more is an error unless the model
        takes them. "indicator": the same for any share. "drop": only rows without a missing
        covariate. Inside `SegmentMatching` its own `missing` holds.
    n_jobs : int, default=None
        Segments whose propensity is fitted at the same time.
    random_state : int, RandomState or None, default=None
        Used with ``order="random"``.

    Attributes
    ----------
    propensity_ : float64 array of shape (n_samples,)
        NaN in segments without both arms, and in rows of weight 0.
    matched_ : MatchedSample
        Pairs, weights, rows unmatched and why.
    effective_sample_size_ : float64 array of shape (n_segments, 2)
        Of controls and treated in the matched sample, ``(sum w)^2 / sum w^2``.
    segment_labels_ : array of shape (n_segments,)
        Sorted; the noise segment -1 comes first.
    score_notes_ : dict of segment label to str
        What is special about the score of a segment; empty texts are left out.
    complete_rows_ : intp array, with ``missing="drop"`` where rows were left out
        Positions in X of the rows that were used; what is there a row belongs to these.
    covariates_ : DataFrame, one row a column of X: kind, treatment, note, share_missing
    n_features_in_, feature_names_in_ : as in scikit-learn

    See Also
    --------
    segcate.effects.SegmentMatching : Effects per segment from these matches.

    Notes
    -----
    Where a level of a category (or of a number of two values) has fewer than five rows in an arm of a
    segment, our logistic regression shrinks the levels' effects to their mean; and, unless
    `propensity` is given, rows whose level has no row of the other arm in the segment are not
    matched (reason "no donor in level of ..."). A number with a value more than 10 robust standard
    deviations from its median enters our logistic regression as two columns; `balance_` keeps it.

    Matching without replacement is greedy and breaks ties as MatchIt does: of donors at the same
    distance the one fewer places away in the segment's order of score and row is taken, of equally
    many places the lower score. So its answer depends on the order of rows with equal scores; with
    replacement it does not.

    A match fills as many places of `n_neighbors` as it weighs: counts as they are, other weights over
    their mean in the arm of the segment. Weights need ``replacement=True``.

    References
    ----------
    Rosenbaum & Rubin (1983), Biometrika 70:41-55. Austin (2011), Pharmaceutical Statistics
    10:150-161, for calipers.

    Examples
    --------
    >>> import numpy as np
    >>> from segcate.matching import PropensityMatcher
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 2))
    >>> treatment = (rng.random(200) < 1 / (1 + np.exp(1 - X[:, 0]))).astype(int)
    >>> matcher = PropensityMatcher(n_neighbors=1, segment=None).fit(X, treatment=treatment)
    >>> matcher.balance_.loc["all", "smd_before"].round(2).to_dict()
    {'propensity': 0.72, 'x0': 0.82, 'x1': 0.12}
    >>> matcher.balance_.loc["all", "smd_after"].round(2).to_dict()
    {'propensity': 0.03, 'x0': 0.02, 'x1': -0.06}
    """

    estimates_score: ClassVar[bool] = True
    propensity_remedy: ClassVar[str] = CERTAIN_REMEDY

    def __init__(
        self,
        estimator: Any = None,
        *,
        n_neighbors: int | str = 3,
        replacement: bool = True,
        caliper: float | None = None,
        caliper_scale: str = "sd",
        score_scale: str = "logit",
        pool_propensity: bool = False,
        order: str = "largest",
        exact: Any = None,
        common_support: str | None = None,
        segment: Segment = "auto",
        missing: str = "auto",
        n_jobs: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.n_neighbors = n_neighbors
        self.replacement = replacement
        self.caliper = caliper
        self.caliper_scale = caliper_scale
        self.score_scale = score_scale
        self.pool_propensity = pool_propensity
        self.order = order
        self.exact = exact
        self.common_support = common_support
        self.segment = segment
        self.missing = missing
        self.n_jobs = n_jobs
        self.random_state = random_state

    def check_parameters(self) -> None:
        """Refuse parameters that no design can be made with, before any data are looked at."""
        owner = type(self).__name__
        check_classifier(owner, self.estimator)
        check_matching_options(self)
        check_flag(owner, "pool_propensity", self.pool_propensity)
        if self.pool_propensity and is_curved(self.estimator):
            raise ValueError(
                f"{owner}: pool_propensity=True is for estimator=None or a classifier; estimator='auto' fits all "
                "segments together as it is. Leave `pool_propensity` at False."
            )
        check_option(owner, "score_scale", self.score_scale, SCORE_SCALES)
        check_option(
            owner, "common_support", self.common_support, (None, "treated", "control", "both")
        )

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
        options = matching_options(self, data, estimand)
        covariates = design_covariates(owner, data, self.exact, estimand)
        score = ScoreOptions(self.estimator, self.score_scale, self.pool_propensity, self.n_jobs)
        return nearest_design(covariates, score_space(owner, covariates, score), options)

    def describe(self) -> str:
        """Say in one line how rows were matched."""
        n = "2 sqrt(donors) (of few 36, or 80 %)" if is_auto(self.n_neighbors) else self.n_neighbors
        score = f"{self.score_scale} score"
        if is_curved(self.estimator):
            score += ", penalised and curved, of all segments together"
        return f"{n} nearest on the {score}, {describe_rules(self)}"

    @property
    def takes_certain(self) -> bool:
        """Whether `fit` takes propensities of exactly 0 and 1."""
        return self.score_scale == "probability"

    def allows_missing(self, has_propensity: bool = False) -> bool:
        """Tell whether the propensity model can be fitted with NaN in X, or was handed in."""
        return has_propensity or takes_missing(self.estimator)

"""PropensityMatcher: the design stage as an estimator. No outcome is needed, or looked at."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state

from segcate._covariates.missing import Filling, missing_by_arm, treat_missing
from segcate._inputs.effect_data import EffectData, check_effect_data
from segcate._inputs.features import takes_missing
from segcate._inputs.parameters import check_option
from segcate._inputs.present_rows import present_rows
from segcate._inputs.records import RecordedColumns
from segcate._inputs.routing import DESIGN_REQUEST
from segcate._inputs.segments import Segment
from segcate._inputs.vectors import check_same_index
from segcate._inputs.weights import GivenRows
from segcate.matching._balance import (
    Balance,
    SortedColumn,
    effective_sample_size,
    measure_column,
    sort_column,
)
from segcate.matching._design import (
    Design,
    MatchingOptions,
    exact_positions,
    make_design,
    row_ids,
)
from segcate.matching._propensity import CERTAIN_REMEDY, check_classifier
from segcate.matching._sample import ZERO_WEIGHT, MatchedSample

if TYPE_CHECKING:
    import pandas as pd

Float = npt.NDArray[np.float64]


class PropensityMatcher(RecordedColumns, BaseEstimator):
    """Match treated and control rows on the propensity score, inside each segment.

    Use it to look at balance and overlap before any outcome is shown; hand an (unfitted) instance to
    `segcate.effects.SegmentMatching` for effects. Matches never cross a segment.

    Parameters
    ----------
    estimator : classifier with `predict_proba`, default=None
        Model of the propensity; it gets the covariates as they came. None is a logistic regression
        without penalty on encoded columns (strings and categories as 0/1 columns). A segment whose
        smaller arm has fewer than 10 rows a slope shrinks its slopes to those common to all
        segments, and one whose arms can be separated is fitted with a ridge; `score_notes_` says so.
    n_neighbors : int, default=3
        Matches wanted for each focal row. With replacement, all rows tied with the last are kept.
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

    __metadata_request__fit = DESIGN_REQUEST

    def __init__(
        self,
        estimator: Any = None,
        *,
        n_neighbors: int = 3,
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

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        treatment: Any = None,
        sample_weight: Any = None,
        propensity: Any = None,
    ) -> PropensityMatcher:
        """Match the treated rows of every segment with its control rows.

        Parameters
        ----------
        X : frame or array-like of shape (n_samples, n_features)
            Covariates and the segment column.
        y : ignored
            Present for scikit-learn; the design does not look at outcomes.
        treatment : array-like of shape (n_samples,), values in {0, 1} or bool
            Arm of each row; 1 is treated.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, at least 0. Equal weights are none; whole numbers from 1 are counts of rows; of
            all others only ratios count; a row of weight 0 is not there.
        propensity : array-like of shape (n_samples,), values inside (0, 1), default=None
            Known or cross-fitted propensities; nothing is fitted then. 0 and 1 are taken with
            ``score_scale="probability"``.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If an input is missing, misaligned or out of range.
        OverlapError
            If a propensity model gives exactly 0 or 1 and log-odds are asked for.
        """
        owner = type(self).__name__
        check_classifier(owner, self.estimator)
        check_same_index(
            owner, X=X, y=y, treatment=treatment, sample_weight=sample_weight,
            propensity=propensity,
        )  # fmt: skip
        data = check_effect_data(
            self,
            X,
            treatment=treatment,
            segment=self.segment,
            sample_weight=sample_weight,
            propensity=propensity,
            takes_certain=self.score_scale == "probability",
            propensity_remedy=CERTAIN_REMEDY,
            needs_outcome=False,
            allow_missing=True,
        )
        shares = missing_by_arm(data)
        data, filling = treat_missing(
            type(self).__name__,
            data,
            self.missing,
            takes_missing=propensity is not None or self._takes_missing(),
            skip=self._exact_positions(data),
            allowed=("auto", "indicator", "drop"),
        )
        self._store(self._make_design(present_rows(data), "att"), "att", filling)
        self._missing_by_arm = shares
        return self

    def _exact_positions(self, data: EffectData) -> list[int]:
        """Positions of the columns matched exactly; a gap there is a value of its own."""
        if self.exact is None:
            return []
        return exact_positions(type(self).__name__, data, self.exact)

    def _takes_missing(self) -> bool:
        """Tell whether the propensity model can be fitted with NaN in X."""
        return takes_missing(self.estimator)

    def __sklearn_tags__(self) -> Any:
        """X may hold strings and categories in a frame, and NaN where the model takes it."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self._takes_missing() or self.missing != "auto"
        return tags

    def _make_design(self, data: EffectData, estimand: str) -> Design:
        """Run the design stage for an estimand (SegmentMatching's way in)."""
        check_option(type(self).__name__, "replacement", self.replacement, (True, False))
        needs_priority = not self.replacement and self.order == "random"
        if data.sample_weight is not None and not self.replacement:
            raise ValueError(
                f"{type(self).__name__}: `sample_weight` needs `replacement=True`: without replacement each row "
                "stands for one, so weights have no meaning. Match with replacement, or leave the weights out."
            )
        options = MatchingOptions(
            estimator=self.estimator,
            n_neighbors=self.n_neighbors,
            replacement=self.replacement,
            caliper=self.caliper,
            caliper_scale=self.caliper_scale,
            score_scale=self.score_scale,
            pool_propensity=self.pool_propensity,
            order=self.order,
            exact=self.exact,
            common_support=self.common_support,
            n_jobs=self.n_jobs,
            priority=check_random_state(self.random_state).random_sample(data.n_rows)
            if needs_priority
            else None,
            estimand=estimand,
        )
        return make_design(type(self).__name__, data, options)

    def _store(self, design: Design, estimand: str, filling: Filling | None = None) -> None:
        """Keep what is worth looking at of a design; covariates and input are let go."""
        data, sample = design.data, design.sample
        self.propensity_ = design.propensity.propensity
        self.matched_ = sample
        if data.given is not None:
            self.propensity_ = data.given.spread(self.propensity_, np.nan)
            self.matched_ = _among_given_rows(sample, data.given)
        kinds = design.encoded.kinds
        self._columns = kinds if filling is None else filling.records(kinds)
        self.segment_labels_ = data.segment.labels
        self._filling = filling
        if filling is not None and filling.complete is not None:
            self.complete_rows_ = filling.complete
        labels = data.segment.labels.tolist()
        self.score_notes_ = {
            label: note for label, note in zip(labels, design.propensity.notes, strict=True) if note
        }
        self._balance, self.effective_sample_size_ = _measure_balance(design, estimand)

    @property
    def balance_(self) -> pd.DataFrame:
        """Balance of the arms before and after matching, one row a segment and covariate.

        Columns: weighted means after matching, standardised mean difference (`smd_*`; unit: standard
        deviation of the treated in the raw sample), variance ratio (treated over control; NaN for 0/1
        columns) and Kolmogorov-Smirnov distance, each `_before` and `_after` matching.
        """
        import pandas as pd

        found: Balance = self._balance
        index = pd.MultiIndex.from_product(
            [self.segment_labels_.tolist(), found.columns], names=["segment", "covariate"]
        )
        columns = {
            "mean_treated": found.mean_treated[..., 1],
            "mean_control": found.mean_control[..., 1],
        }
        for name in ("difference", "variance_ratio", "ks"):
            short = "smd" if name == "difference" else name
            for k, when in enumerate(("before", "after")):
                columns[f"{short}_{when}"] = getattr(found, name)[..., k]
        return pd.DataFrame({name: values.ravel() for name, values in columns.items()}, index=index)


def _among_given_rows(sample: MatchedSample, given: GivenRows) -> MatchedSample:
    """Take up the row numbers of what was given, rows of weight 0 among them."""
    return replace(
        sample,
        order=given.kept[sample.order].astype(np.int32),
        status=given.spread(sample.status, ZERO_WEIGHT),
        ids=row_ids(given.X),
    )


def _measure_balance(design: Design, estimand: str) -> tuple[Balance, Float]:
    """Measure balance of the propensity and of every covariate, and the effective sample sizes."""
    data, sample = design.data, design.sample
    n_segments = data.segment.n_segments
    whole = len(sample.order) == data.n_rows and len(sample.cell_segment) == n_segments
    row_weights = None if whole and not design.encoded.names else sample.weights

    def column(z: Float) -> SortedColumn:
        return sort_column(
            z, data.treatment, data.segment.codes, n_segments, data.sample_weight,
            sample.weights if row_weights is None else row_weights,
        )  # fmt: skip

    if whole:  # the matched sample is already sorted by segment, arm and score
        before = np.ones(data.n_rows) if sample.sample_weight is None else sample.sample_weight
        score = design.propensity.propensity[sample.order]
        first = SortedColumn(score, before, sample.sorted_weights, sample.bounds)
    else:
        first = column(np.nan_to_num(design.propensity.propensity, nan=0.5))
    found = [measure_column(first, estimand)]
    found += [measure_column(column(z), estimand) for z in design.encoded.values.T]
    statistics = np.stack(found, axis=2)
    names = ("propensity", *design.encoded.names)
    return Balance(names, *statistics), effective_sample_size(first.after, first.bounds)

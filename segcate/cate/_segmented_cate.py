"""SegmentedCATE: fit one model of individual effects per segment, shrunk towards a pooled one."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_is_fitted

from segcate._inputs import frames
from segcate._inputs.arrays import Float, Int
from segcate._inputs.effect_data import EffectData
from segcate._inputs.features import check_features, takes_missing
from segcate._inputs.kinds import columns_as_they_came
from segcate._inputs.listing import first_few, listed
from segcate._inputs.parameters import (
    check_count,
    check_in_unit_interval,
    check_number,
    check_option,
)
from segcate._inputs.part_of_rows import part_of_rows, said_once
from segcate._inputs.present_rows import present_rows
from segcate._inputs.routing import refuse_positional
from segcate._inputs.segments import Segment, code_segments
from segcate._nuisance.nuisances import check_cross_fitting
from segcate.cate._children import check_child
from segcate.cate._estimator import CATEEstimator, treated_arms
from segcate.cate._interaction_regression import InteractionRegression
from segcate.cate._interval import predict_interval
from segcate.cate._segment_models import fit_models, out_of_fold, residualise, told_the_kind
from segcate.cate._segment_rows import (
    count_rows,
    fold_trains_every_arm,
    rows_by_segment,
    why_pooled,
    without_segment_column,
)
from segcate.cate._segment_weights import Shrinkage, choose_shrinkage
from segcate.cate._treatment_kind import treatment_kind_of
from segcate.exceptions import EmptySegmentError, SegcateWarning

if TYPE_CHECKING:
    import pandas as pd


class SegmentedCATE(CATEEstimator):
    """Fit one model of effects per segment, and shrink it towards a pooled one.

    Use it where effects may depend on the covariates differently in each segment, and some segments
    are small. The pooled model has less variance, the segment's own less bias; the data choose the
    weight of each. The segment itself is never a covariate.

    Parameters
    ----------
    estimator : effect estimator, default=None
        Cloned for every segment and once for everyone: one of ours, an adapter, or a Pipeline that
        ends in one. None is ``InteractionRegression()``.
    segment : "auto", str, int or None, default="auto"
        Column of X that holds the segments; None: one segment, so the pooled model alone.
    treatment_kind : {"auto", "binary", "arms", "continuous"}, default="auto"
        As in `InteractionRegression`; handed to an `estimator` that would guess.
    min_per_arm : int >= 1, default=50
        Rows of positive weight that a segment needs in every arm (of doses: in all) for a model of
        its own; below, it gets the pooled one, and `segments_` says so. So it does where a column
        decides the treatment within the segment.
    shrinkage : "auto", float in [0, 1] or None, default="auto"
        Share of the pooled model in a segment's effects. "auto": by the data, see Notes. None: 0,
        own models as they are.
    on_empty : {"overall", "nan", "raise"}, default="overall"
        What a segment without a model of its own, or first seen by `predict`, gets: the pooled
        model's effects, NaN, or an error.
    cv : int >= 2, default=5
        Folds of ``shrinkage="auto"``.
    random_state : int, RandomState instance or None, default=None
        Seed of the folds and of the nuisance models of ``shrinkage="auto"``.
    n_jobs : int, default=None
        Models fitted at the same time.

    Attributes
    ----------
    segments_ : DataFrame, one row a segment, ordered by label (noise, -1, first)
        n, n_treated (in any arm but the control), n_control, weight (share of the own model),
        status. Of doses without the counts by arm.
    pooled_ : the model fitted on everyone
    estimators_ : list of length n_segments: the segment's own model, None where it has none
    segment_labels_ : array of shape (n_segments,)
    weights_ : float64 array of shape (n_segments,)
    shrinkage_factor_ : float, from 0 (own models) to infinity (pooled); NaN unless "auto" chose it
    treatment_kind_ : {"binary", "arms", "continuous"}
    arms_ : int64 array of shape (n_arms - 1,), codes of the arms but the control; empty for doses
    late_columns_ : dict of str
        For each column of X that tells the outcome or the treatment, what was found.
    covariates_ : DataFrame, one row a column of X: kind, treatment, note, share_missing
    n_features_in_, feature_names_in_ : as in scikit-learn

    See Also
    --------
    InteractionRegression : With a segment column of text, one regression with segment effects.
    segcate.effects.SegmentMatching : One effect a segment, with its standard error.

    Notes
    -----
    The effect is ``w_s own(x) + (1 - w_s) pooled(x)`` with the weight of empirical Bayes,

        w_s = 1 / (1 + factor v_s),    v_s = mean((r - c own)^2) / sum(c^2)  in segment s,

    where r = y - E[y | x, s] and c = t - E[t | x, s] are cross-fitted and v_s is the variance that
    an average effect has in the segment: an own model of k parameters is off by about k v_s, and
    what sets the segment apart by B, so that the best weight is B / (B + k v_s) (Efron & Morris,
    1973). The one unknown, factor = k / B, is chosen by the R-loss of out-of-fold predictions, sum
    (r - c (w_s own + (1 - w_s) pooled))^2 (R-stacking, Nie & Wager, 2021): where it falls most
    below that of the pooled model, the fall counting as far as it stands out of its noise (its slope
    T counts as T - 2 Var(T) / T, the garrote of Breiman, 1995). One number for all segments can be told
    from noisy effects where one a segment could not. With more arms c holds a column an arm. This
    needs ``cv (n_segments + 1)`` more fits.

    The nuisances know the segment, the models do not: a pooled model on observational data leaves
    confounding by segment in, which the loss sees. Keep what made the segments among the columns.
    A level of a category that a segment or fold lacks counts in its model as the average level; one
    that `fit` never saw is an error. `groups` keep their rows in one fold. Shrunken effects have no
    confidence interval; `predict_interval` needs ``shrinkage=None`` (or 0 or 1).

    References
    ----------
    Breiman, L. (1995). Better subset regression using the nonnegative garrote. Technometrics,
    37(4), 373-384. doi:10.1080/00401706.1995.10484371
    Efron, B., & Morris, C. (1973). Stein's estimation rule and its competitors: an empirical Bayes
    approach. JASA, 68(341), 117-130. doi:10.1080/01621459.1973.10481350
    Nie, X., & Wager, S. (2021). Quasi-oracle estimation of heterogeneous treatment effects.
    Biometrika, 108(2), 299-319. doi:10.1093/biomet/asaa076

    Examples
    --------
    >>> from segcate.cate import InteractionRegression, SegmentedCATE
    >>> from segcate.datasets import make_segmented_users
    >>> users = make_segmented_users(
    ...     900, n_segments=3, segment_shares=[20, 20, 1], confounding=0,
    ...     heterogeneity=1.0, random_state=0,
    ... )
    >>> X = users.X.assign(segment=users.segment)
    >>> model = SegmentedCATE(InteractionRegression(), random_state=0)
    >>> model.fit(X, users.y, treatment=users.treatment).predict(X).shape
    (900,)
    >>> print(model.segments_.round(2).to_string(index_names=False))
         n  n_treated  n_control  weight                                        status
    0  439        147        292    0.75                                            ok
    1  439        121        318    0.72                                            ok
    2   22          8         14    0.00  pooled: 8 treated, fewer than min_per_arm=50
    """

    _children: ClassVar[dict[str, str]] = {"estimator": "SegmentedCATE(InteractionRegression())"}

    def __init__(
        self,
        estimator: Any = None,
        *,
        segment: Segment = "auto",
        treatment_kind: str = "auto",
        min_per_arm: int = 50,
        shrinkage: Any = "auto",
        on_empty: str = "overall",
        cv: int = 5,
        random_state: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.estimator = estimator
        self.segment = segment
        self.treatment_kind = treatment_kind
        self.min_per_arm = min_per_arm
        self.shrinkage = shrinkage
        self.on_empty = on_empty
        self.cv = cv
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(
        self,
        X: Any,
        y: Any,
        *more: Any,
        treatment: Any = None,
        sample_weight: Any = None,
        groups: Any = None,
        propensity: Any = None,
    ) -> SegmentedCATE:
        """Fit the pooled model and the segments' own, and choose their weights.

        Parameters
        ----------
        X : frame or array-like of shape (n_samples, n_features)
            Covariates and the segment column.
        y : array-like of shape (n_samples,)
            Outcome, 0/1 or measured.
        *more
            Nothing. Arguments after y go by name, as `treatment=`; others are refused.
        treatment : array-like of shape (n_samples,)
            0/1 or bool; integer codes of arms, 0 the control; or doses.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, at least 0, for the models and the loss. Equal weights are none; whole numbers
            from 1 are counts of rows; of all others only ratios count; a row of weight 0 is not
            there.
        groups : array-like of shape (n_samples,), default=None
            Clusters of dependent rows, handed to the models; folds keep them whole.
        propensity : array-like of shape (n_samples,), values inside (0, 1), default=None
            Known chances of a 0/1 treatment, for the loss and handed to the models.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If an input or parameter is missing, misaligned or out of range.
        TypeError
            If `estimator` has no `fit` and `predict`.
        OverlapError
            If a column of X decides a 0/1 treatment, or an arm against the control, and no
            `propensity` says otherwise.
        EmptySegmentError
            If a segment is too small, or a column decides the treatment in it, and
            ``on_empty="raise"``.

        Warns
        -----
        SegcateWarning
            If X has columns that were probably measured after the treatment.
        """
        owner = type(self).__name__
        refuse_positional(owner, more)
        estimator = self._check_parameters(owner)
        kind = treatment_kind_of(owner, self.treatment_kind, treatment)
        data = self._check_rows(
            X, y, kind, segment=self.segment, treatment=treatment, sample_weight=sample_weight,
            groups=groups, propensity=propensity,
        )  # fmt: skip
        data = present_rows(data)
        _check_covariates(owner, data, kind)
        self._columns = columns_as_they_came(data.X, data.covariates)
        self._segment_position = data.segment.position
        data = without_segment_column(data)
        estimator = told_the_kind(estimator, kind)
        parts = rows_by_segment(data.segment)
        gaps = self._gaps(owner, data, parts)
        shrinkage = self._choose(owner, estimator, data, parts, gaps)
        with_own = [part for part, gap in zip(parts, gaps, strict=True) if not gap]
        with said_once():
            models = fit_models(estimator, data, [np.arange(data.n_rows), *with_own], self.n_jobs)
        own = iter(models[1:])
        self.pooled_ = models[0]
        self.estimators_ = [None if gap else next(own) for gap in gaps]
        self.weights_ = np.where([bool(gap) for gap in gaps], 0.0, shrinkage.weight)
        self.shrinkage_factor_ = shrinkage.factor
        self.segment_labels_ = data.segment.labels
        self.treatment_kind_ = kind
        self.arms_ = treated_arms(data.treatment)
        self._gap = gaps
        self._counts = np.array([count_rows(data, part) for part in parts])
        return self

    def predict(self, X: Any) -> Float:
        """Return the effect of the treatment on each row.

        Parameters
        ----------
        X : frame or array-like of shape (n_samples, n_features)
            With the columns of `fit`.

        Returns
        -------
        effect : float64 array of shape (n_samples,), in units of y
            With more than two arms of shape (n_samples, n_arms - 1), columns in the order of
            `arms_`.

        Raises
        ------
        EmptySegmentError
            If a row's segment was not seen in `fit` and ``on_empty="raise"``.

        Warns
        -----
        SegcateWarning
            If rows are of segments that `fit` did not see, and get the pooled effect or NaN.
        """
        covariates, segment = self._split(X, "predict")
        effects = self._blank((len(segment),))
        # The pooled model alone knows every level, so it is asked first: it refuses unseen ones.
        self._fill(effects, np.ones(len(segment), dtype=bool), self.pooled_.predict, covariates)
        for k, model in enumerate(self.estimators_):
            rows = np.flatnonzero(segment == k)
            if model is None or not len(rows) or self.weights_[k] == 0:
                continue
            with part_of_rows():
                own = np.asarray(
                    model.predict(frames.take_rows(covariates, rows)), dtype=np.float64
                )
            pooled = effects[rows] if self.weights_[k] < 1 else own
            effects[rows] = pooled + self.weights_[k] * (own - pooled)
        effects[self._is_blank(segment)] = np.nan
        return effects

    def predict_interval(self, X: Any, *, confidence_level: float = 0.95) -> Float:
        """Return a confidence interval of the effect on each row: that of its segment's model.

        Parameters
        ----------
        X : frame or array-like of shape (n_samples, n_features)
            With the columns of `fit`.
        confidence_level : float in (0, 1), default=0.95
            Of each interval on its own.

        Returns
        -------
        interval : float64 array of shape (n_samples, 2), low and high, in units of y
            With more than two arms of shape (n_samples, n_arms - 1, 2). Rows that get the pooled
            effect have its interval.

        Raises
        ------
        TypeError
            If effects were shrunk, or the models have no intervals.
        """
        check_is_fitted(self)
        owner = type(self).__name__
        check_in_unit_interval(f"{owner}.predict_interval", "confidence_level", confidence_level)
        is_mixed = (self.weights_ > 0) & (self.weights_ < 1)
        if is_mixed.any() or not np.isnan(self.shrinkage_factor_):
            raise TypeError(
                f"{owner}.predict_interval: effects shrunk by the data are biased towards the "
                f"pooled model, and have no confidence interval (shrinkage={self.shrinkage!r}). "
                "Fit with shrinkage=None for intervals of the segments' own models."
            )
        covariates, segment = self._split(X, "predict_interval")
        interval = self._blank((len(segment), 2))
        self.pooled_.predict(covariates)  # refuses levels that no model saw

        def of(model: Any) -> Any:
            return lambda rows: predict_interval(model, rows, confidence_level=confidence_level)

        uses_own = np.append(self.weights_ > 0, False)[segment]
        self._fill(interval, ~uses_own, of(self.pooled_), covariates)
        for k, model in enumerate(self.estimators_):
            if model is not None and self.weights_[k] > 0:
                with part_of_rows():
                    self._fill(interval, segment == k, of(model), covariates)
        interval[self._is_blank(segment)] = np.nan
        return interval

    @property
    def segments_(self) -> pd.DataFrame:
        """Table of the segments: rows, weight of the own model, and why it has none."""
        import pandas as pd

        check_is_fitted(self)
        columns: dict[str, Any] = {"n": self._counts[:, 0]}
        if self.treatment_kind_ != "continuous":
            columns |= {"n_treated": self._counts[:, 1], "n_control": self._counts[:, 2]}
        columns["weight"] = self.weights_
        columns["status"] = ["ok" if not gap else f"pooled: {gap}" for gap in self._gap]
        return pd.DataFrame(columns, index=pd.Index(self.segment_labels_, name="segment"))

    def _takes_missing(self) -> bool:
        return self.estimator is not None and takes_missing(self.estimator)

    def _check_parameters(self, owner: str) -> Any:
        """Check the parameters and return the estimator to clone."""
        check_option(owner, "on_empty", self.on_empty, ("overall", "nan", "raise"))
        check_count(owner, "min_per_arm", self.min_per_arm, 1)
        check_cross_fitting(owner, self.cv, 0.0)
        if not (isinstance(self.shrinkage, str) and self.shrinkage == "auto"):
            check_number(
                owner, "shrinkage", self.shrinkage, least=0, most=1, optional=True,
                advice="It is the share of the pooled model; 'auto' learns it.",
            )  # fmt: skip
        model = InteractionRegression() if self.estimator is None else self.estimator
        check_child(owner, model, "an effect estimator")
        return model

    def _gaps(self, owner: str, data: EffectData, parts: list[Int]) -> list[str]:
        """Say of each segment why it has no model of its own; empty where it has one."""
        if len(parts) == 1:
            return ["the only segment"]
        gaps = [why_pooled(data, part, int(self.min_per_arm)) for part in parts]
        small = [
            f"{label!r} ({gap})"
            for label, gap in zip(data.segment.labels.tolist(), gaps, strict=True)
            if gap
        ]
        if small and self.on_empty == "raise":
            raise EmptySegmentError(
                f"{owner}: {len(small)} of {len(gaps)} segments cannot have a model of their own: "
                f"{first_few(small)}. Merge them into others, lower `min_per_arm`, or set "
                "on_empty='overall' or 'nan'."
            )
        return gaps

    def _choose(
        self, owner: str, estimator: Any, data: EffectData, parts: list[Int], gaps: list[str]
    ) -> Shrinkage:
        """Return the weights of own models; add to `gaps` the segments whose folds cannot be trained on."""
        if self.shrinkage != "auto":
            share = 0.0 if self.shrinkage is None else float(self.shrinkage)
            return Shrinkage(np.nan, np.full(len(parts), 1.0 - share))
        if all(gaps):
            return Shrinkage(np.nan, np.zeros(len(parts)))
        centred, fold = residualise(owner, data, self.cv, self.random_state, self.n_jobs)
        for k, part in enumerate(parts):
            if not gaps[k] and not fold_trains_every_arm(data, part, fold):
                gaps[k] = "leaving out a fold leaves out an arm"
        with_own = [part for part, gap in zip(parts, gaps, strict=True) if not gap]
        pooled, own = out_of_fold(estimator, data, with_own, fold, self.n_jobs)
        return choose_shrinkage(
            centred, pooled, own, data.segment.codes, len(parts),
            weight=data.sample_weight, groups=data.groups, n_folds=self.cv,
        )  # fmt: skip

    def _split(self, X: Any, where: str) -> tuple[Any, Int]:
        """Return the covariates and the position of each row's segment, the last one for unseen segments."""
        check_is_fitted(self)
        position = self._segment_position
        X = check_features(
            self, X, reset=False, allow_missing=self._allows_missing, segment=position
        )
        covariates = frames.select_columns(X, [i for i in range(X.shape[1]) if i != position])
        owner = f"{type(self).__name__}.{where}"
        found = code_segments(owner, X, position, may_look_like_ids=True)
        place = {label: i for i, label in enumerate(self.segment_labels_.tolist())}
        labels = found.labels.tolist()
        at = np.array([place.get(label, len(place)) for label in labels], dtype=np.intp)
        segment = at[found.codes]
        unseen = [label for label in labels if label not in place]
        if unseen:
            n_rows = int((segment == len(place)).sum())
            self._tell_unseen(owner, f"{n_rows} of {len(segment)} rows", unseen, place)
        return covariates, segment

    def _tell_unseen(self, owner: str, rows: str, unseen: list[Any], known: Any) -> None:
        what = (
            f"{owner}: {rows} are of segments that fit did not see ({listed(unseen)}; it knew "
            f"{listed(known)})"
        )
        if self.on_empty == "raise":
            raise EmptySegmentError(
                f"{what}. Set on_empty='overall' or 'nan', or fit on rows of every segment."
            )
        gets = "the pooled model's effects" if self.on_empty == "overall" else "NaN"
        warnings.warn(f"{what} and get {gets}.", SegcateWarning, stacklevel=4)

    def _is_blank(self, segment: Int) -> npt.NDArray[np.bool_]:
        """Mark rows that get NaN: those of small and unseen segments, with ``on_empty="nan"``."""
        is_small = [bool(gap) for gap in self._gap] if len(self._gap) > 1 else [False]
        return np.array([*is_small, True])[segment] & (self.on_empty == "nan")

    def _blank(self, shape: tuple[int, ...]) -> Float:
        """Return an array to fill; with more than two arms it has a column for each treatment."""
        if len(self.arms_) > 1:
            shape = (shape[0], len(self.arms_), *shape[1:])
        return np.full(shape, np.nan)

    @staticmethod
    def _fill(target: Float, chosen: npt.NDArray[np.bool_], predict: Any, covariates: Any) -> None:
        rows = np.flatnonzero(chosen)
        if len(rows):
            values = np.asarray(predict(frames.take_rows(covariates, rows)), dtype=np.float64)
            target[rows] = values.reshape(target[rows].shape)


def _check_covariates(owner: str, data: EffectData, kind: str) -> None:
    if not data.covariates:
        raise ValueError(
            f"{owner}: X has no column beside the segment, so effects cannot differ within one. "
            "Add covariates, or use SegmentMatching or SegmentRegression for an effect a segment."
        )
    if data.propensity is not None and kind != "binary":
        raise ValueError(
            f"{owner}: `propensity` is the chance of a 0/1 treatment, and this one is {kind}. "
            "Leave it out."
        )

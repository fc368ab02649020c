"""SegmentAIPW: the effect of a treatment in every segment, doubly robust and cross-fitted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator

from segcate._covariates.missing import Filling
from segcate._inputs.arrays import Float
from segcate._inputs.effect_data import EffectData
from segcate._inputs.encoding import encode_columns
from segcate._inputs.features import takes_missing
from segcate._inputs.listing import listed
from segcate._inputs.parameters import check_flag, check_seed
from segcate._inputs.segments import Segment
from segcate._inputs.vectors import is_zero_one
from segcate._nuisance.cross_fit import check_models
from segcate._nuisance.folds import check_splits, has_splits
from segcate._nuisance.nuisances import NuisanceModels, check_cross_fitting, warn_of_clipped
from segcate._writing.number_texts import write_count
from segcate.effects._curved.reweighted import ALONE
from segcate.effects._curved.weighted_effects import refuse_many_segments
from segcate.effects._curved.words import describe_curves, std_error_words
from segcate.effects._mixin import Estimated, SegmentEffectsMixin
from segcate.effects._table.segment_estimate import OK, SegmentEstimate
from segcate.effects._table.summary import ESTIMAND_NAMES, Described
from segcate.effects._unmatched.aipw_estimate import aipw_segment
from segcate.effects._unmatched.aipw_nuisances import (
    AIPWOptions,
    fit_aipw_nuisances,
    without_folds,
)
from segcate.effects._unmatched.curved_estimate import (
    CurvedRows,
    curved_estimates,
    thin_or_counted,
)
from segcate.effects._unmatched.odds import odds_of_other_arm, odds_propensity, with_overlap
from segcate.effects._unmatched.rows import (
    comparable_columns,
    rows_by_segment,
    supported_levels,
    telling_covariate,
)
from segcate.exceptions import OverlapError
from segcate.matching._model_columns import curves_for, model_columns, noted
from segcate.matching._support import level_support


class SegmentAIPW(SegmentEffectsMixin, BaseEstimator):
    r"""Estimate the effect in every segment by cross-fitted augmented weighting.

    Use it on observational data where the outcome or the treatment depends on the covariates in
    ways that no line follows: any models may be plugged in, and the estimate is right when either
    the outcome models or the propensity model are. Not where the arms hardly overlap: weights of
    rare rows then rule the answer, and `SegmentMatching` with a caliper says for whom it can tell.

    Parameters
    ----------
    outcome_model : "auto", None, regressor, or classifier for y in {0, 1}, default="auto"
        Fitted in each arm. "auto": penalised regressions on curves of the covariates in place of all
        models, as in ``SegmentMatching(adjustment="auto")``, with the odds of a penalised logistic
        regression as weights; no folds, and a small part of the time. None: an average of lines,
        curves, boosted trees and the mean, weighted by what predicts best (see
        `segcate.metrics.effect_scores`); it follows steps that no curve does.
    propensity_model : classifier with `predict_proba`, default=None
        Model of the treatment; None likewise. With ``outcome_model="auto"`` it must be None.
    estimand : {"ate", "att"}, default="ate"
        Effect on all or on the treated, in units of y (a risk difference when y is 0/1). The latter
        needs no model of the outcome of the treated, and treated-like controls only.
    pool_nuisances : bool, default=True
        Fit the models on all segments together, the segment a covariate (a 0/1 column each but the
        first); False: on the rows of each segment alone.
    cv : int or iterable, default=5
        Number of folds for cross-fitting, at least 2; or the folds themselves, pairs of positions
        (rows to fit on, rows to predict) that predict each row once.
    clip : float, default=0.01
        Modelled chances of treatment are kept inside [clip, 1 - clip], for the ATT below 1 - clip;
        the status and a warning count the rows. 0 clips nothing; in [0, 0.5).
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
        the models take them (those of ``outcome_model=None`` do). "indicator": the
        same for any share. "drop": only rows without a missing covariate. "impute": five
        imputations with treatment and outcome, combined by Rubin's rule.
    n_jobs : int, default=None
        Models fitted at the same time. The effects do not depend on it.
    random_state : int, RandomState instance or None, default=None
        Seed of the folds and of the default models. An int makes the effects reproducible.

    Attributes
    ----------
    effects_ : DataFrame, one row a segment, ordered by label (noise, -1, first)
        status, n, n_treated, n_control, n_matched, effect, std_error, ci_low, ci_high, z, p_value,
        p_adjusted (Holm), shrunken_effect, p_adjusted_bh, shrunken_ci_low, shrunken_ci_high.
        `n_matched` counts the rows the effect is averaged over: all, or the treated.
    overall_ : Series
        The same for everyone: segments weighted by those rows.
    heterogeneity_ : Heterogeneity
        Cochran's Q, its p-value, tau^2, over segments with at least 20 such rows.
    propensity_ : float64 array of shape (n_samples,), values in [0, 1]
        Chance of treatment of each row seen in fit, clipped; NaN where none was modelled.
    n_clipped_ : int
        Rows whose modelled chance was clipped.
    std_error_method_ : str
        "influence", "residual" with ``outcome_model="auto"``, or "group" where `groups` were given.
    second_estimate_ : SecondEstimate or None
        After ``outcome_model="auto"`` each effect once more, by the regression alone, with equal weights: `table`
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
    SegmentRegression : Lines for the outcome, and no model of the treatment.
    SegmentMatching : Compare like with like, without a model of the outcome.
    segcate.metrics.effect_scores : The same scores row by row.

    Notes
    -----
    With e the chance of treatment, :math:`\mu_0` and :math:`\mu_1` the expected outcomes, each by
    models that saw neither the row nor its fold, the effect of a segment is the mean over its rows
    of (Robins, Rotnitzky & Zhao 1994; Chernozhukov et al. 2018, equation 5.3)

    .. math:: \psi = \mu_1 - \mu_0 + \frac{t (y - \mu_1)}{e} - \frac{(1 - t)(y - \mu_0)}{1 - e},

    and on the treated (equation 5.4), with p the share of treated in the segment, of

    .. math:: \Bigl(t - (1 - t) \frac{e}{1 - e}\Bigr) \frac{y - \mu_0}{p}.

    A row adds :math:`(\psi - \hat\tau) / n`, or :math:`(\psi - t \hat\tau / p) / n`, to its error;
    the standard error is the root of their sum of squares, times n / (n - 1), or of the squares of
    their sums over groups, times G / (G - 1). Estimating the nuisances adds nothing in large samples
    when both are learned fast enough (that of their errors' product goes faster than
    :math:`1/\sqrt n`); when only one model is right the estimate is, but not the interval. Intervals
    use Student's t where an arm has fewer than 100 rows (their number - 1 degrees of freedom), and
    over groups (those of the smaller arm less 1).

    Folds are stratified by treatment within segments, by y too if it is 0/1, and keep `groups`
    whole. They are dealt in the order of the rows, so that another order of the rows is another draw
    of folds; nothing else depends on it. Segments without rows in both arms are left out of the
    models. A `propensity` handed in is used as it is, never clipped. Without one, a segment in which
    a covariate alone tells the arms apart (10 rows in each) has no estimate.

    Assumed: given the covariates in X, treatment is as good as random within the segment; both arms
    occur at every value of them; one row's treatment does not touch another's outcome.

    References
    ----------
    Robins, J. M., Rotnitzky, A., & Zhao, L. P. (1994). JASA 89:846-866.
    Chernozhukov, V., et al. (2018). The Econometrics Journal 21:C1-C68. doi:10.1111/ectj.12097

    Examples
    --------
    >>> from sklearn.linear_model import LinearRegression, LogisticRegression
    >>> from segcate.datasets import make_segmented_users
    >>> from segcate.effects import SegmentAIPW
    >>> users = make_segmented_users(4000, n_segments=3, random_state=0)
    >>> X = users.X.assign(segment=users.segment)
    >>> model = SegmentAIPW(LinearRegression(), LogisticRegression(), random_state=0)
    >>> table = model.fit(X, users.y, treatment=users.treatment).effects_
    >>> print(table[["n_treated", "effect", "std_error"]].round(2).to_string(index_names=False))
       n_treated  effect  std_error
    0        406    0.03       0.07
    1        422    0.47       0.09
    2        389    0.99       0.07
    """

    _remedy = "lower `cv`"
    _children: ClassVar[dict[str, str]] = {
        "outcome_model": "SegmentAIPW(outcome_model=...)",
        "propensity_model": "SegmentAIPW(propensity_model=...)",
    }

    def __init__(
        self,
        outcome_model: Any = "auto",
        propensity_model: Any = None,
        *,
        estimand: str = "ate",
        pool_nuisances: bool = True,
        cv: Any = 5,
        clip: float = 0.01,
        confidence_level: float = 0.95,
        segment: Segment = "auto",
        on_empty: str = "raise",
        min_per_arm: int | None = None,
        missing: str = "auto",
        n_jobs: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.outcome_model = outcome_model
        self.propensity_model = propensity_model
        self.estimand = estimand
        self.pool_nuisances = pool_nuisances
        self.cv = cv
        self.clip = clip
        self.confidence_level = confidence_level
        self.segment = segment
        self.on_empty = on_empty
        self.min_per_arm = min_per_arm
        self.missing = missing
        self.n_jobs = n_jobs
        self.random_state = random_state

    def _check_parameters(self, owner: str) -> None:
        self._check_shared_parameters(owner, ("ate", "att"))
        check_flag(owner, "pool_nuisances", self.pool_nuisances)
        check_cross_fitting(owner, self.cv, self.clip, allows_splits=True)

    def _plan(self, owner: str, data: EffectData) -> AIPWOptions:
        """Check the models against the data, and say how they are fitted."""
        is_binary = is_zero_one(data.y)
        if self._is_curved:
            self._refuse_models(owner)
            refuse_many_segments(owner, data.segment.n_segments, "the default models")
        else:
            check_models(owner, self.outcome_model, self.propensity_model, is_binary)
        if not data.covariates:
            raise ValueError(
                f"{owner}: X has no covariates beside the segment, and models of outcome and treatment need some. "
                "Add them, or use SegmentRegression, which then compares means."
            )
        splits = check_splits(owner, self.cv, data.n_rows) if has_splits(self.cv) else None
        models = NuisanceModels(
            outcome=self.outcome_model,
            treatment=self.propensity_model,
            cv=int(self.cv) if splits is None else len(splits),
            clip=None,
            random_state=int(check_seed(owner, self.random_state).randint(2**31 - 1)),
            n_jobs=self.n_jobs,
            remedy="" if self.pool_nuisances else ", or set pool_nuisances=True",
        )
        return AIPWOptions(
            models=models,
            arms=(0, 1) if self.estimand == "ate" else (0,),
            splits=splits,
            pooled=bool(self.pool_nuisances),
            fewest=self._fewest_rows,
        )

    def _imputation_seed(self, plan: AIPWOptions) -> Any:
        return plan.models.random_state

    def _estimate(self, owner: str, data: EffectData, plan: AIPWOptions) -> Estimated:
        if self._is_curved:
            return self._estimate_by_odds(owner, data, plan)
        encoded = comparable_columns(owner, data)
        support = supported_levels(data, encoded, self.estimand)
        segments = [
            without_folds(part, plan) for part in rows_by_segment(data, self.estimand, support)
        ]
        self._refuse_empty(owner, data, [_expected(part.counted) for part in segments])
        nuisances = fit_aipw_nuisances(owner, data, segments, plan)
        is_clipped = self._clip(owner, data, nuisances.propensity)
        estimates = [
            aipw_segment(
                part,
                nuisances,
                data.groups,
                int(is_clipped[part.rows].sum()),
                telling_covariate(part, encoded),
            )
            for part in segments
        ]
        return Estimated(estimates, nuisances.kinds, (nuisances.propensity, is_clipped, ""))

    def _estimate_by_odds(self, owner: str, data: EffectData, plan: AIPWOptions) -> Estimated:
        """Estimate with our own regression on curves, and odds of treatment as weights."""
        encoded = encode_columns(data.X, data.covariates, owner=owner)
        columns = model_columns(encoded)
        support = level_support(data, columns, self.estimand)
        curves = curves_for(columns, data, support.sparse)
        is_given = data.propensity is not None
        parts = rows_by_segment(data, self.estimand, None if is_given else support)
        segments = [thin_or_counted(part, plan.fewest) for part in parts]
        self._refuse_empty(owner, data, [_expected(part.counted) for part in segments])
        chance = odds_propensity(curves, segments, data)
        is_clipped = self._clip(owner, data, chance)
        told = None if is_given else encoded
        segments = [
            with_overlap(part, chance, is_clipped, telling_covariate(part, told))
            for part in segments
        ]
        odds = odds_of_other_arm(chance, data)
        equal = np.ones(data.n_rows) if data.sample_weight is None else data.sample_weight
        rows = CurvedRows(
            segments, curves, columns.every_name, odds, equal, ALONE, self.estimand, "population"
        )
        estimates, weighted, second = curved_estimates(rows, data)
        kinds = noted(encoded, columns).kinds
        words = describe_curves(curves, weighted.found)
        return Estimated(estimates, kinds, (chance, is_clipped, words), second, weighted)

    @property
    def _leaves_out_rows(self) -> bool:
        """Models have a chance of treatment for rows of weight 0 as well; curves are made of the others."""
        return self._is_curved

    @property
    def _is_curved(self) -> bool:
        """Tell whether curves and odds stand in for models."""
        return isinstance(self.outcome_model, str) and self.outcome_model == "auto"

    def _refuse_models(self, owner: str) -> None:
        """Refuse a model of the treatment where both are our own."""
        if self.propensity_model is not None:
            raise ValueError(
                f"{owner}: `propensity_model` must be None with outcome_model='auto', which has its own; got "
                f"{self.propensity_model!r}. Set outcome_model=None for the averaged models, pass a model of the "
                "outcome, or pass `propensity=` to fit."
            )

    def _keep(
        self, data: EffectData, plan: AIPWOptions, found: Estimated, filling: Filling | None
    ) -> None:
        chance, is_clipped, self._regression = found.details
        if data.given is not None:
            chance, is_clipped = (
                data.given.spread(chance, np.nan),
                data.given.spread(is_clipped, False),
            )
        self.propensity_ = chance
        warn_of_clipped(
            type(self).__name__, np.flatnonzero(is_clipped), len(is_clipped), self.clip,
            only_above=self.estimand != "ate", stacklevel=4,
        )  # fmt: skip
        self.n_clipped_ = int(is_clipped.sum())
        alone = "residual" if self._is_curved else "influence"
        self.std_error_method_ = alone if data.groups is None else "group"
        self._n_folds = plan.models.cv
        self._has_propensity = data.propensity is not None

    def _clip(self, owner: str, data: EffectData, propensity: Float) -> npt.NDArray[np.bool_]:
        """Clip modelled chances in place, for the ATE at both ends; mark the rows that were clipped."""
        nothing = np.zeros(data.n_rows, dtype=bool)
        if data.propensity is not None:
            _refuse_certain(owner, propensity, self.estimand)
            return nothing
        low = self.clip if self.estimand == "ate" else -np.inf
        if self.clip > 0:
            outside: npt.NDArray[np.bool_] = (propensity < low) | (propensity > 1 - self.clip)
            np.clip(propensity, low, 1 - self.clip, out=propensity)
            return outside
        n_bad = int(((propensity <= low) | (propensity >= 1)).sum())
        if n_bad:
            raise OverlapError(
                f"{owner}: the chance of treatment is modelled as exactly 0 or 1 in {n_bad} of {data.n_rows} rows. "
                "Set `clip` above 0, use a smoother model, or leave out rows that only one arm has."
            )
        return nothing

    def _describe(self) -> tuple[Described, Described]:
        below = [("Clipped", write_count(self.n_clipped_, "propensity", "propensities"))]
        if self._is_curved:
            chance = "penalised and curved, of all segments together"
            return [
                ("Estimand", f"{ESTIMAND_NAMES[self.estimand]}, population inference"),
                ("Outcome model", self._regression),
                ("Propensity", "handed in" if self._has_propensity else chance),
                ("Standard error", std_error_words(self.std_error_method_)),
            ], below
        how = "all segments together" if self.pool_nuisances else "each segment"
        chance = "handed in" if self._has_propensity else _model_name(self.propensity_model)
        above = [
            ("Estimand", f"{ESTIMAND_NAMES[self.estimand]}, population inference"),
            ("Outcome model", f"{_model_name(self.outcome_model)}, in {how}"),
            ("Propensity", chance),
            ("Cross-fitting", f"{self._n_folds} folds"),
            ("Standard error", self.std_error_method_),
        ]
        return above, below

    def _takes_missing(self, has_propensity: bool) -> bool:
        """Tell whether the models in use can be fitted with NaN in X."""
        models = [self.outcome_model, None if has_propensity else self.propensity_model]
        return all(model is None or takes_missing(model) for model in models)


def _refuse_certain(owner: str, propensity: Float, estimand: str) -> None:
    """Raise where chances that were handed in give a row no counterpart: 1, for the ATE 0 too."""
    is_bad = (propensity >= 1) | ((propensity <= 0) & (estimand == "ate"))
    if is_bad.any():
        which = "0 or 1" if estimand == "ate" else "1"
        raise OverlapError(
            f"{owner}: `propensity` is {which} in {int(is_bad.sum())} of {len(propensity)} rows (rows "
            f"{listed(np.flatnonzero(is_bad).tolist())}), and weighting divides by the chance of the other arm. "
            "Leave those rows out and say so: nobody like them is in the other arm."
        )


def _expected(counted: SegmentEstimate) -> SegmentEstimate:
    """Count a segment as estimated unless its status says why it cannot be."""
    return replace(counted, status=counted.status or OK)


def _model_name(model: Any) -> str:
    return "default models, averaged" if model is None else type(model).__name__

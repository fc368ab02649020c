"""CausalForest: honest trees on centred outcomes and treatments, with intervals.

Athey, S., Tibshirani, J., & Wager, S. (2019). Generalized random forests. Annals of Statistics,
47(2), 1148-1178.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.base import is_classifier

from segcate._inputs.arrays import Float, Int
from segcate._inputs.effect_data import EffectData
from segcate._inputs.features import takes_missing
from segcate._inputs.parameters import check_seed
from segcate._inputs.present_rows import present_rows
from segcate._inputs.routing import refuse_positional
from segcate._inputs.vectors import is_zero_one
from segcate._nuisance.cross_fit import check_models
from segcate._nuisance.nuisances import NuisanceModels, warn_of_clipped
from segcate._statistics.intervals import Law
from segcate.cate._centring import centre
from segcate.cate._estimator import CATEEstimator
from segcate.cate._forest.honest_forest import grow_forest, read_forest, read_left_out
from segcate.cate._forest.parameters import check_forest_parameters, forest_shape
from segcate.cate._forest.pilot import ask_for_trend, grow_pilot
from segcate.cate._forest.rows import CentredRows
from segcate.cate._forest.shrinkage import fit_shrinkage
from segcate.cate._forest.trend import fit_trend_columns
from segcate.cate._treatment_kind import treatment_kind_of
from segcate.exceptions import SegcateWarning

# A tree draws half of the units at most, and needs one for each of its honest halves.
_FEWEST_UNITS = 4
# A smaller share of the treatment's variance than this is rounding after centring.
_LEAST_LEFT = 1e-12


class CausalForest(CATEEstimator):
    """Estimate individual effects by honest trees on centred outcomes and treatments.

    Use it when effects may bend, jump and interact in X, from about a thousand rows on, in
    experiments and on observational data whose confounders all stand in X. Below that, or where the
    effect is close to a line, `InteractionRegression` is sharper.

    Parameters
    ----------
    n_estimators : int, default=500
        Number of trees, a multiple of `bag_size`. For the effect 200 will do; intervals narrow a
        little as it grows.
    outcome_model : regressor, or classifier for y in {0, 1}, default=None
        Model of y given X, whatever the treatment. None: an average of lines, curves and boosted
        trees, see `effect_scores`.
    propensity_model : classifier with `predict_proba`, default=None
        Model of the treatment given X; a regressor for doses. None: as above.
    treatment_kind : {"auto", "binary", "continuous"}, default="auto"
        "auto": values 0 and 1 are binary, fractions are doses; other whole numbers need a word.
    min_samples_leaf : int, default=3
        Fewest rows in a leaf, of those that choose splits and of those that fill leaves alike.
        Smaller: less bias and wider intervals. A search may choose it; the more the effect varies,
        the smaller.
    max_depth : int, default=None
        Largest depth of a tree; None: no limit.
    max_features : int, float, "sqrt", "log2" or None, default=None
        Columns tried at each split, a count or a share of them; None: all.
    subsample : float in (0, 0.5], default=0.5
        Share of the rows that a tree sees.
    honest : bool, default=True
        Whether a tree chooses its splits on one half of its rows and fills its leaves from the
        other. Without it intervals are not valid.
    bag_size : int, default=10
        Trees grown on one half-sample, at least 2. Intervals compare these bags of trees.
    min_balance : float in [0, 0.5), default=0.1
        Smallest share of a node's weight, and of its treatment variation, on either side of a
        split. For a column of two values, such as a level of a category, a tenth of it: such a
        column has one border only, so that noise cannot choose one near the edge.
    trend : {"auto", "linear"} or None, default="auto"
        Line of the effect that is subtracted before the trees grow and added to their prediction.
        "auto": the slopes that leaves cannot follow; "linear": the whole line, sharper where the
        effect is close to a line, worse where it jumps; None: no line.
    shrink : bool, default=True
        Whether effects are shrunk to their average, by a share fitted to rows that the trees did not
        see. It matters where the effect hardly varies, and changes other forests little.
    cv : int, default=5
        Folds of cross-fitting, at least 2.
    clip : float, default=0.01
        Modelled chances of treatment are kept inside [clip, 1 - clip]; in [0, 0.5).
    random_state : int, RandomState instance or None, default=None
        Seed of folds, default models and trees.
    n_jobs : int, default=None
        Models fitted, and trees grown or read, at a time. The answer does not depend on it.

    Attributes
    ----------
    feature_importances_ : float64 array of shape (n_features,), >= 0, summing to 1
        Heterogeneity that splits on the column explain, in the first four levels of the trees, less
        the deeper; of a category the sum over its levels. All 0 if no tree was split. With a
        `trend` those of a pilot of 100 trees, grown before the line was taken out.
    treatment_kind_ : {"binary", "continuous"}
    late_columns_ : dict of str
        For each column of X that tells the outcome or the treatment, what was found.
    covariates_ : DataFrame, one row a column of X: kind, treatment, note, share_missing
    n_features_in_, feature_names_in_ : as in scikit-learn

    See Also
    --------
    InteractionRegression : The effect as a line in X.
    segcate.metrics.effect_scores : The default models of outcome and treatment.

    Notes
    -----
    Outcome and treatment are centred first, y~ = y - E[y|X] and t~ = t - E[t|X], by models that saw
    neither the row nor its fold. Without hidden confounders the residuals move together through the
    effect alone, so centring adjusts for confounding. A tree then splits its rows where the effect differs most between
    children, judged by the row's influence on the effect in the node (equation 8),

        rho = (t~ - mean t~) (y~ - mean y~ - (t~ - mean t~) theta) / mean (t~ - mean t~)^2.

    The children's sums of rho are squared and divided by their treatment variation, sum
    (t~ - mean t~)^2, where the paper divides by their rows: the same in an experiment, and where
    propensities vary it favours splits whose sides both tell their effect. The prediction is the
    slope of y~ on t~, with intercept, under the weights alpha_i(x): how often row i shares a leaf
    with x, averaged over trees (equations 2 and 3). For doses that is the local slope, units of y
    per unit of dose.

    Leaves flatten a slope. With trend="auto" a pilot of 100 trees is grown first; S denotes its
    prediction, for an outcome, at rows that its trees did not see. A ridge regression of the residual
    outcome on the residual standardised columns z_j,

        y~ - t~ S(y~)   on   t~ (z_j - S(t~ z_j)),

    with the penalty of least generalised cross-validation error, finds the slopes b that leaves do
    not follow (Robinson's regression, with a forest): near 0 for a step, most of the line for a
    smooth effect. trend="linear" puts the best constant in place of S: the R-learner's line. Each
    bag fits b on its own half-sample, grows its trees on y~ - t~ b'z, and adds b'z at x, so that the
    variance between bags includes the line's. Gaps are filled with medians and marked.

    With `shrink` the effect is A + w (tau(x) - A), A being the R-learner's constant. The regression of
    y~ - t~ A on t~ (tau_out - A), where tau_out comes from the bags that did not draw the row, has the
    slope s, and w is s plus its standard error, inside [0, 1]; the variance is w times
    the forest's plus (1 - w)^2 times that of A (empirical Bayes, Morris 1983).

    The variance comes from comparing bags of trees grown on the same half-sample (section 4.1): the
    variance between bags, less the part that chance inside the bags adds. That difference can be
    negative; it is replaced by its posterior mean under a flat prior on positive values, which is too
    wide rather than too narrow when trees are few. Intervals do not count bias: where effects change
    faster than leaves can follow, above all at the edges of X, they cover less than they say.

    Rows with a missing value go to the side of a split that is better for them. Strings and
    categories become 0/1 columns, with the first level as reference. Every column of X is a
    covariate, a segment column too.

    `groups` are drawn, and split into honest halves, as a whole. Weights enter centring, splits and
    leaves; rows are drawn whatever their weight, so that a weight of 2 is the same estimate as the
    row written twice only where the draws are the same. Likewise the order of the rows matters
    through the random draws alone. Values are cut into at most 255 quantile bins.

    References
    ----------
    Wager, S., & Athey, S. (2018). Estimation and inference of heterogeneous treatment effects using
    random forests. JASA, 113(523), 1228-1242. doi:10.1080/01621459.2017.1319839
    Sexton, J., & Laake, P. (2009). Standard errors for bagged and random forest estimators.
    Computational Statistics & Data Analysis, 53(3), 801-811. doi:10.1016/j.csda.2008.08.007
    Robinson, P. M. (1988). Root-N-consistent semiparametric regression. Econometrica, 56(4), 931-954.
    Morris, C. N. (1983). Parametric empirical Bayes inference: theory and applications. JASA,
    78(381), 47-55. doi:10.1080/01621459.1983.10477920
    Nie, X., & Wager, S. (2021). Quasi-oracle estimation of heterogeneous treatment effects.
    Biometrika, 108(2), 299-319. doi:10.1093/biomet/asaa076

    Examples
    --------
    >>> from sklearn.linear_model import LinearRegression, LogisticRegression
    >>> from segcate.cate import CausalForest
    >>> from segcate.datasets import make_uplift
    >>> data = make_uplift(2000, effect_shape="step", random_state=0)
    >>> forest = CausalForest(100, outcome_model=LinearRegression(),
    ...                       propensity_model=LogisticRegression(), random_state=0)
    >>> forest = forest.fit(data.X, data.y, treatment=data.treatment)
    >>> print(data.effect[:4].to_numpy().round(1), forest.predict(data.X[:4]).round(1))
    [1.7 1.  1.7 1. ] [1.9 1.  1.6 0.7]
    >>> forest.predict_interval(data.X[:1]).round(1)
    array([[1.4, 2.5]])
    >>> forest.feature_importances_.round(1)
    array([0.5, 0. , 0.3, 0. , 0. , 0. ])
    """

    def __init__(
        self,
        n_estimators: int = 500,
        *,
        outcome_model: Any = None,
        propensity_model: Any = None,
        treatment_kind: str = "auto",
        min_samples_leaf: int = 3,
        max_depth: int | None = None,
        max_features: int | float | str | None = None,
        subsample: float = 0.5,
        honest: bool = True,
        bag_size: int = 10,
        min_balance: float = 0.1,
        trend: str | None = "auto",
        shrink: bool = True,
        cv: int = 5,
        clip: float = 0.01,
        random_state: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.n_estimators = n_estimators
        self.outcome_model = outcome_model
        self.propensity_model = propensity_model
        self.treatment_kind = treatment_kind
        self.min_samples_leaf = min_samples_leaf
        self.max_depth = max_depth
        self.max_features = max_features
        self.subsample = subsample
        self.honest = honest
        self.bag_size = bag_size
        self.min_balance = min_balance
        self.trend = trend
        self.shrink = shrink
        self.cv = cv
        self.clip = clip
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
    ) -> CausalForest:
        """Centre outcome and treatment, and grow the trees on the residuals.

        Parameters
        ----------
        X : frame or array-like of shape (n_samples, n_features)
            Covariates, all of them; a segment column counts as one. NaN is allowed where the models
            of outcome and treatment take it, as the default ones do.
        y : array-like of shape (n_samples,)
            Outcome, 0/1 or measured.
        *more
            Nothing. Arguments after y go by name, as `treatment=`; others are refused.
        treatment : array-like of shape (n_samples,)
            0/1 or bool, or doses.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, at least 0. Equal weights are none; whole numbers from 1 are counts of rows; of
            all others only ratios count; a row of weight 0 is not there.
        groups : array-like of shape (n_samples,), default=None
            Clusters of dependent rows: they go to folds, subsamples and honest halves as a whole,
            and intervals let their rows depend on each other.
        propensity : array-like of shape (n_samples,), inside (0, 1), default=None
            Chance of treatment of each row, known or modelled elsewhere on other rows. Used as it
            is, never clipped. Not for doses.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If an input or parameter is missing, misaligned or out of range, or if there are more
            than two arms.
        TypeError
            If a model is not an estimator of the kind needed.
        OverlapError
            If a column of X decides a 0/1 treatment and no `propensity` says otherwise, or if, with
            `clip=0`, a modelled chance of treatment is exactly 0 or 1.

        Warns
        -----
        SegcateWarning
            If modelled chances of treatment were clipped, or X has columns that were probably
            measured after the treatment.
        """
        owner = type(self).__name__
        refuse_positional(owner, more)
        check_forest_parameters(owner, self)
        kind = treatment_kind_of(owner, self.treatment_kind, treatment)
        data = self._check_rows(
            X, y, kind, treatment=treatment, sample_weight=sample_weight, groups=groups,
            propensity=propensity,
        )  # fmt: skip
        data = present_rows(data)
        weight = data.sample_weight
        self._check_design(owner, data, kind)
        _refuse_explained_away(owner, data.treatment, data.treatment, weight)
        unit = np.arange(data.n_rows) if data.groups is None else data.groups
        _check_units(owner, unit, data)
        rng = check_seed(owner, self.random_state)
        models = NuisanceModels(
            outcome=self.outcome_model,
            treatment=self.propensity_model,
            cv=self.cv,
            clip=self.clip,
            random_state=int(rng.randint(2**31 - 1)),
            n_jobs=self.n_jobs,
        )
        centred, nuisances = centre(
            owner, data.X, data.y, data.treatment, models,
            weight=weight, groups=data.groups, propensity=data.propensity,
        )  # fmt: skip
        warn_of_clipped(owner, nuisances.clipped, data.n_rows, self.clip, stacklevel=2)
        t = centred.treatment[:, 0]
        values = self._encode_rows(data.X)
        _refuse_explained_away(owner, t, data.treatment, weight)
        full_weight = np.ones(data.n_rows) if weight is None else weight
        rows = CentredRows(values, t, centred.outcome, full_weight, unit)
        importance = self._grow(owner, rows, rng)
        self.treatment_kind_ = "continuous" if kind == "continuous" else "binary"
        found = np.bincount(self._encoding.source, weights=importance, minlength=data.X.shape[1])
        self.feature_importances_ = found / found.sum() if found.sum() > 0 else found
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
            For doses units of y per unit of dose.

        Raises
        ------
        ValueError
            If X holds a category that `fit` did not see.

        Warns
        -----
        SegcateWarning
            If the effect of some rows is NaN, because all rows like them had the same treatment.

        Notes
        -----
        Rows of the fit are predicted with trees that saw them.
        """
        return self._estimate(X, with_variance=False)[0]

    def predict_interval(self, X: Any, *, confidence_level: float = 0.95) -> Float:
        """Return a confidence interval of the effect on each row.

        Parameters
        ----------
        X : frame or array-like of shape (n_samples, n_features)
            With the columns of `fit`.
        confidence_level : float in (0, 1), default=0.95

        Returns
        -------
        interval : float64 array of shape (n_samples, 2), low and high, in units of y
            Pointwise, around `predict(X)`. It does not count the forest's bias, see Notes of the
            class.
        """
        level = self._level(confidence_level)
        effect, variance = self._estimate(X, with_variance=True)
        return np.column_stack(Law(np.inf).interval(effect, np.sqrt(variance), level))

    def _takes_missing(self) -> bool:
        models = (self.outcome_model, self.propensity_model)
        return all(model is None or takes_missing(model) for model in models)

    def _grow(self, owner: str, rows: CentredRows, rng: np.random.RandomState) -> Float:
        """Fit the line, grow the trees and fit the shrinkage; return the importance of columns.

        Trees do not split on what a line has subtracted, so importance is that of the pilot.
        """
        shape = forest_shape(owner, self, rows.X.shape[1])
        seed, pilot_seed = (int(rng.randint(2**31 - 1)) for _ in range(2))
        how: dict[str, Any] = {"n_jobs": self.n_jobs}
        self._trend, trend, columns, importance = None, None, None, None
        if self.trend is not None:
            pilot, small = grow_pilot(rows, shape, seed=pilot_seed, **how)
            self._trend = fit_trend_columns(rows.X, rows.weight)
            columns = self._trend.of(rows.X)
            trend = ask_for_trend(self.trend, rows, columns, pilot, small, pilot_seed)
            importance = pilot.importance
        self._forest = grow_forest(rows, shape, seed=seed, trend=trend, **how)
        self._shrinkage = None
        if self.shrink:
            left_out = read_left_out(self._forest, rows, seed=seed, columns=columns, **how)
            self._shrinkage = fit_shrinkage(rows, left_out)
        return self._forest.importance if importance is None else importance

    def _estimate(self, X: Any, *, with_variance: bool) -> tuple[Float, Float]:
        """Return the effect on each row and the variance of its estimate (NaN unless wanted)."""
        _, values = self._read(X)
        effect, variance = read_forest(
            self._forest,
            values,
            with_variance=with_variance,
            n_jobs=self.n_jobs,
            columns=None if self._trend is None else self._trend.of(values),
        )
        if self._shrinkage is not None:
            effect, variance = self._shrinkage.apply(effect, variance)
        n_unknown = int(np.isnan(effect).sum())
        if n_unknown:
            warnings.warn(
                f"{type(self).__name__}: the effect of {n_unknown} of {len(effect)} rows is NaN: all rows of the "
                "fit in their leaves had the same treatment. Leave such rows out, or raise "
                "`min_samples_leaf`.",
                SegcateWarning,
                stacklevel=3,
            )
        return effect, variance

    def _check_design(self, owner: str, data: EffectData, kind: str) -> None:
        """Refuse more than two arms, and arguments that contradict each other."""
        if kind == "arms" and data.treatment.max() > 1:
            raise ValueError(
                f"{owner}: `treatment` has {data.treatment.max() + 1} arms; a forest compares two, "
                "or takes doses. Fit one forest for each arm k on the rows of that arm and the "
                "control, `treatment == k` in place of the codes; use InteractionRegression, which "
                "takes several arms; or, if these are doses, say treatment_kind='continuous'."
            )
        if data.propensity is not None and kind == "continuous":
            raise ValueError(
                f"{owner}: `propensity` is the chance of a 0/1 treatment, and these are doses. Leave "
                "it out; the expected dose is modelled by `propensity_model`, a regressor."
            )
        if data.propensity is not None and self.propensity_model is not None:
            raise ValueError(f"{owner}: pass either `propensity_model` or `propensity`, not both.")
        y_is_binary = is_zero_one(data.y)
        is_dose = kind == "continuous"
        check_models(
            owner, self.outcome_model, None if is_dose else self.propensity_model, y_is_binary
        )
        if is_dose and self.propensity_model is not None:
            model = self.propensity_model
            if isinstance(model, type) or not hasattr(model, "fit") or is_classifier(model):
                raise TypeError(
                    f"{owner}: with doses `propensity_model` must be a regressor (an instance), the "
                    f"model of the expected dose; got {model!r}."
                )


def _check_units(owner: str, unit: Int, data: EffectData) -> None:
    n_units = int(unit.max()) + 1
    if n_units >= _FEWEST_UNITS:
        return
    if data.groups is not None:
        raise ValueError(
            f"{owner}: `groups` holds {n_units} groups with rows of positive weight; trees are grown "
            f"on halves of half of them, so at least {_FEWEST_UNITS} are needed, and intervals "
            "want 50 or more. Pass a finer grouping."
        )
    raise ValueError(
        f"{owner}: X has n_samples={n_units} rows of positive weight; trees are grown on halves of "
        f"half of them, so at least {_FEWEST_UNITS} are needed."
    )


def _refuse_explained_away(owner: str, t: Float, treatment: Any, weight: Float | None) -> None:
    """Raise if the centred treatment does not vary."""
    left, before = (
        float(np.average((v - np.average(v, weights=weight)) ** 2, weights=weight))
        for v in (t, treatment)
    )
    if not left > _LEAST_LEFT * before:
        raise ValueError(
            f"{owner}: `treatment` less its expectation given X is the same in all {len(t)} rows of "
            "positive weight, so no effect can be told: X, or the weights, leave nothing to compare. "
            "Drop the columns that fix the treatment, or weigh rows of both arms."
        )

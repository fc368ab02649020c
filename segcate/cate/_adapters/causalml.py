"""CausalMLEstimator: a learner or tree of causalml as an effect estimator."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Literal

import numpy as np
from sklearn.base import clone
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from segcate._inputs.arrays import Float
from segcate._inputs.effect_data import EffectData
from segcate._inputs.features import takes_missing
from segcate._inputs.listing import listed
from segcate._inputs.parameters import check_seed
from segcate._inputs.routing import refuse_positional
from segcate._inputs.vectors import is_zero_one
from segcate._nuisance.cross_fit import check_models
from segcate._nuisance.nuisances import (
    NuisanceModels,
    check_cross_fitting,
    fit_nuisances,
    warn_of_clipped,
)
from segcate.cate._adapters.wrapping import WrappingEstimator, learners_take_missing, library_of
from segcate.cate._estimator import treated_arms


@dataclass(frozen=True, slots=True)
class _Family:
    """The inputs that a kind of causalml model uses.

    Attributes
    ----------
    propensity : where the chance of treatment goes: nowhere, into fit or predict as `p`, into fit
        as weights 1 / P(own arm)
    takes_weight : whether fit uses `sample_weight`
    deals_rows : whether fit deals rows to folds of its own, without regard to groups
    """

    propensity: Literal["nowhere", "fit", "predict", "weights"] = "nowhere"
    takes_weight: bool = False
    deals_rows: bool = False


_TREE = _Family("weights", takes_weight=True)
_FAMILIES = {
    "BaseSLearner": _Family(),
    "BaseTLearner": _Family(),
    "BaseXLearner": _Family("predict"),
    "BaseRLearner": _Family("fit", takes_weight=True, deals_rows=True),
    "BaseDRLearner": _Family("fit", deals_rows=True),
    "CausalTreeRegressor": _TREE,
    "CausalRandomForestRegressor": _TREE,
    "UpliftTreeClassifier": _Family(),
    "UpliftRandomForestClassifier": _Family(),
}
_UPLIFT_TREES = ("UpliftTreeClassifier", "UpliftRandomForestClassifier")
_SUPPORTED = (
    "its S-, T-, X-, R- and DR-learners (BaseTRegressor(...)), CausalTreeRegressor, "
    "CausalRandomForestRegressor, UpliftTreeClassifier or UpliftRandomForestClassifier"
)


class CausalMLEstimator(WrappingEstimator):
    """Wrap a learner or tree of causalml as an effect estimator.

    Use it to put causalml's models into a Pipeline or a search beside others. It calls them by
    keyword and hands in the propensity where they use one. Without it they calibrate a propensity
    on the rows it was fitted on, down to 0.001, and R- and DR-learners divide by it. `model` itself
    is never changed.

    Parameters
    ----------
    model : object of causalml, not fitted
        An S-, T-, X-, R- or DR-learner, a causal tree or forest, an uplift tree or forest, with
        ``control_name=0``. Its parameters are reached as ``model__...``:
        ``model__learner__max_depth``.
    propensity_model : classifier with `predict_proba`, default=None
        Model of the treatment: cross-fitted for R- and DR-learners and causal trees (None: lines,
        curves and boosted trees, averaged, see `segcate.metrics.effect_scores`), fitted once on all
        rows for an X-learner (None: logistic regression).
    cv : int, default=5
        Folds for the propensity, at least 2.
    clip : float, default=0.01
        Modelled chances of an arm are kept inside [clip, 1 - clip], with a warning that counts the
        rows; in [0, 0.5).
    random_state : int, RandomState instance or None, default=None
        Seed of the propensity, of each `random_state` inside `model` that is None, and of a
        DR-learner's folds (an int goes there as it is).
    n_jobs : int, default=None
        Propensity models fitted at a time. The effects do not depend on it.

    Attributes
    ----------
    model_ : object of causalml
        The fitted copy of `model`.
    arms_ : int64 array of shape (n_arms - 1,)
        Codes of the arms but the control.
    propensity_ : float64 array of shape (n_samples, n_arms) or None
        Chance of each arm that the model was given; None where it uses none in fit.
    propensity_model_ : classifier or None
        Of an X-learner: the model of the treatment that weighs its two estimates in `predict`.
    late_columns_ : dict of str
        For each column of X that tells the outcome or the treatment, what was found.
    covariates_ : DataFrame, one row a column of X: kind, treatment, note, share_missing
    n_features_in_, feature_names_in_ : as in scikit-learn

    See Also
    --------
    EconMLEstimator : The same for EconML.
    CausalForest : A forest that adjusts for confounding and has intervals.

    Notes
    -----
    How each kind uses the propensity e(x): an R- or DR-learner gets it as `p` in fit, with several
    arms as the chance of the arm among it and the control; an X-learner as `p` in predict, from
    `propensity_model` (default: logistic regression) fitted on all rows; a causal tree or forest,
    which compares raw means, as weights 1 / P(own arm) (keep its leaves large: large weights in
    small leaves, and in any of causalml 0.17, give wild effects); S- and T-learners use none. Uplift
    trees and forests compare raw shares too, but causalml 0.18 uses weights wrongly there (effects
    beyond [-1, 1], changed by the unit of the weights). So they are for randomised experiments
    only, take no weights, and need y in {0, 1} and causalml 0.18 or later.

    Every column of X is a covariate; text and categories become 0/1 columns. causalml's own
    cross-fitting (R, DR) deals rows, not groups, to folds; those refuse `groups`.

    References
    ----------
    Künzel, Sekhon, Bickel & Yu (2019), PNAS 116:4156-4165. Nie & Wager (2021), Biometrika
    108:299-319. Kennedy (2023), Electronic Journal of Statistics 17:3008-3049.

    Examples
    --------
    >>> from causalml.inference.meta import BaseTRegressor  # doctest: +SKIP
    >>> from sklearn.linear_model import Ridge
    >>> from segcate.cate import CausalMLEstimator
    >>> from segcate.datasets import make_uplift
    >>> data = make_uplift(500, random_state=0)
    >>> model = CausalMLEstimator(BaseTRegressor(Ridge()))  # doctest: +SKIP
    >>> model.set_params(model__learner__alpha=10.0)  # doctest: +SKIP
    CausalMLEstimator(model=BaseTRegressor(learner=Ridge(alpha=10.0)))
    >>> effect = model.fit(data.X, data.y, treatment=data.treatment).predict(data.X)  # doctest: +SKIP
    >>> effect.shape  # doctest: +SKIP
    (500,)
    """

    def __init__(
        self,
        model: Any,
        *,
        propensity_model: Any = None,
        cv: int = 5,
        clip: float = 0.01,
        random_state: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.model = model
        self.propensity_model = propensity_model
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
    ) -> CausalMLEstimator:
        """Fit a copy of the model.

        Parameters
        ----------
        X : frame or array-like of shape (n_samples, n_features)
            Covariates; every column counts.
        y : array-like of shape (n_samples,)
            Outcome; 0/1 for a classifier or uplift tree.
        *more
            Nothing. Arguments after y go by name, as `treatment=`; others are refused.
        treatment : array-like of shape (n_samples,)
            Codes of arms 0, 1, ..., 0 the control.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, at least 0, for R-learners (their effect model) and causal trees; an error for
            the others, which cannot weigh rows. Equal weights are none; whole numbers from 1 are
            counts of rows; of all others only ratios count; a row of weight 0 is not there.
        groups : array-like of shape (n_samples,), default=None
            Clusters of dependent rows, kept whole in the folds of the propensity. An error for R-
            and DR-learners, whose own folds would break them up; unused by S-, T- and X-learners,
            which are given no cross-fitted propensity.
        propensity : array-like of shape (n_samples,), inside (0, 1), default=None
            Known or cross-fitted chance of treatment; none is fitted then (an X-learner still fits
            one, for rows to come). Two arms only. Unused by S- and T-learners; uplift trees take
            only one that is the same for all.

        Returns
        -------
        self

        Raises
        ------
        TypeError
            If `model` is not one of the kinds above, or a class.
        ImportError
            If causalml is not installed.
        ValueError
            If an input is missing, misaligned or out of range; if `model` was fitted before, or
            cannot take what was passed.
        OverlapError
            If a column of X decides a 0/1 treatment, or an arm against the control, and no
            `propensity` says otherwise.

        Warns
        -----
        SegcateWarning
            If modelled chances of treatment were clipped, or X has columns that were probably
            measured after the treatment.
        """
        owner = type(self).__name__
        refuse_positional(owner, more)
        family = _family_of(owner, self.model)
        _refuse_used(owner, self.model)
        check_cross_fitting(owner, self.cv, self.clip)
        check_models(owner, None, self.propensity_model, is_binary=False)
        data = self._check_rows(
            X, y, "arms", treatment=treatment, sample_weight=sample_weight, groups=groups,
            propensity=propensity,
        )  # fmt: skip
        _refuse_unused(owner, self.model, family, data)
        values = self._encode_rows(data.X)
        rng = check_seed(owner, self.random_state)
        seed = int(rng.randint(np.iinfo(np.int32).max))
        self.arms_ = treated_arms(data.treatment)
        self.propensity_model_ = self._model_of_arms(family, data, values)
        chances = self._chances(owner, family, data, values, seed)
        model = self._fresh_model(None if self.random_state is None else rng)
        _fit_model(owner, model, family, data, values, chances, _fold_seed(self.random_state, rng))
        self.propensity_ = chances
        self.model_ = model
        return self

    def predict(self, X: Any) -> Float:
        """Return the effect of each arm against the control, for each row.

        Parameters
        ----------
        X : frame or array-like of shape (n_samples, n_features)
            With the columns of `fit`.

        Returns
        -------
        effect : float64 array of shape (n_samples,), or (n_samples, n_arms - 1)
            In units of y; with more than two arms one column an arm, in the order of `arms_`.
        """
        X, values = self._read(X)
        keywords = {}
        if self.propensity_model_ is not None:
            keywords["p"] = _among_two(self._modelled_chances(X, values))
        effect = np.asarray(self.model_.predict(X=values, **keywords), dtype=np.float64)
        effect = effect.reshape(len(values), -1)
        if effect.shape[1] > len(self.arms_):  # an uplift tree gives the mean of each arm
            effect = effect[:, 1:] - effect[:, [0]]
        return self._by_arm(effect)

    def _modelled_chances(self, X: Any, values: Float) -> Float:
        """Predict the chance of each arm for an X-learner, inside (0, 1) however `clip` is set."""
        given = values if self.propensity_model is None else X
        chances = np.asarray(self.propensity_model_.predict_proba(given), dtype=np.float64)
        return np.clip(chances, max(float(self.clip), 1e-6), 1.0)

    def _chances(
        self, owner: str, family: _Family, data: EffectData, values: Float, seed: int
    ) -> Float | None:
        """Return the probability of each arm that fit gets: as handed in, else cross-fitted.

        An X-learner does not use it in fit, but would fit one of its own without it. It gets the one
        that weighs its predictions.
        """
        if family.propensity == "nowhere":
            return None
        if data.propensity is not None:
            return np.column_stack([1.0 - data.propensity, data.propensity])
        if family.propensity == "predict":
            return self._modelled_chances(data.X, values)
        found = fit_nuisances(
            owner,
            data.X,
            np.asarray(data.y),
            data.treatment,
            {"propensity"},
            NuisanceModels(None, self.propensity_model, self.cv, self.clip, seed, self.n_jobs),
            weight=data.sample_weight,
            groups=data.groups,
        )
        warn_of_clipped(owner, found.clipped, data.n_rows, self.clip)
        return found.propensity

    def _model_of_arms(self, family: _Family, data: EffectData, values: Float) -> Any:
        """Fit the model of the treatment by which an X-learner predicts; None for other kinds."""
        if family.propensity != "predict":
            return None
        if self.propensity_model is not None:
            return clone(self.propensity_model).fit(data.X, data.treatment)
        fill = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
        logit = make_pipeline(fill, StandardScaler(), LogisticRegression(max_iter=1000))
        return logit.fit(values, data.treatment)

    def _takes_missing(self) -> bool:
        """Tell whether the model, and a propensity model that was handed in, accept NaN."""
        is_able = takes_missing(self.model) or learners_take_missing(self.model)
        return is_able and (self.propensity_model is None or takes_missing(self.propensity_model))


def _family_of(owner: str, model: Any) -> _Family:
    """Find the kind of a causalml model by the names of its classes, without importing causalml."""
    if isinstance(model, type):
        raise TypeError(
            f"{owner}: `model` must be an instance; got the class {model.__name__}. Make one: "
            f"{owner}({model.__name__}(...))."
        )
    for cls in type(model).__mro__:
        if cls.__module__.startswith("causalml.") and cls.__name__ in _FAMILIES:
            return _FAMILIES[cls.__name__]
    if "causalml" not in library_of(model) and importlib.util.find_spec("causalml") is None:
        raise ImportError(
            f"{owner}: `model` must be an object of causalml, which is not installed here; got {model!r}. It comes "
            "with segcate for Python below 3.13 (`pip install 'causalml>=0.17'`) and has no wheels for later ones: "
            "use CausalForest, InteractionRegression or EconMLEstimator there."
        )
    raise TypeError(
        f"{owner}: `model` must be an object of causalml: {_SUPPORTED}; got {model!r}. For EconML's models use "
        "EconMLEstimator."
    )


def _refuse_used(owner: str, model: Any) -> None:
    """Refuse a model that was fitted, or whose control is another arm than 0."""
    name = type(model).__name__
    if name in _UPLIFT_TREES and version("causalml").startswith("0.17"):
        raise ValueError(
            f"{owner}: {name} of causalml {version('causalml')} wants arms named by strings and cannot be copied "
            "unfitted. Install causalml 0.18 or later, or use a T-learner."
        )
    if hasattr(model, "t_groups") or any(
        attribute.endswith("_") and not attribute.startswith("_") for attribute in vars(model)
    ):
        raise ValueError(
            f"{owner}: `model`, {name}, was fitted before. Its fit would be thrown away: pass a "
            "fresh one with the same parameters."
        )
    if getattr(model, "control_name", 0) != 0:
        raise ValueError(
            f"{owner}: `model` has control_name={model.control_name!r}, but the control is always coded 0 here. Set "
            "control_name=0, and code the arms with segcate.encode_treatment(labels, control=...)."
        )


def _refuse_unused(owner: str, model: Any, family: _Family, data: EffectData) -> None:
    """Refuse arguments that this kind of model would ignore."""
    name = type(model).__name__
    names = {cls.__name__ for cls in type(model).__mro__}
    is_uplift = bool(names & set(_UPLIFT_TREES))
    y = np.asarray(data.y)
    is_classifier = is_uplift or any(
        n.startswith("Base") and n.endswith("Classifier") for n in names
    )
    if is_classifier and not is_zero_one(y):
        raise ValueError(
            f"{owner}: {name} wants y in {{0, 1}}; found {{{listed(np.unique(y))}}}. Recode y, or use a "
            "regressor."
        )
    if data.sample_weight is not None and not family.takes_weight:
        raise ValueError(
            f"{owner}: `sample_weight` was given, but {name} cannot weigh rows. Leave the weights out, or use an "
            "R-learner, CausalRandomForestRegressor or CausalForest."
        )
    if data.groups is not None and family.deals_rows:
        raise ValueError(
            f"{owner}: `groups` were given, but {name} deals rows to its own folds and would break groups up. Leave "
            "them out, or use an X-learner, CausalForest or, with EconMLEstimator, LinearDML."
        )
    if data.propensity is not None and data.treatment.max() > 1:
        raise ValueError(
            f"{owner}: `propensity` is one chance a row, and there are {int(data.treatment.max()) + 1} arms. Leave "
            "it out: the chance of each arm is cross-fitted then, by `propensity_model`."
        )
    if is_uplift and data.propensity is not None and np.ptp(data.propensity) > 0:
        raise ValueError(
            f"{owner}: `propensity` differs between rows, and {name} compares raw shares: it is for experiments with "
            "one chance of treatment for all. Use CausalRandomForestRegressor, a DR-learner or CausalForest."
        )


def _fold_seed(random_state: Any, rng: np.random.RandomState) -> int | None:
    """Return the seed of a DR-learner's folds."""
    if random_state is None or isinstance(random_state, int | np.integer):
        return random_state if random_state is None else int(random_state)
    return int(rng.randint(np.iinfo(np.int32).max))


def _among_two(chances: Float) -> dict[int, Float]:
    """Return for each arm its probability given that the row is in this arm or the control."""
    pairs = chances[:, 1:] / (chances[:, 1:] + chances[:, :1])
    return {arm + 1: pairs[:, arm] for arm in range(pairs.shape[1])}


def _fit_model(
    owner: str,
    model: Any,
    family: _Family,
    data: EffectData,
    values: Float,
    chances: Float | None,
    seed: int | None,
) -> None:
    """Call the model's fit by keyword; an error says how many rows each arm had."""
    keywords: dict[str, Any] = {"X": values, "treatment": data.treatment, "y": data.y}
    weight = data.sample_weight
    if chances is not None and family.propensity == "weights":
        own = 1.0 / chances[np.arange(data.n_rows), data.treatment]
        weight = own if weight is None else own * weight
    elif chances is not None:
        keywords["p"] = _among_two(chances)
    if weight is not None:
        keywords["sample_weight"] = weight
    if any(cls.__name__ == "BaseDRLearner" for cls in type(model).__mro__):
        keywords["seed"] = seed
    try:
        model.fit(**keywords)
    except Exception as error:
        counts = np.bincount(data.treatment).tolist()
        why = (
            " Its own folds may have left one without an arm: use more rows."
            if family.deals_rows
            else ""
        )
        error.add_note(
            f"{owner}: raised inside {type(model).__name__} of causalml, which got {data.n_rows} rows, {counts} by "
            f"arm.{why}"
        )
        raise

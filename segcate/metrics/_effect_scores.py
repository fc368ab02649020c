"""Effect scores: cross-fitted doubly robust pseudo-outcomes, made once for all that is scored.

Robins, J. M., Rotnitzky, A., & Zhao, L. P. (1994); Chernozhukov, V., et al. (2018), Double/debiased
machine learning, The Econometrics Journal, 21(1), C1-C68.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from sklearn.utils import check_array, check_random_state

from segcate import _frames
from segcate._folds import deal_groups, deal_rows, treatment_strata
from segcate._validation import (
    Float,
    Int,
    check_groups,
    check_option,
    check_outcome,
    check_propensity,
    check_treatment,
    check_weights,
)
from segcate.exceptions import OverlapError, SegcateWarning
from segcate.metrics._checks import check_vector
from segcate.metrics._default_models import encoded_covariates
from segcate.metrics._nuisance import Fold, Target, check_models, cross_fit
from segcate.metrics._pseudo_outcomes import arm_centred_scores, doubly_robust_scores

__all__ = ["effect_scores"]

_OWNER = "effect_scores"


@dataclass(frozen=True, slots=True)
class _Data:
    """The checked rows, and the nuisances that came with them."""

    y: Float
    treatment: npt.NDArray[np.int8]
    weight: Float | None
    groups: Int | None
    propensity: Float | None
    mu0: Float | None
    mu1: Float | None

    @property
    def is_binary(self) -> bool:
        """Tell whether y holds 0 and 1 only."""
        return bool(np.isin(self.y, (0.0, 1.0)).all())


@dataclass(frozen=True, slots=True)
class _Fitting:
    """How nuisances are fitted."""

    outcome_model: Any
    propensity_model: Any
    cv: int
    seed: Any
    n_jobs: int | None


def effect_scores(
    X: Any,
    y: Any,
    *,
    treatment: Any,
    design: Literal["observational", "experiment"] = "observational",
    outcome_model: Any = None,
    propensity_model: Any = None,
    propensity: Any = None,
    mu0: Any = None,
    mu1: Any = None,
    cv: int = 5,
    clip: float = 0.01,
    groups: Any = None,
    sample_weight: Any = None,
    random_state: Any = None,
    n_jobs: int | None = None,
) -> Float:
    """Make the effect score of each row: an unbiased, noisy stand-in for its effect.

    No row shows its own effect, so predicted effects are scored on these. Make them once, and hand
    the same ones to everything that is compared, as `pseudo_outcome=`.

    Parameters
    ----------
    X : array-like or DataFrame of shape (n_samples, n_features)
        Everything that moves both treatment and outcome. Every column is a covariate. None where no
        model is fitted: in an experiment without `outcome_model`, or with all nuisances handed in.
    y : array-like of shape (n_samples,)
        Outcome, 0/1 or measured.
    treatment : array-like of shape (n_samples,), values in {0, 1}
        Arm of each row.
    design : {"observational", "experiment"}, default="observational"
        "observational": doubly robust scores; what is not handed in is modelled from X.
        "experiment": the chance of treatment is known, the same for all or `propensity`; outcomes
        are centred on the means of the arms, or on `outcome_model` where given (narrower).
    outcome_model : regressor, or classifier for y in {0, 1}, default=None
        Fitted in each arm. It gets the columns of X as they came. None: see Notes.
    propensity_model : classifier with `predict_proba`, default=None
        Model of the treatment, likewise. None: see Notes.
    propensity : array-like of shape (n_samples,), inside (0, 1), default=None
        Chance of treatment of each row, known or modelled elsewhere. Used as it is, never clipped.
    mu0, mu1 : array-like of shape (n_samples,), default=None
        Expected outcome of each row without and with treatment, modelled elsewhere (on other rows).
        Both or neither.
    cv : int, default=5
        Number of folds for cross-fitting, at least 2.
    clip : float, default=0.01
        Modelled chances of treatment are kept inside [clip, 1 - clip], with a warning that counts
        the rows. 0 clips nothing; in [0, 0.5).
    groups : array-like of shape (n_samples,), default=None
        Clusters of dependent rows: whole groups go to one fold.
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each row in the models and in the means of the arms, >= 0.
    random_state : int, RandomState instance or None, default=None
        Seed of the folds and of the default models. An int makes the scores reproducible.
    n_jobs : int, default=None
        Models fitted at a time. The scores do not depend on it.

    Returns
    -------
    float64 array of shape (n_samples,)
        Effect scores in units of y. Their mean estimates the average effect of all rows (ATE); a
        single one can be far outside the range of y.

    Raises
    ------
    ValueError
        If y, treatment or another array has NaN, the wrong length or another index than X; if one
        arm is empty or has fewer rows than folds; if X is needed and missing; if arguments
        contradict each other.
    TypeError
        If a model is not an estimator of the kind needed.
    OverlapError
        If, with `clip=0`, a modelled chance of treatment is exactly 0 or 1.

    Warns
    -----
    SegcateWarning
        If modelled chances of treatment were clipped.

    See Also
    --------
    qini_score, autoc_score : Score a ranking on these.
    segcate.model_selection.honest_effects : Search on one half of the rows, estimate on the other.

    Notes
    -----
    The score is mu1 - mu0 + t (y - mu1) / e - (1 - t) (y - mu0) / (1 - e), e the chance of
    treatment: right if either e or both mu are. Models are fitted on the other folds only. Folds
    are stratified by treatment (and by y if it is 0/1) and depend on the order of the rows.

    The default model averages four learners: lines (ridge regression, logistic for 0/1, penalty by
    generalised cross-validation); curves (the same on columns that also bend at five quantiles, and on products of
    pairs where columns are at most 30; fitted on at most 20,000 rows); histogram gradient boosting;
    and the plain mean. Their weights, not negative and summing to 1, are those that predict best
    out of fold (short-stacking). So small samples lean on the mean and the lines, large ones on the
    trees, without a setting. Strings and categories become 0/1 columns; a missing number is the
    median plus an indicator, and has its own branch in trees.

    Raw inverse-propensity scores are never made: adding a constant to y would change the ranking
    that wins. In an experiment stratified by blocks hand in the blocks' `propensity`.

    References
    ----------
    Robins, J. M., Rotnitzky, A., & Zhao, L. P. (1994). Estimation of regression coefficients when
    some regressors are not always observed. JASA, 89(427), 846-866.
    Chernozhukov, V., et al. (2018). Double/debiased machine learning. The Econometrics Journal,
    21(1), C1-C68. doi:10.1111/ectj.12097
    Ahrens, A., Hansen, C. B., Schaffer, M. E., & Wiemann, T. (2025). Model averaging and double
    machine learning. Journal of Applied Econometrics, 40(3), 249-269. doi:10.1002/jae.3103

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LinearRegression, LogisticRegression
    >>> from segcate.metrics import effect_scores
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(1000, 2))
    >>> treatment = rng.random(1000) < 1 / (1 + np.exp(-X[:, 0]))
    >>> y = 2 * X[:, 0] + (1 + X[:, 1]) * treatment + rng.normal(size=1000)
    >>> psi = effect_scores(X, y, treatment=treatment, outcome_model=LinearRegression(),
    ...                     propensity_model=LogisticRegression(), random_state=0)
    >>> print(round(y[treatment].mean() - y[~treatment].mean(), 1), round(psi.mean(), 1))
    2.8 0.9

    For a randomised experiment no model is needed.

    >>> effect_scores(None, [3, 1, 1, 1], treatment=[1, 0, 1, 0], design="experiment")
    array([ 3.,  1., -1.,  1.])
    """
    _check_arguments(design, outcome_model, propensity_model, propensity, mu0, mu1, cv, clip)
    data = _checked(X, y, treatment, propensity, mu0, mu1, groups, sample_weight)
    check_models(_OWNER, outcome_model, propensity_model, data.is_binary)
    if design == "experiment" and outcome_model is None and mu0 is None:
        return arm_centred_scores(data.y, data.treatment, data.weight, data.propensity)
    fitting = _Fitting(outcome_model, propensity_model, cv, random_state, n_jobs)
    chance, below, above = _nuisances(X, data, fitting, models_chance=design == "observational")
    if design == "observational" and propensity is None:
        chance = _clipped(chance, clip)
    return doubly_robust_scores(data.y, data.treatment, chance, below, above)


def _check_arguments(
    design: Any,
    outcome_model: Any,
    propensity_model: Any,
    propensity: Any,
    mu0: Any,
    mu1: Any,
    cv: Any,
    clip: Any,
) -> None:
    """Refuse arguments that contradict each other, or are out of range."""
    check_option(_OWNER, "design", design, ["observational", "experiment"])
    if (mu0 is None) != (mu1 is None):
        given, other = ("mu0", "mu1") if mu1 is None else ("mu1", "mu0")
        raise ValueError(f"{_OWNER}: `{given}` was given without `{other}`. Pass both or neither.")
    if mu0 is not None and outcome_model is not None:
        raise ValueError(f"{_OWNER}: pass either `outcome_model` or `mu0` and `mu1`, not both.")
    if propensity is not None and propensity_model is not None:
        raise ValueError(f"{_OWNER}: pass either `propensity_model` or `propensity`, not both.")
    if design == "experiment" and propensity_model is not None:
        raise ValueError(
            f"{_OWNER}: `propensity_model` with design='experiment': there the chance of treatment "
            "is known. Hand it in as `propensity=`, or use design='observational'."
        )
    if isinstance(cv, bool) or not isinstance(cv, int | np.integer) or cv < 2:
        raise ValueError(f"{_OWNER}: `cv` must be a number of folds, at least 2; got {cv!r}.")
    is_number = isinstance(clip, int | float | np.number) and not isinstance(clip, bool)
    if not is_number or not 0 <= clip < 0.5:
        raise ValueError(f"{_OWNER}: `clip` must be a number in [0, 0.5); got {clip!r}.")


def _checked(
    X: Any,
    y: Any,
    treatment: Any,
    propensity: Any,
    mu0: Any,
    mu1: Any,
    groups: Any,
    sample_weight: Any,
) -> _Data:
    """Check every array against X, or against y where there is no X."""
    reference = y if X is None else X
    outcome = check_outcome(_OWNER, y, reference)
    arm = check_treatment(_OWNER, treatment, reference)
    weight = check_weights(_OWNER, sample_weight, reference)
    for code, word in ((1, "treated"), (0, "control")):
        in_arm = arm == code if weight is None else (arm == code) & (weight > 0)
        if not in_arm.any():
            raise ValueError(
                f"{_OWNER}: `treatment` has no {word} rows among {len(arm)}"
                f"{'' if weight is None else ' (rows of weight 0 left out)'}; effect scores need "
                "both arms."
            )
    return _Data(
        y=outcome,
        treatment=arm,
        weight=weight,
        groups=check_groups(_OWNER, groups, reference),
        propensity=check_propensity(_OWNER, propensity, reference),
        mu0=None if mu0 is None else check_vector(_OWNER, "mu0", mu0, reference),
        mu1=None if mu1 is None else check_vector(_OWNER, "mu1", mu1, reference),
    )


def _nuisances(
    X: Any, data: _Data, fitting: _Fitting, *, models_chance: bool
) -> tuple[Float, Float, Float]:
    """Return the chance of treatment and the expected outcome without and with it."""
    everyone = np.ones(len(data.y), dtype=bool)
    is_treated = data.treatment == 1
    targets = {}
    if models_chance and data.propensity is None:
        targets["chance"] = Target(
            "propensity_model",
            is_treated.astype(np.float64),
            everyone,
            is_binary=True,
            is_treatment=True,
            model=fitting.propensity_model,
        )
    if data.mu0 is None:
        for arm in (0, 1):
            rows = is_treated if arm else ~is_treated
            targets[f"mu{arm}"] = Target(
                "outcome_model",
                data.y,
                rows,
                is_binary=data.is_binary,
                is_treatment=False,
                model=fitting.outcome_model,
            )
    fitted = _fit(X, data, fitting, targets) if targets else {}
    share = np.average(is_treated, weights=data.weight)
    chance = data.propensity if data.propensity is not None else fitted.get("chance")
    return (
        np.full(len(data.y), share) if chance is None else chance,
        fitted["mu0"] if data.mu0 is None else data.mu0,
        fitted["mu1"] if data.mu1 is None else data.mu1,
    )


def _fit(X: Any, data: _Data, fitting: _Fitting, targets: dict[str, Target]) -> dict[str, Float]:
    """Cross-fit what is missing."""
    if X is None:
        raise ValueError(
            f"{_OWNER}: X is None, and models of the outcome or the treatment are fitted on it. "
            "Pass X; or hand in `propensity`, `mu0` and `mu1`; or, for a randomised experiment, "
            "say design='experiment'."
        )
    uses_default = any(target.model is None for target in targets.values())
    if not _frames.is_frame(X) and uses_default:
        X = check_array(X, dtype=np.float64, ensure_all_finite="allow-nan", input_name="X")
    rng = check_random_state(fitting.seed)
    columns = cross_fit(
        _OWNER,
        X,
        encoded_covariates(_OWNER, X) if uses_default else None,
        list(targets.values()),
        _folds(data, fitting.cv, rng),
        weight=data.weight,
        seed=int(rng.randint(2**31 - 1)),
        n_jobs=fitting.n_jobs,
    )
    return dict(zip(targets, columns, strict=True))


def _folds(data: _Data, cv: int, rng: np.random.RandomState) -> list[Fold]:
    """Stratify by treatment, and by a 0/1 outcome; keep groups whole."""
    y = data.y if data.is_binary else None
    strata = treatment_strata(_OWNER, data.treatment, y, n_outcome_bins=2, min_rows=cv)
    if data.groups is None:
        fold = deal_rows(strata, cv, rng)
    elif data.groups.max() + 1 < cv:
        raise ValueError(
            f"{_OWNER}: `groups` holds {data.groups.max() + 1} groups, too few for cv={cv} folds "
            "of whole groups. Lower `cv`."
        )
    else:
        fold = deal_groups(strata, data.groups, np.full(cv, 1 / cv), rng)
    folds = []
    for k in range(cv):
        train = np.flatnonzero(fold != k)
        n_treated = int(data.treatment[train].sum())
        if n_treated in (0, len(train)):
            raise ValueError(
                f"{_OWNER}: keeping groups whole leaves a fold's {len(train)} training rows with "
                f"{n_treated} treated. Both arms need rows in at least two groups; merge groups."
            )
        folds.append(Fold(train, np.flatnonzero(fold == k)))
    return folds


def _clipped(chance: Float, clip: float) -> Float:
    """Keep modelled chances away from 0 and 1, and say for how many rows that was needed."""
    if clip == 0:
        n_bad = int(((chance <= 0) | (chance >= 1)).sum())
        if n_bad:
            raise OverlapError(
                f"{_OWNER}: the chance of treatment is modelled as exactly 0 or 1 in {n_bad} of "
                f"{len(chance)} rows. Set `clip` above 0, use a smoother model, or leave out rows "
                "that only one arm has."
            )
        return chance
    n_outside = int(((chance < clip) | (chance > 1 - clip)).sum())
    if n_outside:
        warnings.warn(
            f"{_OWNER}: the modelled chance of treatment is outside [{clip:g}, {1 - clip:g}] in "
            f"{n_outside} of {len(chance)} rows and was clipped there. Such rows hardly occur in "
            "one arm, and effects are poorly known for them: look at the overlap, or leave them "
            "out.",
            SegcateWarning,
            stacklevel=3,
        )
    return np.clip(chance, clip, 1 - clip)

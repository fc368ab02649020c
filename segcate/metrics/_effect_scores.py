"""Effect scores: cross-fitted doubly robust pseudo-outcomes, made once for all that is scored.

Robins, J. M., Rotnitzky, A., & Zhao, L. P. (1994); Chernozhukov, V., et al. (2018), Double/debiased
machine learning, The Econometrics Journal, 21(1), C1-C68.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Float, Int
from segcate._inputs.groups import check_groups, refuse_groups_that_are_arms
from segcate._inputs.parameters import check_option
from segcate._inputs.treatment import check_arms
from segcate._inputs.vectors import (
    check_outcome,
    check_propensity,
    check_same_index,
    check_vector,
    is_zero_one,
)
from segcate._inputs.weights import check_weights
from segcate._nuisance.cross_fit import check_models
from segcate._nuisance.nuisances import (
    NuisanceModels,
    Want,
    check_cross_fitting,
    fit_nuisances,
    warn_of_clipped,
)
from segcate._nuisance.pseudo_outcomes import arm_centred_scores, doubly_robust_arm_scores
from segcate.metrics._scored_rows import Design

_OWNER = "effect_scores"


@dataclass(frozen=True, slots=True)
class _Data:
    """The checked rows, and the nuisances that came with them: one column an arm."""

    y: Float
    treatment: npt.NDArray[np.int64]
    weight: Float | None
    groups: Int | None
    propensity: Float | None
    mu: Float | None

    @property
    def is_binary(self) -> bool:
        """Tell whether y holds 0 and 1 only."""
        return is_zero_one(self.y)


def effect_scores(
    X: Any,
    y: Any,
    *,
    treatment: Any,
    design: Design = "observational",
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
        Everything that moves both treatment and outcome. Every column is a covariate, the segment
        too: leave it in where treatment or outcome differs between segments. None where no model
        is fitted: in an experiment without `outcome_model`, or with all nuisances handed in.
    y : array-like of shape (n_samples,)
        Outcome, 0/1 or measured.
    treatment : array-like of shape (n_samples,), values in {0, 1} or codes 0, 1, 2, ...
        Arm of each row; 0 is the control.
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
        With more than two arms of shape (n_samples, n_arms), the chance of each arm.
    mu0, mu1 : array-like of shape (n_samples,), default=None
        Expected outcome of each row without and with treatment, modelled elsewhere (on other rows).
        Both or neither. With more than two arms `mu1` is of shape (n_samples, n_arms - 1).
    cv : int, default=5
        Number of folds for cross-fitting, at least 2.
    clip : float, default=0.01
        Modelled chances of treatment are kept inside [clip, 1 - clip], with a warning that counts
        the rows. 0 clips nothing; in [0, 0.5).
    groups : array-like of shape (n_samples,), default=None
        Clusters of dependent rows: whole groups go to one fold.
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each row in the models and in the means of the arms, >= 0. Equal weights are none;
        whole numbers from 1 are counts of rows; of all others only ratios count; a row of weight 0
        is not there.
    random_state : int, RandomState instance or None, default=None
        Seed of the folds and of the default models. An int makes the scores reproducible.
    n_jobs : int, default=None
        Models fitted at a time. The scores do not depend on it.

    Returns
    -------
    float64 array of shape (n_samples,), with more than two arms (n_samples, n_arms - 1)
        Effect scores against control, in units of y, arms in the order of their codes. Their mean
        estimates the average effect of all rows (ATE); a single one can be far outside the range
        of y.

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
    generalised cross-validation); curves (the same on lines, bends at seven quantiles, squares and, where
    columns are at most 30, products of two, in two steps, so that columns of no use are shrunk more);
    histogram gradient boosting; and the plain mean. Their weights, not negative and summing to 1, are
    those that predict best out of fold (short-stacking). So small samples lean on the mean and the
    lines, large ones on curves or trees, without a setting. With more than 20,000 rows trees race
    first: grown once on 6,000 rows (12,000 for chances) to what the others leave, they are grown in
    all folds where they predict it in the rows left by more than 2.5 standard errors. Curves look at X
    of all rows and at y of the other folds only. Strings and categories become 0/1 columns; a missing
    number is the median plus an indicator, and has its own branch in trees.

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
    check_same_index(
        _OWNER, X=X, y=y, treatment=treatment, propensity=propensity, mu0=mu0, mu1=mu1,
        groups=groups, sample_weight=sample_weight,
    )  # fmt: skip
    _check_arguments(design, outcome_model, propensity_model, propensity, mu0, mu1)
    check_cross_fitting(_OWNER, cv, clip)
    data = _checked(X, y, treatment, propensity, mu0, mu1, groups, sample_weight)
    is_binary = outcome_model is not None and data.is_binary
    check_models(_OWNER, outcome_model, propensity_model, is_binary)
    if design == "experiment" and outcome_model is None and mu0 is None:
        return arm_centred_scores(data.y, data.treatment, data.weight, data.propensity)
    models = NuisanceModels(outcome_model, propensity_model, cv, clip, random_state, n_jobs)
    chance, mu = _nuisances(X, data, models, models_chance=design == "observational")
    scores = doubly_robust_arm_scores(data.y, data.treatment, chance, mu)
    return scores[:, 0] if scores.shape[1] == 1 else scores


def _check_arguments(
    design: Any,
    outcome_model: Any,
    propensity_model: Any,
    propensity: Any,
    mu0: Any,
    mu1: Any,
) -> None:
    """Refuse arguments that contradict each other."""
    check_option(_OWNER, "design", design, get_args(Design))
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
    arm = check_arms(_OWNER, treatment, reference)
    weight = check_weights(_OWNER, sample_weight, reference)
    n_arms = max(int(arm.max()) + 1, 2)
    for code in _arms_without_rows(arm, weight, n_arms):
        what = f"{('control', 'treated')[code]} rows" if n_arms == 2 else f"rows of arm {code}"
        raise ValueError(
            f"{_OWNER}: `treatment` has no {what} among {len(arm)}"
            f"{'' if weight is None else ' (rows of weight 0 left out)'}; effect scores need "
            f"{'both' if n_arms == 2 else 'all'} arms."
        )
    codes = check_groups(_OWNER, groups, reference)
    refuse_groups_that_are_arms(_OWNER, codes, arm)
    mu = None
    if mu0 is not None:
        below = check_vector(_OWNER, "mu0", mu0, reference)
        mu = np.column_stack([below, *_arm_columns("mu1", mu1, reference, n_arms - 1)])
    return _Data(
        y=outcome,
        treatment=arm,
        weight=weight,
        groups=codes,
        propensity=_check_chances(propensity, reference, n_arms),
        mu=mu,
    )


def _arms_without_rows(
    arm: npt.NDArray[np.int64], weight: Float | None, n_arms: int
) -> npt.NDArray[np.intp]:
    """List the arms that no row of positive weight is in, the last first."""
    if weight is None and n_arms == 2:
        n_treated = int(arm.sum())
        return np.flatnonzero([n_treated == len(arm), n_treated == 0])[::-1]
    counted = arm if weight is None else arm[weight > 0]
    return np.flatnonzero(np.bincount(counted, minlength=n_arms) == 0)[::-1]


def _arm_columns(name: str, values: Any, reference: Any, n_columns: int) -> list[Float]:
    """Check a vector, or with more than two arms a table with a column for each arm."""
    if n_columns == 1:
        return [check_vector(_OWNER, name, values, reference)]
    table = np.asarray(values)
    if table.ndim != 2 or table.shape[1] != n_columns:
        raise ValueError(
            f"{_OWNER}: `{name}` must have {n_columns} columns, one for each arm but the control; "
            f"its shape is {table.shape}. Stack them in the order of the codes."
        )
    return [check_vector(_OWNER, name, column, reference) for column in table.T]


def _check_chances(propensity: Any, reference: Any, n_arms: int) -> Float | None:
    """Check known chances of the arms; with more than two, a table whose rows sum to 1."""
    if propensity is None or n_arms == 2:
        return check_propensity(_OWNER, propensity, reference)
    table = np.asarray(propensity)
    if table.ndim != 2 or table.shape[1] != n_arms:
        raise ValueError(
            f"{_OWNER}: `propensity` must have {n_arms} columns, the chance of each arm with the "
            f"control first; its shape is {table.shape}. Stack them in the order of the codes."
        )
    columns = [check_propensity(_OWNER, column, reference) for column in table.T]
    chance = np.column_stack([column for column in columns if column is not None])
    n_off = int((np.abs(chance.sum(axis=1) - 1.0) > 1e-6).sum())
    if n_off:
        raise ValueError(
            f"{_OWNER}: the rows of `propensity` must sum to 1; {n_off} of {len(chance)} do not. "
            "Pass the chance of every arm, the control included."
        )
    return chance


def _nuisances(
    X: Any, data: _Data, models: NuisanceModels, *, models_chance: bool
) -> tuple[Float, Float]:
    """Return the chance of each arm and its expected outcome; fit those that did not come."""
    wants: list[Want] = []
    if models_chance and data.propensity is None:
        wants.append("propensity")
    if data.mu is None:
        wants.append("mu")
    chance, mu = data.propensity, data.mu
    if wants:
        if X is None:
            raise ValueError(
                f"{_OWNER}: X is None, and models of the outcome or the treatment are fitted on "
                "it. Pass X; or hand in `propensity`, `mu0` and `mu1`; or, for a randomised "
                "experiment, say design='experiment'."
            )
        fitted = fit_nuisances(
            _OWNER, X, data.y, data.treatment, wants, models, weight=data.weight, groups=data.groups
        )
        warn_of_clipped(_OWNER, fitted.clipped, len(data.y), models.clip)
        chance = fitted.propensity if "propensity" in wants else chance
        mu = fitted.mu if mu is None else mu
    if chance is None:
        shares = np.bincount(data.treatment, weights=data.weight)
        chance = np.broadcast_to(shares / shares.sum(), (len(data.y), len(shares)))
    elif chance.ndim == 1:
        chance = np.column_stack([1.0 - chance, chance])
    if mu is None:
        raise ValueError(f"{_OWNER}: no expected outcomes were made")
    return chance, mu

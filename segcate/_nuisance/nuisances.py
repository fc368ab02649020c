"""What must be known beside the effect, cross-fitted: expected outcomes and chances of treatment."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from sklearn.utils import check_array, check_random_state

from segcate._inputs import frames
from segcate._inputs.arrays import Float, Int
from segcate._inputs.listing import listed
from segcate._inputs.parameters import check_count, check_number
from segcate._inputs.part_of_rows import is_fold_of_rows
from segcate._inputs.vectors import is_zero_one
from segcate._inputs.weights import present
from segcate._nuisance.covariates import Covariates, encoded_covariates
from segcate._nuisance.cross_fit import Fold, Target, cross_fit
from segcate._nuisance.folds import deal_folds, dose_bands, has_splits, splits_of, treatment_strata
from segcate.exceptions import OverlapError, SegcateWarning

_NO_ROWS: Int = np.empty(0, dtype=np.intp)

Want = Literal["mu", "propensity", "outcome", "dose"]


@dataclass(frozen=True, slots=True)
class NuisanceModels:
    """How nuisances are fitted.

    Attributes
    ----------
    outcome : regressor, or classifier for y in {0, 1}; None for the default models
    treatment : classifier with `predict_proba` (of a continuous treatment a regressor), likewise
    cv : number of folds
    clip : modelled chances of an arm are kept at or above it; 0 clips nothing and refuses chances of
        exactly 0, None leaves all as they are
    random_state : seed of the folds and of the default models
    n_jobs : models fitted at a time
    remedy : what else helps where rows or groups are too few, to end a sentence "Lower `cv`"
    """

    outcome: Any = None
    treatment: Any = None
    cv: int = 5
    clip: float | None = 0.01
    random_state: Any = None
    n_jobs: int | None = None
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Nuisances:
    """Predictions for each row by models that saw neither the row nor its fold.

    Attributes
    ----------
    mu : float64 array of shape (n_rows, n_arms) or None
        Expected outcome in each arm; NaN for arms that were not wanted.
    propensity : float64 array of shape (n_rows, n_arms) or None
        Chance of each arm; rows sum to 1 (before clipping).
    outcome : float64 array of shape (n_rows,) or None
        Expected outcome, whatever the arm.
    dose : float64 array of shape (n_rows,) or None
        Expected value of a continuous treatment.
    fold : intp array of shape (n_rows,)
        The fold each row was left out with.
    clipped : intp array, positions of the rows
        Rows in which a modelled chance was clipped.
    """

    mu: Float | None
    propensity: Float | None
    outcome: Float | None
    dose: Float | None
    fold: Int
    clipped: Int = field(default_factory=lambda: _NO_ROWS)

    @property
    def n_clipped(self) -> int:
        """Count the rows in which a modelled chance was clipped."""
        return len(self.clipped)


def fit_nuisances(
    owner: str,
    X: Any,
    y: Float,
    treatment: npt.NDArray[Any],
    wants: Collection[Want],
    models: NuisanceModels,
    *,
    weight: Float | None = None,
    groups: Int | None = None,
    strata: Int | None = None,
    folds: Sequence[Fold] | None = None,
    arms: Collection[int] | None = None,
    is_binary: bool | None = None,
    encoded: Covariates | None = None,
    seed: int | None = None,
) -> Nuisances:
    """Cross-fit the nuisances that are wanted; all inputs are checked already.

    Parameters
    ----------
    owner : str
        Whose messages they are.
    X : frame or array of shape (n_rows, n_columns)
        Every column is a covariate. A model that is handed in gets it as it is; the default models
        get numbers, strings and categories as 0/1 columns.
    y : float64 array of shape (n_rows,)
    treatment : array of shape (n_rows,)
        Integer codes of arms, 0 the control; floats with ``wants={"dose", ...}``.
    wants : collection of {"mu", "propensity", "outcome", "dose"}
    models : NuisanceModels
    weight : float64 array of shape (n_rows,), default=None
    groups : intp codes of shape (n_rows,), values 0 to n_groups - 1, default=None
        Whole groups go to one fold.
    strata : intp array of shape (n_rows,), default=None
        Rows of each are spread over the folds, arm by arm; None: the arms alone are.
    folds : sequence of Fold, default=None
        The folds themselves, to be used in place of dealt ones.
    arms : collection of int, default=None
        Arms whose expected outcome is wanted with "mu"; None: all.
    is_binary : bool, default=None
        Whether y is 0/1; None: look. Some rows of a measured outcome may hold no other values.
    encoded : Covariates, default=None
        X as the default models get it, where it is encoded already; X may then be None unless a
        model is handed in.
    seed : int, default=None
        Seed of the default models; None: drawn after the folds.

    Notes
    -----
    Rows of weight 0 are dealt last, to folds that they do not change; nothing is learned from them.

    With more than two arms the chance of each comes from a model of that arm against the others;
    the chances are then divided by their sum.
    """
    rng = check_random_state(models.random_state)
    kept = present(weight)
    if is_binary is None:
        is_binary = is_zero_one(y if kept is None else y[kept])
    is_dose, keeps_groups = "dose" in wants, folds is None and groups is not None
    if folds is None:
        rows = _DealtRows(y if is_binary else None, treatment, groups, strata, is_dose)
        folds = _dealt(owner, rows, models, rng, kept)
    if not is_dose:
        _refuse_missing_arms(owner, treatment, folds, keeps_groups, models.remedy)
    targets = _targets(y, treatment, wants, arms, is_binary, models)
    seed = int(rng.randint(2**31 - 1)) if seed is None else seed
    if encoded is None and any(target.model is None for target in targets.values()):
        if not frames.is_frame(X):
            X = check_array(X, dtype=np.float64, ensure_all_finite="allow-nan", input_name="X")
        encoded = encoded_covariates(owner, X)
    learned = list(targets.values())
    columns = cross_fit(
        owner, X, encoded, learned, folds, weight=weight, seed=seed, n_jobs=models.n_jobs
    )
    predicted = dict(zip(targets, columns, strict=True))
    return _assemble(owner, predicted, treatment, folds, models.clip, kept)


def check_cross_fitting(owner: str, cv: Any, clip: Any, *, allows_splits: bool = False) -> None:
    """Refuse a number of folds below 2, and a bound on chances outside [0, 0.5)."""
    if not (allows_splits and has_splits(cv)):
        check_count(owner, "cv", cv, 2, advice="It is the number of folds.")
    check_number(owner, "clip", clip, least=0, below=0.5)


def warn_of_clipped(
    owner: str,
    clipped: Int,
    n_rows: int,
    clip: float | None,
    *,
    only_above: bool = False,
    stacklevel: int = 3,
) -> None:
    """Say in which rows a modelled chance of treatment was clipped, if in any.

    `clipped` holds their positions. `only_above` says that chances near 0 were left as they are.
    """
    if len(clipped) and clip is not None and not is_fold_of_rows():
        where = f"above {1 - clip:g}" if only_above else f"outside [{clip:g}, {1 - clip:g}]"
        warnings.warn(
            f"{owner}: the modelled chance of treatment is {where} in {len(clipped)} of {n_rows} rows "
            f"and was clipped there (positions {listed(clipped.tolist())}). Such rows hardly occur in one arm, "
            "and effects are poorly known for them: look at the overlap, or leave them out.",
            SegcateWarning,
            stacklevel=stacklevel + 1,
        )


def _targets(
    y: Float,
    treatment: npt.NDArray[Any],
    wants: Collection[Want],
    arms: Collection[int] | None,
    is_binary: bool,
    models: NuisanceModels,
) -> dict[tuple[str, int], Target]:
    """List the values that each model learns and its rows, by nuisance and arm."""
    everyone = np.ones(len(y), dtype=bool)
    found = {}
    if "outcome" in wants:
        found["outcome", 0] = Target("outcome_model", y, everyone, is_binary, False, models.outcome)
    if "dose" in wants:
        found["dose", 0] = Target(
            "treatment_model", treatment, everyone, False, False, models.treatment
        )
        return found
    n_arms = int(treatment.max()) + 1
    if "propensity" in wants:
        for arm in range(n_arms) if n_arms > 2 else (1,):
            is_in_arm = (treatment == arm).astype(np.float64)
            found["propensity", arm] = Target(
                "propensity_model", is_in_arm, everyone, True, True, models.treatment
            )
    if "mu" in wants:
        for arm in range(n_arms) if arms is None else arms:
            found["mu", arm] = Target(
                "outcome_model", y, treatment == arm, is_binary, False, models.outcome
            )
    return found


def _assemble(
    owner: str,
    columns: dict[tuple[str, int], Float],
    treatment: npt.NDArray[Any],
    folds: Sequence[Fold],
    clip: float | None,
    kept: Int | None,
) -> Nuisances:
    """Put the predictions of one nuisance side by side."""
    n_rows, mu = len(treatment), None
    if any(name == "mu" for name, _ in columns):
        mu = np.full((n_rows, int(treatment.max()) + 1), np.nan)
    for (name, arm), values in columns.items():
        if mu is not None and name == "mu":
            mu[:, arm] = values
    chances = [values for (name, _), values in columns.items() if name == "propensity"]
    propensity, clipped = None, _NO_ROWS
    if chances:
        propensity = np.column_stack([1.0 - chances[0], *chances] if len(chances) == 1 else chances)
        propensity /= propensity.sum(axis=1, keepdims=True)
        if clip is not None:
            propensity, clipped = _clipped(owner, propensity, clip, kept)
    left_out = np.empty(n_rows, dtype=np.intp)
    for k, fold in enumerate(folds):
        left_out[fold.test] = k
    return Nuisances(
        mu=mu,
        propensity=propensity,
        outcome=columns.get(("outcome", 0)),
        dose=columns.get(("dose", 0)),
        fold=left_out,
        clipped=clipped,
    )


def _clipped(owner: str, chance: Float, clip: float, kept: Int | None) -> tuple[Float, Int]:
    """Clip modelled chances from below, with two arms on both sides; return the clipped `kept` rows."""
    is_told = np.ones(len(chance), dtype=bool)
    if kept is not None:
        is_told[:] = False
        is_told[kept] = True
    if clip == 0:
        n_bad = int(((chance <= 0).any(axis=1) & is_told).sum())
        if n_bad:
            raise OverlapError(
                f"{owner}: the chance of treatment is modelled as exactly 0 or 1 in {n_bad} of "
                f"{len(chance)} rows. Set `clip` above 0, use a smoother model, or leave out rows "
                "that only one arm has."
            )
        return chance, _NO_ROWS
    clipped = np.flatnonzero((chance < clip).any(axis=1) & is_told)
    if chance.shape[1] == 2:
        treated = np.clip(chance[:, 1], clip, 1 - clip)
        return np.column_stack([1.0 - treated, treated]), clipped
    return np.maximum(chance, clip), clipped


@dataclass(frozen=True, slots=True)
class _DealtRows:
    """What rows are dealt to folds by.

    Attributes
    ----------
    labels : float64 array of shape (n_rows,), a 0/1 outcome, or None
    treatment : array of shape (n_rows,)
    groups, strata : intp arrays of shape (n_rows,), or None
    is_dose : whether the treatment is continuous
    """

    labels: Float | None
    treatment: npt.NDArray[Any]
    groups: Int | None
    strata: Int | None
    is_dose: bool

    def take(self, kept: Int) -> _DealtRows:
        """Return some of the rows."""
        labels = None if self.labels is None else self.labels[kept]
        groups, strata = self.groups, None if self.strata is None else self.strata[kept]
        if groups is not None:
            groups = np.unique(groups[kept], return_inverse=True)[1]
        return _DealtRows(labels, self.treatment[kept], groups, strata, self.is_dose)

    def deal(self, owner: str, models: NuisanceModels, rng: np.random.RandomState) -> Int:
        """Stratify folds by treatment, and by a 0/1 outcome; keep groups whole."""
        if self.is_dose:
            cells = dose_bands(self.treatment, models.cv)
        else:
            cells = treatment_strata(
                owner, self.treatment, self.labels, n_outcome_bins=2, min_rows=models.cv,
                cells=self.strata,
            )  # fmt: skip
        return deal_folds(owner, cells, self.groups, models.cv, rng, remedy=models.remedy)


def _dealt(
    owner: str, rows: _DealtRows, models: NuisanceModels, rng: Any, kept: Int | None
) -> list[Fold]:
    """Deal folds; rows that are not `kept`, of weight 0, are predicted in turn and never learned from."""
    if kept is None:
        fold = rows.deal(owner, models, rng)
        return [Fold(train, test) for train, test in splits_of(fold, models.cv)]
    fold = np.arange(len(rows.treatment), dtype=np.intp) % models.cv
    fold[kept] = rows.take(kept).deal(owner, models, rng)
    return [
        Fold(np.intersect1d(train, kept, assume_unique=True), test)
        for train, test in splits_of(fold, models.cv)
    ]


def _refuse_missing_arms(
    owner: str,
    treatment: npt.NDArray[Any],
    folds: Sequence[Fold],
    keeps_groups: bool,
    remedy: str,
) -> None:
    """Refuse folds whose training rows lack an arm."""
    n_arms = int(treatment.max()) + 1
    arm_of = treatment.astype(np.intp)
    left = np.array([np.bincount(arm_of[fold.train], minlength=n_arms) for fold in folds])
    bad = np.argwhere(left == 0)
    if len(bad):
        k, arm = bad[0]
        what = f"{left[k, 1]} treated" if n_arms == 2 else f"none of arm {arm}"
        cause, unit, act = "the cut into folds", "folds", "lower `cv`, or pass other folds"
        if keeps_groups:
            cause, unit, act = "keeping groups whole", "groups", "merge groups"
        raise ValueError(
            f"{owner}: {cause} leaves a fold's {left[k].sum()} training rows with {what}. Every arm "
            f"needs rows in at least two {unit}; {act}{remedy}."
        )

"""Search on one half of the rows, estimate on the other (Athey & Imbens, 2016)."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline

from segcate._inputs import frames
from segcate._inputs.arrays import Int
from segcate._inputs.groups import check_groups, refuse_groups_that_are_arms
from segcate._inputs.listing import listed
from segcate._inputs.parameters import check_in_unit_interval, check_seed
from segcate._inputs.part_of_rows import said_once
from segcate._inputs.routing import routing
from segcate._inputs.treatment import check_treatment
from segcate._inputs.vectors import check_outcome, check_propensity, check_same_index, check_vector
from segcate._inputs.weights import check_weights
from segcate._nuisance.folds import deal_groups
from segcate.exceptions import EmptySegmentError, SegcateWarning
from segcate.metrics import effect_scores

_OWNER = "honest_effects"


@dataclass(frozen=True)
class HonestEffects:
    """Effects of segments that were chosen on other rows.

    Attributes
    ----------
    estimator : effect estimator
        Last step of the best pipeline, fitted on the estimation half.
    pipeline : Pipeline
        The frozen segmenters and `estimator`: `pipeline.predict(X)` is the effect of new rows, and
        `pipeline.fit` estimates again in the same segments.
    search : search
        Fitted on the design half; `search.cv_results_` holds every candidate.
    best_params : dict
        Parameters that the search chose.
    design_idx, estimation_idx : intp arrays
        Positions of the rows of the two halves, ascending.
    """

    estimator: Any
    pipeline: Pipeline
    search: Any = field(repr=False)
    best_params: Mapping[str, Any]
    design_idx: Int = field(repr=False)
    estimation_idx: Int = field(repr=False)

    @property
    def effects_(self) -> pd.DataFrame:
        """Table of effects, one row a segment, from the estimation half."""
        table: pd.DataFrame = self.estimator.effects_
        return table

    @property
    def overall_(self) -> Any:
        """The effect for everyone in the estimation half."""
        return self.estimator.overall_

    @property
    def heterogeneity_(self) -> Any:
        """Test of equal effects, from the estimation half."""
        return self.estimator.heterogeneity_

    def summary(self) -> str:
        """Describe the effects as text, and say which rows chose and which estimated."""
        chosen = ", ".join(f"{name}={value!r}" for name, value in self.best_params.items())
        return (
            f"Honest effects  searched on {len(self.design_idx)} rows, estimated on "
            f"{len(self.estimation_idx)} others\n"
            f"Chosen          {chosen or 'no parameters'}\n"
            f"{self.estimator.summary()}"
        )


@dataclass(frozen=True, slots=True)
class _Rows:
    """The checked data of a fit, and how to take rows of it."""

    X: Any
    y: npt.NDArray[np.float64]
    metadata: dict[str, Any]

    def take(self, rows: Int) -> _Rows:
        """Return some of the rows."""
        metadata = {name: values[rows] for name, values in self.metadata.items()}
        return _Rows(frames.take_rows(self.X, rows), self.y[rows], metadata)


def honest_effects(
    search: Any,
    X: Any,
    y: Any,
    *,
    treatment: Any,
    groups: Any = None,
    propensity: Any = None,
    sample_weight: Any = None,
    pseudo_outcome: Any = None,
    design_size: float = 0.5,
    random_state: Any = None,
) -> HonestEffects:
    """Search for segments on one half of the rows, and estimate their effects on the other.

    A search picks the segments whose effects look most different, in part by luck; effects and
    p-values from the rows that it saw are too good. Those from the other half are not, at the price
    of wider intervals.

    Parameters
    ----------
    search : GridSearchCV or another search with `best_estimator_`
        Over a Pipeline of segmenters that ends in an effect estimator, such as `SegmentMatching`.
        It is cloned; the one passed in stays as it is.
    X : array-like or DataFrame of shape (n_samples, n_features)
        All rows.
    y : array-like of shape (n_samples,)
        Outcome.
    treatment : array-like of shape (n_samples,), values in {0, 1}
        Arm of each row.
    groups : array-like of shape (n_samples,), default=None
        Clusters of dependent rows: whole groups go to one half, and to the estimator's fit. The
        search needs a splitter that keeps them together (`TreatmentStratifiedGroupKFold`).
    propensity : array-like of shape (n_samples,), inside (0, 1), default=None
        Handed to the effect scores and to the estimator's fit.
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each row, >= 0, handed on likewise. Equal weights are none; whole numbers from 1
        are counts of rows; of all others only ratios count; a row of weight 0 is not there.
    pseudo_outcome : array-like of shape (n_samples,), default=None
        Effect scores for the search's scorer; those outside the design half are not looked at.
        None, where the scorer asks for them: made by `effect_scores` from the design half alone.
        Scores made from all rows let the estimation half have a small say in the choice.
    design_size : float, default=0.5
        Share of rows (of each arm) to search on, inside (0, 1).
    random_state : int, RandomState instance or None, default=None
        Seed of the halves and of the effect scores.

    Returns
    -------
    HonestEffects
        With `effects_`, `overall_`, `heterogeneity_` and `summary()` of the estimation half, the
        frozen `pipeline`, the `search`, and the rows of both halves.

    Raises
    ------
    ValueError
        If input is missing, misaligned or out of range; if a half has one arm only; if the search
        does not refit, or no candidate of it could be fitted and scored.
    TypeError
        If `search` is not a search.

    Warns
    -----
    SegcateWarning
        If a segment of the design half has no rows in the estimation half; or has no estimate
        there, and stays without one although ``on_empty="raise"``: the search is not lost to it.

    Notes
    -----
    Halves are drawn at random, stratified by treatment (not by y, which would tie them together).
    Fitted segmenters are frozen; the last step is cloned with the chosen parameters and fitted
    anew, its propensity and matches included. Metadata routing is switched on inside.

    References
    ----------
    Athey, S., & Imbens, G. (2016). Recursive partitioning for heterogeneous causal effects. PNAS,
    113(27), 7353-7360. doi:10.1073/pnas.1510489113

    Examples
    --------
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sklearn.pipeline import make_pipeline
    >>> from segcate.datasets import make_segmented_users
    >>> from segcate.effects import SegmentMatching
    >>> from segcate.metrics import qini_experiment_scorer
    >>> from segcate.model_selection import TreatmentStratifiedKFold, honest_effects
    >>> from segcate.segmentation import KMeansSegmenter
    >>> users = make_segmented_users(
    ...     2000, n_segments=2, effects=[0, 1], confounding=0, random_state=0
    ... )
    >>> search = GridSearchCV(
    ...     make_pipeline(KMeansSegmenter(random_state=0), SegmentMatching(on_empty="overall")),
    ...     {"kmeanssegmenter__n_clusters": [1, 2]},
    ...     scoring=qini_experiment_scorer,
    ...     cv=TreatmentStratifiedKFold(3),
    ... )
    >>> honest = honest_effects(search, users.X, users.y, treatment=users.treatment, random_state=0)
    >>> honest.best_params, len(honest.estimation_idx)
    ({'kmeanssegmenter__n_clusters': 2}, 1000)
    >>> sorted(honest.effects_["effect"].round())
    [0.0, 1.0]
    """
    _check_search(search)
    check_in_unit_interval(_OWNER, "design_size", design_size)
    check_same_index(
        _OWNER, X=X, y=y, treatment=treatment, groups=groups, propensity=propensity,
        sample_weight=sample_weight, pseudo_outcome=pseudo_outcome,
    )  # fmt: skip
    rows = _checked(X, y, treatment, groups, propensity, sample_weight)
    rng = check_seed(_OWNER, random_state)
    design_idx, estimation_idx = _halves(rows, design_size, rng)
    seed = int(rng.randint(2**31 - 1))
    if pseudo_outcome is not None:
        pseudo_outcome = check_vector(_OWNER, "pseudo_outcome", pseudo_outcome, X)[design_idx]
    with routing():
        with said_once():
            fitted = _searched(search, rows.take(design_idx), pseudo_outcome, seed)
        frozen, estimator = _refitted(fitted.best_estimator_, rows.take(estimation_idx))
    return HonestEffects(
        estimator=estimator,
        pipeline=frozen,
        search=fitted,
        best_params=dict(getattr(fitted, "best_params_", {})),
        design_idx=design_idx,
        estimation_idx=estimation_idx,
    )


def _check_search(search: Any) -> None:
    if isinstance(search, type) or not (hasattr(search, "estimator") and hasattr(search, "fit")):
        raise TypeError(
            f"{_OWNER}: `search` must be a search such as GridSearchCV over a Pipeline; got "
            f"{_kind(search)}. A pipeline fixed in advance needs no halves: fit it on all rows."
        )
    if getattr(search, "refit", True) is False:
        raise ValueError(
            f"{_OWNER}: `search` has refit=False and would leave no segments to freeze. Set "
            "`refit=True` (with several metrics: the name of the one that decides)."
        )


def _kind(value: Any) -> str:
    return f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__


def _checked(
    X: Any, y: Any, treatment: Any, groups: Any, propensity: Any, sample_weight: Any
) -> _Rows:
    outcome = check_outcome(_OWNER, y, X)
    arms, codes = check_treatment(_OWNER, treatment, X), check_groups(_OWNER, groups, X)
    refuse_groups_that_are_arms(_OWNER, codes, arms)
    metadata = {
        "treatment": arms,
        "groups": codes,
        "propensity": check_propensity(_OWNER, propensity, X),
        "sample_weight": check_weights(_OWNER, sample_weight, X),
    }
    given = {name: values for name, values in metadata.items() if values is not None}
    return _Rows(X if frames.is_frame(X) else np.asarray(X), outcome, given)


def _halves(rows: _Rows, design_size: float, rng: np.random.RandomState) -> tuple[Int, Int]:
    """Draw the two halves, whole groups together."""
    arm = rows.metadata["treatment"].astype(np.intp)
    groups = rows.metadata.get("groups")
    if groups is None:
        order = rng.permutation(len(arm))
        order = order[np.argsort(arm[order], kind="stable")]
        size = np.bincount(arm, minlength=2)
        place = np.arange(len(arm)) - np.repeat([0, size[0]], size)
        is_design = np.empty(len(arm), dtype=bool)
        is_design[order] = place < np.repeat(np.rint(design_size * size), size)
    else:
        is_design = deal_groups(arm, groups, np.array([design_size, 1 - design_size]), rng) == 0
    for name, half in (("design", is_design), ("estimation", ~is_design)):
        n_treated = int(arm[half].sum())
        if n_treated in (0, int(half.sum())):
            raise ValueError(
                f"{_OWNER}: of the {int(half.sum())} rows of the {name} half, {n_treated} are "
                "treated, and both arms are needed. Use more rows or groups, or another "
                "`design_size`."
            )
    return np.flatnonzero(is_design), np.flatnonzero(~is_design)


def _searched(search: Any, rows: _Rows, pseudo_outcome: Any, seed: int) -> Any:
    """Fit a clone of the search on the design half."""
    search = clone(search)
    metadata = dict(rows.metadata)
    if "pseudo_outcome" in search.get_metadata_routing().consumes("fit", ["pseudo_outcome"]):
        if pseudo_outcome is None:
            pseudo_outcome = effect_scores(rows.X, rows.y, **rows.metadata, random_state=seed)
        metadata["pseudo_outcome"] = pseudo_outcome
    elif pseudo_outcome is not None:
        raise ValueError(
            f"{_OWNER}: `pseudo_outcome` was given, and the scorer of the search does not ask for "
            "it. Score by segcate.metrics.qini_scorer, or leave `pseudo_outcome` out."
        )
    try:
        search.fit(rows.X, rows.y, **metadata)
    except ValueError as error:
        first = _first_error(search, rows, metadata)
        if first is None or str(first) == str(error):
            raise
        raise ValueError(  # scikit-learn writes tracebacks into its text
            f"{_OWNER}: no candidate of the search could be fitted. The first one said: {first}"
        ) from first
    if not np.isfinite(getattr(search, "best_score_", 0.0)):
        first = _first_error(search, rows, metadata)
        why = "Scores are not finite." if first is None else f"The first that failed said: {first}"
        raise ValueError(
            f"{_OWNER}: no candidate of the search could be fitted and scored in every fold, so there is nothing to "
            f"choose. Thin segments need `on_empty='overall'` or `min_per_arm=10` in the estimator, or candidates with "
            f"fewer segments. {why}"
        ) from first
    return search


def _first_error(search: Any, rows: _Rows, metadata: dict[str, Any]) -> Exception | None:
    """Fit a search once more up to the first candidate that fails, and return its error."""
    if getattr(search, "error_score", "raise") == "raise":
        return None
    try:
        clone(search).set_params(error_score="raise").fit(rows.X, rows.y, **metadata)
    except Exception as error:
        return error
    return None


def _refitted(best: Any, rows: _Rows) -> tuple[Pipeline, Any]:
    """Freeze all steps but the last, and fit the last one anew on the estimation half."""
    steps = list(best.steps) if isinstance(best, Pipeline) else [("effects", best)]
    frozen = [
        (name, step if step in (None, "passthrough") else FrozenEstimator(step))
        for name, step in steps[:-1]
    ]
    name, last = steps[-1]
    labelled = Pipeline(frozen).transform(rows.X) if frozen else rows.X
    estimator = _fitted_on_thin_segments(clone(last), labelled, rows)
    _warn_of_lost_segments(last, estimator)
    return Pipeline([*frozen, (name, estimator)]), estimator


def _fitted_on_thin_segments(estimator: Any, X: Any, rows: _Rows) -> Any:
    """Fit; where segments have no estimate, leave them without one and warn: the search is done."""
    try:
        return estimator.fit(X, rows.y, **rows.metadata)
    except EmptySegmentError as error:
        if getattr(estimator, "on_empty", None) != "raise":
            raise
        fitted = clone(estimator).set_params(on_empty="nan").fit(X, rows.y, **rows.metadata)
        warnings.warn(
            f"{_OWNER}: segments of the estimation half have no estimate and stay without one, as with "
            f"on_empty='nan'. {error}",
            SegcateWarning,
            stacklevel=4,
        )
        return fitted


def _warn_of_lost_segments(searched: Any, estimator: Any) -> None:
    known = getattr(searched, "segment_labels_", None)
    found = getattr(estimator, "segment_labels_", None)
    if known is None or found is None:
        return
    merged = getattr(estimator, "merged_segments_", {})
    lost = [label for label in known.tolist() if label not in {*found.tolist(), *merged}]
    if lost:
        warnings.warn(
            f"{_OWNER}: segments {listed(lost)} have rows in the design half and none in the "
            "estimation half, so they have no honest effect. Use more rows, fewer segments, or "
            "another `random_state`.",
            SegcateWarning,
            stacklevel=4,
        )

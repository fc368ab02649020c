"""The analysis behind the command line: from a study to tables and a summary."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

from segcate import matching as matching_package
from segcate._inputs.listing import listed
from segcate.cli._problems import UserError
from segcate.cli._study import Study
from segcate.effects import SegmentMatching
from segcate.matching import PropensityMatcher
from segcate.metrics import qini_scorer
from segcate.model_selection import (
    TreatmentStratifiedGroupKFold,
    TreatmentStratifiedKFold,
    honest_effects,
)
from segcate.segmentation import HDBSCANSegmenter, KMeansSegmenter, segment_profile

_N_FOLDS = 5
_SECONDS_BETWEEN = 5.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What the user asked for.

    Attributes
    ----------
    segments : "kmeans" or "hdbscan"; unused where the study has a segment column
    n_clusters : clusters of k-means
    cluster_on : columns to cluster on, () for all numeric ones
    min_cluster_size : smallest cluster of HDBSCAN
    tune : whether to search for the number of clusters on one half of the rows
    estimand : "att", "atc" or "ate"
    confidence_level : of the intervals
    random_state : seed of everything random
    missing : what is done about gaps in the covariates, as in `SegmentMatching`
    """

    segments: str = "kmeans"
    n_clusters: int = 6
    cluster_on: tuple[str, ...] = ()
    min_cluster_size: int = 100
    tune: bool = False
    estimand: str = "att"
    confidence_level: float = 0.95
    random_state: int = 0
    missing: str = "indicator"


@dataclass(frozen=True, slots=True)
class Findings:
    """What came out.

    Attributes
    ----------
    effects, balance, profile : tables, one row a segment (balance: a segment and covariate)
    overall : the effect for everyone
    summary : text
    model : the fitted estimator
    X, labels, treatment : covariates, segment and arm of the rows that it was fitted on
    clustered_on : columns that the segments were found in; () where a column gave them
    notes : remarks on the way to the numbers
    """

    effects: pd.DataFrame
    overall: Any
    balance: pd.DataFrame
    profile: pd.DataFrame
    summary: str
    model: Any
    X: pd.DataFrame
    labels: Any
    treatment: Any
    clustered_on: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def analyse(study: Study, plan: Plan, progress: Callable[[str], None]) -> Findings:
    """Segment, match, estimate.

    Parameters
    ----------
    study : data, checked
    plan : what to do
    progress : called with a line of text before each stage

    Returns
    -------
    Findings
    """
    if study.segment is not None:
        return _on_given_segments(study, plan, progress)
    _check_clustered_columns(study, plan)
    if plan.tune:
        return _tuned(study, plan, progress)
    segmenter = _segmenter(plan)
    progress(f"segmenting {len(study.X):,} rows with {type(segmenter).__name__}")
    X = segmenter.fit_transform(study.X)
    progress(f"matching and estimating in {segmenter.n_segments_} segments{_first_time()}")
    matching = _matching(plan, "segment")
    matching.fit(X, study.y, **_metadata(study))
    findings = _findings(matching, study.X, segmenter.labels_, study.treatment)
    return replace(findings, clustered_on=_clustered_on(segmenter))


def _clustered_on(segmenter: Any) -> tuple[str, ...]:
    """Name the columns that a fitted segmenter looked at."""
    names = segmenter.feature_names_in_
    return tuple(str(names[i]) for i in segmenter.column_positions_)


def _on_given_segments(study: Study, plan: Plan, progress: Callable[[str], None]) -> Findings:
    column = str(study.segment)
    labels = study.X[column]
    where = f"{labels.nunique()} segments of column {column!r}"
    progress(f"matching and estimating in {where}{_first_time()}")
    matching = _matching(plan, column)
    matching.fit(study.X, study.y, **_metadata(study))
    return _findings(matching, study.X.drop(columns=column), labels.to_numpy(), study.treatment)


def _tuned(study: Study, plan: Plan, progress: Callable[[str], None]) -> Findings:
    """Choose the segments on one half of the rows, estimate on the other."""
    step, candidates = _candidates(study, plan)
    kind = TreatmentStratifiedKFold if study.groups is None else TreatmentStratifiedGroupKFold
    search = GridSearchCV(
        Pipeline(
            [
                ("segment", _segmenter(plan)),
                ("effects", _matching(plan, "segment").set_params(on_empty="overall")),
            ]
        ),
        {f"segment__{step}": candidates},
        scoring=_Counted(qini_scorer, _N_FOLDS * len(candidates), progress),
        cv=kind(_N_FOLDS, shuffle=True, random_state=plan.random_state),
    )
    progress(
        f"searching on half of the rows: {step} in {candidates}, {_N_FOLDS} folds{_first_time()}"
    )
    honest = honest_effects(
        search, study.X, study.y, **_metadata(study), random_state=plan.random_state
    )
    model = honest.estimator.set_params(on_empty="nan")
    rows = study.X.iloc[honest.estimation_idx]
    labels = honest.pipeline[:-1].transform(rows)["segment"].to_numpy()
    chosen = honest.best_params[f"segment__{step}"]
    note = (
        f"{step} = {chosen} was chosen among {candidates} on {len(honest.design_idx):,} rows; all "
        f"figures come from the {len(labels):,} others"
    )
    progress(f"note: {note}")
    arms = np.asarray(study.treatment)[honest.estimation_idx]
    findings = _findings(model, rows, labels, arms, (note,))
    return replace(
        findings, summary=honest.summary(), clustered_on=_clustered_on(honest.pipeline[0])
    )


class _Counted:
    """A scorer that reports every few seconds how many fits of a search are done."""

    def __init__(self, scorer: Any, n_fits: int, progress: Callable[[str], None]) -> None:
        self._scorer = scorer
        self._n_fits = n_fits
        self._progress = progress
        self._n_done = 0
        self._told = time.perf_counter()

    def __call__(self, estimator: Any, X: Any, y: Any = None, **metadata: Any) -> float:
        """Score, and count."""
        self._n_done += 1
        if time.perf_counter() - self._told > _SECONDS_BETWEEN:
            self._told = time.perf_counter()
            self._progress(f"fit {self._n_done} of {self._n_fits}")
        return float(self._scorer(estimator, X, y, **metadata))

    def get_metadata_routing(self) -> Any:
        """Return the request of the scorer."""
        return self._scorer.get_metadata_routing()


def _candidates(study: Study, plan: Plan) -> tuple[str, list[int]]:
    """Name the parameter to search over and its values."""
    if plan.segments == "kmeans":
        return "n_clusters", list(range(2, max(8, plan.n_clusters) + 1))
    n_rows = len(study.X)
    sizes = {max(10, round(n_rows * share)) for share in (0.01, 0.02, 0.05, 0.1)}
    return "min_cluster_size", sorted(sizes)


def _first_time() -> str:
    """Warn of the wait when kernels are not compiled yet; later runs find them on disk."""
    cache = Path(matching_package.__file__).parent / "__pycache__"
    return "" if any(cache.glob("*.nbi")) else " (compiling first, about half a minute, once)"


def _metadata(study: Study) -> dict[str, Any]:
    return {
        "treatment": study.treatment,
        "groups": study.groups,
        "propensity": study.propensity,
    }


def _matching(plan: Plan, segment: str) -> SegmentMatching:
    return SegmentMatching(
        PropensityMatcher(random_state=plan.random_state),
        estimand=plan.estimand,
        confidence_level=plan.confidence_level,
        segment=segment,
        on_empty="nan",
        missing=plan.missing,
        random_state=plan.random_state,
    )


def _segmenter(plan: Plan) -> Any:
    columns = list(plan.cluster_on) or None
    if plan.segments == "kmeans":
        return KMeansSegmenter(plan.n_clusters, columns=columns, random_state=plan.random_state)
    return HDBSCANSegmenter(plan.min_cluster_size, columns=columns, random_state=plan.random_state)


def _check_clustered_columns(study: Study, plan: Plan) -> None:
    """Refuse columns to cluster on that are not there, or none at all."""
    numeric = study.X.select_dtypes(["number", "bool"]).columns
    unknown = [name for name in plan.cluster_on if name not in numeric]
    if unknown:
        raise UserError(
            f"--cluster-on: {listed(unknown)} are not numeric covariates; those are "
            f"{listed(numeric, 20)}."
        )
    if len(numeric) == 0:
        raise UserError(
            "no covariate is numeric, so there is nothing to cluster on. Name a column that holds "
            "segments with --segment-column."
        )


def _findings(
    model: Any, X: pd.DataFrame, labels: Any, treatment: Any, notes: tuple[str, ...] = ()
) -> Findings:
    return Findings(
        effects=model.effects_,
        overall=model.overall_,
        balance=model.balance_,
        profile=segment_profile(X, labels),
        summary=model.summary(),
        model=model,
        X=X,
        labels=np.asarray(labels),
        treatment=np.asarray(treatment),
        notes=notes,
    )

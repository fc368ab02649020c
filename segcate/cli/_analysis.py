"""The analysis behind the command line: from a study to fitted estimators and findings."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.exceptions import FitFailedWarning
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

from segcate import matching as matching_package
from segcate._inputs.listing import listed
from segcate._kernels import are_few
from segcate._writing.number_texts import write_count
from segcate.cli._plan import MOST_FIT_SAMPLES, Plan, check_plan, effect_estimator, segmenter
from segcate.cli._problems import UserError
from segcate.cli._progress import Progress
from segcate.cli._study import Study
from segcate.exceptions import EmptySegmentError
from segcate.metrics import qini_scorer
from segcate.model_selection import (
    TreatmentStratifiedGroupKFold,
    TreatmentStratifiedKFold,
    honest_effects,
)
from segcate.segmentation import segment_profile

_N_FOLDS = 5
_SECONDS_BETWEEN = 5.0


@dataclass(frozen=True, slots=True)
class Analysis:
    """What came out for one arm.

    Attributes
    ----------
    study : the rows of the arm and of control, as they were given to the estimator
    fitted : Pipeline, effect estimator or `HonestEffects`
    model : the effect estimator, fitted
    X, labels, treatment : covariates, segment and arm of the rows that the effects come from
    weights : of those rows, or None
    summary : text
    clustered_on : columns that the segments were found in; () where a column gave them
    notes : remarks on the way to the numbers
    """

    study: Study
    fitted: Any
    model: Any
    X: pd.DataFrame
    labels: Any
    treatment: Any
    weights: Any
    summary: str
    clustered_on: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def effects(self) -> pd.DataFrame:
        """One row a segment."""
        table: pd.DataFrame = self.model.effects_
        return table

    @property
    def balance(self) -> pd.DataFrame | None:
        """One row a segment and covariate; None where nothing was matched."""
        return getattr(self.model, "balance_", None)

    @property
    def profile(self) -> pd.DataFrame:
        """Who the segments are."""
        return segment_profile(self.X, self.labels, sample_weight=self.weights)


def analyse(study: Study, plan: Plan, progress: Progress) -> list[Analysis]:
    """Segment all rows, then estimate the effects of each arm against the control.

    Parameters
    ----------
    study : data, checked
    plan : what to do
    progress : called with a line of text before each stage

    Returns
    -------
    list of Analysis, one an arm
    """
    check_plan(plan, study)
    found = None
    if study.segment is None and not plan.tune:
        found = segmented(study, plan, progress)
    analyses = []
    for arm in range(1, len(study.arms) + 1):
        if len(study.arms) == 1:
            return [fit_arm(study, plan, progress, found)]
        name = study.arms[arm - 1]
        progress(f"{name} against {study.control}")
        try:
            analyses.append(fit_arm(study.of_arm(arm), plan, progress, found))
        except EmptySegmentError as error:
            progress(f"note: {name} is left out: {error}")
    if not analyses:
        raise UserError("no arm has rows enough for an estimate; take fewer segments or arms.")
    return analyses


def segmented(study: Study, plan: Plan, progress: Progress) -> Any:
    """Return a segmenter, fitted on all rows."""
    n_rows = len(study.X)
    step = segmenter(plan, n_rows)
    sampled = ""
    most = plan.max_fit_samples or MOST_FIT_SAMPLES
    if plan.segments == "hdbscan" and n_rows > most:
        sampled = (
            f", on a sample of {most:,} (clusters of at least {step.min_cluster_size} rows in it)"
        )
    with progress.during(f"segmenting {n_rows:,} rows with {type(step).__name__}{sampled}"):
        return step.fit(study.X)


def fit_arm(study: Study, plan: Plan, progress: Progress, found: Any = None) -> Analysis:
    """Estimate the effects of one arm.

    Parameters
    ----------
    study : rows of the arm and of control
    plan : what to do
    progress : told of each stage
    found : fitted segmenter; None where a column holds the segments, or they are to be tuned
    """
    if study.segment is not None:
        model = effect_estimator(plan, study.segment)
        labels = study.X[study.segment]
        where = f"{write_count(labels.nunique(), 'segment')} of column {study.segment!r}"
        with progress.during(f"{_doing(plan)} in {where}{_first_time(len(study.X))}"):
            model.fit(study.X, study.y, **metadata(study))
        X = study.X.drop(columns=study.segment)
        return Analysis(
            study,
            model,
            model,
            X,
            labels.to_numpy(),
            study.treatment,
            study.weights,
            model.summary(),
        )
    if found is None:
        return _tuned(study, plan, progress)
    model = effect_estimator(plan, "segment")
    X = found.transform(study.X)
    with progress.during(
        f"{_doing(plan)} in {write_count(found.n_segments_, 'segment')}{_first_time(len(X))}"
    ):
        model.fit(X, study.y, **metadata(study))
    pipeline = Pipeline([("segment", found), ("effects", model)])
    labels = X["segment"].to_numpy()
    return Analysis(
        study,
        pipeline,
        model,
        study.X,
        labels,
        study.treatment,
        study.weights,
        model.summary(),
        _clustered_on(found),
    )


def _doing(plan: Plan) -> str:
    kind = plan.chosen_method
    return "matching and estimating" if kind == "matching" else f"estimating by {kind}"


def _clustered_on(step: Any) -> tuple[str, ...]:
    """Name the columns that a fitted segmenter looked at."""
    step = step.estimator if isinstance(step, FrozenEstimator) else step
    names = step.feature_names_in_
    return tuple(str(names[i]) for i in step.column_positions_)


def _tuned(study: Study, plan: Plan, progress: Progress) -> Analysis:
    """Choose the segments on one half of the rows, estimate on the other."""
    step, candidates = _candidates(study, plan)
    kind = TreatmentStratifiedKFold if study.groups is None else TreatmentStratifiedGroupKFold
    pipeline = Pipeline(
        [
            ("segment", segmenter(plan, len(study.X) // 2)),
            ("effects", effect_estimator(plan, "segment", on_empty="overall")),
        ]
    )
    search = GridSearchCV(
        pipeline,
        {f"segment__{step}": candidates},
        scoring=_Counted(qini_scorer, _N_FOLDS * len(candidates), progress),
        cv=kind(_N_FOLDS, shuffle=True, random_state=plan.random_state),
    )
    first = _first_time(len(study.X) // 2)
    progress(f"searching on half of the rows: {step} in {candidates}, {_N_FOLDS} folds{first}")
    with warnings.catch_warnings():  # told below, without the tracebacks
        warnings.simplefilter("ignore", FitFailedWarning)
        warnings.filterwarnings("ignore", "One or more of the test scores are non-finite")
        honest = honest_effects(
            search, study.X, study.y, **metadata(study), random_state=plan.random_state
        )
    model = honest.estimator.set_params(on_empty="nan")
    rows = study.X.iloc[honest.estimation_idx]
    labels = honest.pipeline[:-1].transform(rows)["segment"].to_numpy()
    chosen = honest.best_params[f"segment__{step}"]
    note = (
        f"{step} = {chosen} was chosen among {candidates} on {len(honest.design_idx):,} rows; all figures come from "
        f"the {len(labels):,} others{_without_score(step, honest.search)}{_at_the_edge(step, chosen, candidates)}"
    )
    progress(f"note: {note}")
    return Analysis(
        study,
        honest,
        model,
        rows,
        labels,
        np.asarray(study.treatment)[honest.estimation_idx],
        None if study.weights is None else study.weights.iloc[honest.estimation_idx],
        honest.summary(),
        _clustered_on(honest.pipeline[0]),
        (note,),
    )


def _without_score(step: str, search: Any) -> str:
    """Name the candidates that could not be fitted and scored in every fold, and so not be chosen."""
    found = search.cv_results_
    lost = [
        params[f"segment__{step}"]
        for params, score in zip(found["params"], found["mean_test_score"], strict=True)
        if not np.isfinite(score)
    ]
    return f"; {listed(lost)} could not be fitted and scored in every fold" if lost else ""


def _at_the_edge(step: str, chosen: int, candidates: list[int]) -> str:
    """Say that a search ended where its candidates end; few clusters are no edge."""
    if len(candidates) == 1 or chosen not in (min(candidates), max(candidates)):
        return ""
    if step == "n_clusters":
        more = f"--tune --n-clusters {2 * chosen} tries more"
        return f"; it is the largest of them: {more}" if chosen == max(candidates) else ""
    is_largest = chosen == max(candidates)
    other = 2 * chosen if is_largest else max(2, chosen // 2)
    end = "largest" if is_largest else "smallest"
    return f"; it is the {end} of them: look at --min-cluster-size {other}, without --tune"


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
    n_rows = min(len(study.X), 2 * (plan.max_fit_samples or MOST_FIT_SAMPLES))
    sizes = {max(10, round(n_rows * share)) for share in (0.01, 0.02, 0.05, 0.1)}
    return "min_cluster_size", sorted(sizes)


def _first_time(n_rows: int) -> str:
    """Warn of the wait when so many rows need kernels that are not on disk yet."""
    cache = Path(matching_package.__file__).parent / "__pycache__"
    if are_few(n_rows) or any(cache.glob("*.nbi")):
        return ""
    return " (compiling first, some seconds, once)"


def metadata(study: Study) -> dict[str, Any]:
    """Return what estimators get beside X and y."""
    return {
        "treatment": study.treatment,
        "groups": study.groups,
        "propensity": study.propensity,
        "sample_weight": study.weights,
    }

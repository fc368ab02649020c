"""What the user asked for, and the estimators that do it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from segcate._inputs.listing import listed
from segcate._writing.number_texts import write_count
from segcate.cli._problems import UserError
from segcate.cli._study import Study
from segcate.effects import SegmentAIPW, SegmentMatching, SegmentRegression
from segcate.matching import PropensityMatcher
from segcate.segmentation import HDBSCANSegmenter, KMeansSegmenter

# HDBSCAN compares rows with rows: of more than these it looks at a sample.
MOST_FIT_SAMPLES = 20_000
_MOST_NEIGHBORS = 50


@dataclass(frozen=True, slots=True)
class Plan:
    """What the user asked for.

    Attributes
    ----------
    segments : "kmeans" or "hdbscan"; unused where the study has a segment column
    n_clusters : clusters of k-means
    cluster_on : columns to cluster on, () for all numeric ones
    min_cluster_size : smallest cluster of HDBSCAN
    max_fit_samples : rows that HDBSCAN looks at; None: 20,000 where there are more
    tune : whether to search for the number of clusters on one half of the rows
    experiment : whether the treatment was drawn by lot
    method : "auto", "matching", "regression" or "aipw"
    estimand : "att", "atc" or "ate"; None: "ate" in an experiment, else "att"
    caliper : of matching, in standard deviations of the score
    confidence_level : of the intervals
    random_state : seed of everything random
    missing : what is done about gaps in the covariates, as in `SegmentMatching`
    """

    segments: str = "kmeans"
    n_clusters: int = 6
    cluster_on: tuple[str, ...] = ()
    min_cluster_size: int = 100
    max_fit_samples: int | None = None
    tune: bool = False
    experiment: bool = False
    method: str = "auto"
    estimand: str | None = None
    caliper: float | None = None
    confidence_level: float = 0.95
    random_state: int = 0
    missing: str = "indicator"

    @property
    def chosen_method(self) -> str:
        """Return the method, also where it is chosen by itself."""
        if self.method != "auto":
            return self.method
        return "regression" if self.experiment else "matching"

    @property
    def chosen_estimand(self) -> str:
        """Return whose effect is estimated."""
        return self.estimand or ("ate" if self.experiment else "att")


def check_plan(plan: Plan, study: Study) -> None:
    """Refuse options that contradict each other, or the data.

    Raises
    ------
    UserError
        With a line for each contradiction.
    """
    method, problems = plan.chosen_method, []
    if plan.tune and study.segment is not None:
        problems.append(
            "--tune chooses segments, and --segment-column gives them; use one of them."
        )
    if plan.caliper is not None and method != "matching":
        problems.append(f"--caliper belongs to --method matching; here the method is {method}.")
    if plan.chosen_estimand == "atc" and method == "aipw":
        problems.append("--estimand atc: --method aipw estimates att and ate; take another method.")
    if plan.max_fit_samples is not None and (study.segment or plan.segments != "hdbscan"):
        problems.append("--max-fit-samples belongs to --segments hdbscan; leave it out.")
    problems += _taken_names(plan, study)
    if study.segment is None:
        problems += _clustered_columns(plan, study)
    if problems:
        raise UserError(*problems)


def _taken_names(plan: Plan, study: Study) -> list[str]:
    """Refuse covariates whose names are those of columns that the analysis adds; and more segments than rows."""
    found = [
        f"covariate {name!r} has the name of a column that the profile of segments adds; rename it in the file, or "
        f"pass --ignore {name}."
        for name in study.covariates
        if name in ("n", "share")
    ]
    if study.segment is not None:
        return found
    if "segment" in study.covariates:
        found.append(
            "covariate 'segment' has the name of the column of segments. If it holds them, pass --segment-column "
            "segment; else rename it in the file, or pass --ignore segment."
        )
    if plan.segments == "kmeans" and not plan.tune and plan.n_clusters > len(study.X):
        found.append(
            f"--n-clusters {plan.n_clusters}: there are {write_count(len(study.X), 'row')} to find segments in."
        )
    return found


def _clustered_columns(plan: Plan, study: Study) -> list[str]:
    """Tell of columns to cluster on that are not there, or none at all."""
    numeric = study.X.select_dtypes(["number", "bool"]).columns
    unknown = [name for name in plan.cluster_on if name not in numeric]
    if unknown:
        return [
            f"--cluster-on: {listed(unknown)} are not numeric covariates; those are "
            f"{listed(numeric, 20)}."
        ]
    if len(numeric) == 0:
        return [
            "no covariate is numeric, so there is nothing to cluster on. Name a column that holds "
            "segments with --segment-column."
        ]
    return []


def effect_estimator(plan: Plan, segment: str, on_empty: str = "nan") -> Any:
    """Make the estimator of the effects of segments."""
    common: dict[str, Any] = {
        "estimand": plan.chosen_estimand,
        "confidence_level": plan.confidence_level,
        "segment": segment,
        "on_empty": on_empty,
        "missing": plan.missing,
        "random_state": plan.random_state,
    }
    if plan.chosen_method == "regression":
        return SegmentRegression(**common)
    if plan.chosen_method == "aipw":
        return SegmentAIPW(**common)
    if plan.caliper is None:
        return SegmentMatching(**common)
    matcher = PropensityMatcher(
        "auto", n_neighbors="auto", caliper=plan.caliper, random_state=plan.random_state
    )
    return SegmentMatching(matcher, **common)


def segmenter(plan: Plan, n_rows: int) -> Any:
    """Make the segmenter; HDBSCAN looks at a sample of many rows."""
    columns = list(plan.cluster_on) or None
    if plan.segments == "kmeans":
        return KMeansSegmenter(plan.n_clusters, columns=columns, random_state=plan.random_state)
    most = plan.max_fit_samples or MOST_FIT_SAMPLES
    size, n_neighbors = plan.min_cluster_size, None
    if n_rows > most:  # sizes are counted in the sample, where every row looks for neighbours
        size = max(5, round(size * most / n_rows))
        n_neighbors = min(size, _MOST_NEIGHBORS)
    return HDBSCANSegmenter(
        size,
        min_samples=n_neighbors,
        columns=columns,
        max_fit_samples=most,
        random_state=plan.random_state,
    )

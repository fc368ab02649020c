"""The shared data sets and what MatchIt, Matching and Stata gave on them, as arguments for code.

Each record of the references carries the call it came from as text; here that text becomes scores,
calipers, exact columns and the like, for the naive code and for the package alike.

Where ../shared is missing, the copies in tests/reference/matching stand in: two data sets with an
open licence and the records that the package can reproduce.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import rankdata

from segcate.matching import PropensityMatcher
from tests.helpers.naive_matching import (
    Design,
    pooled_within_covariance,
    scale_columns,
    variable_ratio,
    whiten,
)
from tests.helpers.shared import SHARED, read_exact, shared_path

COPIES = Path(__file__).resolve().parents[1] / "reference" / "matching"
STUDIES = ("lalonde", "nsw_dw", "cattaneo2", "black_politicians")
LARGE = {"cattaneo2", "black_politicians"}


@dataclass(frozen=True)
class Study:
    """A data set and its scores: fitted logit, the same without ties, refitted by cluster."""

    name: str
    frame: pd.DataFrame
    treatment: np.ndarray
    y: np.ndarray
    cluster: np.ndarray
    ps: np.ndarray
    ps_tiefree: np.ndarray
    ps_within_cluster: np.ndarray

    def columns(self, names: list[str]) -> np.ndarray:
        return self.frame[names].to_numpy(float)

    def column(self, name: str) -> np.ndarray:
        """Return a column of the data, or the cluster label under any other name."""
        return self.frame[name].to_numpy() if name in self.frame else self.cluster


def matching_file(kind: str, *parts: str) -> Path:
    """Return a file of ../shared/data/matching or ../shared/reference/matching, or its copy."""
    copy = COPIES.joinpath(*parts)
    if not (SHARED / kind / "matching").exists() and copy.exists():
        return copy
    return shared_path(kind, "matching", *parts)


@lru_cache
def study(name: str) -> Study:
    frame = read_exact(matching_file("data", f"{name}.csv"))
    scores = read_exact(matching_file("data", f"{name}_ps.csv"))
    return Study(
        name=name,
        frame=frame,
        treatment=scores["treat"].to_numpy(),
        y=scores["y"].to_numpy(float),
        cluster=scores["cluster"].to_numpy(),
        ps=scores["ps"].to_numpy(),
        ps_tiefree=scores["ps_tiefree"].to_numpy(),
        ps_within_cluster=scores["ps_within_cluster"].to_numpy(),
    )


@lru_cache
def records(system: str, name: str) -> dict:
    """Return {spec: record} of "matchit" or "matching" on a study."""
    return json.loads(matching_file("reference", f"{system}_{name}.json").read_text())


@lru_cache
def _table(system: str, name: str, what: str) -> dict[str, pd.DataFrame]:
    path = matching_file("reference", "pairs", f"{system}_{name}_{what}.csv.gz")
    return dict(list(pd.read_csv(path).groupby("spec")))


def reference_pairs(system: str, name: str, spec: str) -> set[tuple[int, int]]:
    """Return the pairs: (focal, match) of MatchIt, (treated, control) of Matching."""
    table = _table(system, name, "pairs")[spec]
    return set(zip(table.iloc[:, 1], table.iloc[:, 2], strict=True))


def matchit_design(name: str, spec: str) -> Design | None:
    """Return MatchIt's own matches, None for methods without pairs (full, subclass, exact)."""
    table = _table("matchit", name, "pairs").get(spec)
    if table is None:
        return None
    design: Design = [np.empty(0, dtype=int)] * len(study(name).y)
    for focal, rows in table.groupby("focal_id"):
        design[focal] = rows["match_id"].to_numpy()
    return design


def matchit_unit_weights(name: str, spec: str) -> tuple[np.ndarray, np.ndarray]:
    """Return MatchIt's weights and matched sets (-1 where it gives none)."""
    table = _table("matchit", name, "weights")[spec]
    weight, pair = np.zeros(len(study(name).y)), np.full(len(study(name).y), -1)
    weight[table["id"]] = table["weight"]
    if table["subclass"].notna().all():
        pair[table["id"]] = pd.factorize(table["subclass"])[0]
    return weight, pair


def specs(system: str, *, having: str = "", slow: bool = True) -> list:
    """Return (study, spec) parameters whose call contains `having`; large studies are `slow`.

    On a machine without ../shared only the studies that the repository has a copy of.
    """
    is_here = (SHARED / "reference" / "matching").exists()
    return [
        pytest.param(name, spec, marks=[pytest.mark.slow] if slow and name in LARGE else [])
        for name in STUDIES
        if is_here or (COPIES / f"{system}_{name}.json").exists()
        for spec, record in records(system, name).items()
        if having in record["call"]
    ]


@dataclass(frozen=True)
class MatchItCall:
    """A nearest-neighbour call of MatchIt.

    `points` is set where it matches on covariates; `kept` leaves out what `discard` discards;
    `options` are keywords of `match_greedily` (caliper, exact, forbidden, reuse, wanted).
    """

    score: np.ndarray
    kept: np.ndarray
    k: int
    order: str
    focal: str
    replacement: bool
    points: np.ndarray | None
    options: dict = field(default_factory=dict)


# What a call of MatchIt asks for that PropensityMatcher has no parameter for: text in the call -> why.
ON_COVARIATES = "MahalanobisMatcher: tests/matching/test_mahalanobis_references.py"
NOT_OFFERED = {
    "method='full'": "full matching is a later step",
    "method='optimal'": "optimal matching is a later step",
    "method='subclass'": "subclassification is a later step",
    "method='quick'": "generalised full matching is a later step",
    "method='cem'": "coarsened exact matching is a later step",
    "method='exact'": "exact matching without a score is a later step",
    "distance='euclidean'": "no parameter: distances in the units of the columns",
    "distance='robust_mahalanobis'": "no parameter: distances between ranks",
    "distance='": ON_COVARIATES,
    "mahvars": ON_COVARIATES,
    "antiexact": "no parameter: rows that must differ",
    "reuse.max": "no parameter: controls that may serve twice, but not more often",
    "max.controls": "no parameter: a variable number of matches",
    "m.order='farthest'": "no such order",
}


def why_left_out(call: str) -> str:
    """Return why PropensityMatcher cannot do what a call of MatchIt does; empty if it can."""
    return next((why for text, why in NOT_OFFERED.items() if text in call), "")


@dataclass(frozen=True)
class PublicCall:
    """A record as arguments of the public estimators, `segment=None`."""

    X: pd.DataFrame
    propensity: np.ndarray
    matcher: PropensityMatcher
    estimand: str


def public_matchit_call(data: Study, record: dict) -> PublicCall:
    """Read a record of MatchIt's nearest-neighbour matching on a score."""
    call = record["call"]
    X = data.frame[record["covariates"]]
    exact = None
    if (name := _named(call, r", exact=~(\w+)", "")) != "":  # stays a covariate of the regression
        X, exact = X.assign(cell=data.column(name).astype(str)), "cell"
    caliper = 0.2 if "caliper=.2" in call else 0.01 if "caliper=.01" in call else None
    matcher = PropensityMatcher(
        n_neighbors=int(_named(call, r"ratio=(\d+)", "1")),
        replacement="replace=TRUE" in call,
        caliper=caliper,
        caliper_scale="raw" if caliper == 0.01 else "sd",
        score_scale="logit" if "qlogis" in call else "probability",
        order=_named(call, r"m\.order='(\w+)'", "largest"),
        exact=exact,
        common_support={"both": "both", "treated": "treated"}.get(
            _named(call, r"discard='(\w+)'", "")
        ),
        segment=None,
    )
    propensity = data.ps if "distance=ps (with ties)" in call else data.ps_tiefree
    return PublicCall(X, propensity, matcher, record["estimand"].lower())


def matchit_call(data: Study, record: dict) -> MatchItCall:
    """Read a record whose call has method='nearest'."""
    call = record["call"]
    score = data.ps if "distance=ps (with ties)" in call else data.ps_tiefree
    score = np.log(score / (1 - score)) if "qlogis" in call else score
    replacement = "replace=TRUE" in call
    k = int(_named(call, r"ratio=(\d+)", "1"))
    options = _matchit_options(call, data, score)
    if replacement:
        options["reuse"] = len(score)
    if "max.controls=4" in call:
        options["wanted"] = variable_ratio(score, data.treatment, k, 1, 4)
    return MatchItCall(
        score=score,
        kept=_kept(call, data, score),
        k=k,
        order=_named(call, r"m\.order='(\w+)'", "largest"),
        focal="control" if "estimand='ATC'" in call else "treated",
        replacement=replacement,
        points=_matchit_points(call, data, record["covariates"]),
        options=options,
    )


def _matchit_options(call: str, data: Study, score: np.ndarray) -> dict:
    options: dict = {}
    if "caliper=.2" in call:
        options["caliper"] = 0.2 * score.std(ddof=1)
    if "caliper=.01" in call:
        options["caliper"] = 0.01
    if (name := _named(call, r", exact=~(\w+)", "")) != "":
        options["exact"] = data.column(name)
    if (name := _named(call, r"antiexact=~(\w+)", "")) != "":
        options["forbidden"] = data.column(name)
    if "reuse.max=2" in call:
        options["reuse"] = 2
    return options


def _kept(call: str, data: Study, score: np.ndarray) -> np.ndarray:
    """Mark what `discard` leaves: rows in both arms' score ranges, or treated in the controls'."""
    treated, control = score[data.treatment == 1], score[data.treatment == 0]
    if "discard='both'" in call:
        low, high = max(treated.min(), control.min()), min(treated.max(), control.max())
        return (score >= low) & (score <= high)
    if "discard='treated'" in call:
        inside = (score >= control.min()) & (score <= control.max())
        return inside | (data.treatment == 0)
    return np.ones(len(score), dtype=bool)


def _matchit_points(call: str, data: Study, covariates: list[str]) -> np.ndarray | None:
    """Return covariates in which MatchIt's metric is Euclidean distance; None for a score."""
    if (names := _named(call, r"mahvars=~([\w+]+)", "")) != "":
        X = data.columns(names.split("+"))
        return whiten(X, pooled_within_covariance(X, data.treatment))
    metric = _named(call, r"distance='(\w+)'", "")
    if metric == "":
        return None
    X = data.columns(covariates)
    within = pooled_within_covariance(X, data.treatment)
    if metric == "mahalanobis":
        return whiten(X, within)
    if metric == "scaled_euclidean":
        return X / np.sqrt(np.diag(within))
    if metric == "robust_mahalanobis":
        ranks = np.column_stack([rankdata(column) for column in X.T])
        covariance = np.cov(ranks, rowvar=False)
        untied = np.arange(1, len(X) + 1).std(ddof=1) / np.sqrt(np.diag(covariance))
        return whiten(ranks, covariance * np.outer(untied, untied))
    return X


@dataclass(frozen=True)
class MatchingCall:
    """A call of Matching::Match. Distances in `points` are its own, in SD (ddof 0)."""

    points: np.ndarray
    kept: np.ndarray
    k: int
    j: int
    focal: str
    replacement: bool
    caliper: float | None
    exact: np.ndarray | None
    tie_tolerance: float
    adjust_on: np.ndarray | None
    is_sample_variance: bool


def matching_call(data: Study, record: dict) -> MatchingCall:
    """Read a record of Matching::Match."""
    call = record["call"]
    raw, exact = _matching_columns(call, data, record["covariates"])
    kept = np.ones(len(data.y), dtype=bool)
    if "CommonSupport=TRUE" in call:
        kept = _kept("discard='both'", data, data.ps_tiefree)
    adjust_on = None
    if "BiasAdjust=TRUE" in call:
        adjust_on = raw if "Z defaults to X" in call else data.columns(record["covariates"])
    points = np.zeros(raw.shape)
    points[kept] = whiten(raw[kept]) if "Weight=2" in call else scale_columns(raw[kept])
    caliper = _named(call, r"caliper=([\d.]+)", "")
    return MatchingCall(
        points=points,
        kept=kept,
        k=record["M"],
        j=record["var_calc_J"],
        focal={"ATT": "treated", "ATC": "control", "ATE": "all"}[record["estimand"]],
        replacement=record["replace"],
        caliper=float(caliper) if caliper else None,
        exact=exact,
        tie_tolerance=record["distance_tolerance"] + 1e-10,
        adjust_on=adjust_on,
        is_sample_variance="sample=TRUE" in call,
    )


def _matching_columns(
    call: str, data: Study, covariates: list[str]
) -> tuple[np.ndarray, np.ndarray | None]:
    if "X = covariates" in call:
        return data.columns(covariates), None
    if (name := _named(call, r"cbind\(ps_tiefree, (\w+)\)", "")) != "":
        exact = pd.factorize(data.column(name))[0]
        return np.column_stack([data.ps_tiefree, exact]), exact
    return (data.ps if "X = ps," in call else data.ps_tiefree)[:, None], None


def _named(call: str, pattern: str, default: str) -> str:
    found = re.search(pattern, call)
    return found[1] if found else default

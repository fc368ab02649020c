"""Records of MatchIt, Matching and Stata on distances between covariates, through public estimators.

With replacement MatchIt keeps one of several controls at the same distance, and we keep all.
Without, its choice among them is its own, so that pairs may differ once rows agree in all covariates:
compared is then how far either design is from greedy. Left out are plain Euclidean distance
and distances of ranks, which are no parameters here.
"""

from __future__ import annotations

import re

import numpy as np
import pytest

from segcate._inputs.effect_data import check_effect_data
from segcate.effects import SegmentMatching
from segcate.effects._matched.abadie_imbens_2006 import (
    abadie_imbens_variance,
    conditional_variances,
)
from segcate.effects._matched.adjustment import adjust, matched_effect
from segcate.effects._matched.view import segment_view
from segcate.matching import MahalanobisMatcher
from tests.effects.test_stata import between, printing_error, stata_frame, stata_records
from tests.helpers.naive_matching import MATCHING_TIES, replay_excess, squared_distances
from tests.helpers.references import matchit_call, records, reference_pairs, specs, study
from tests.helpers.shared import SHARED
from tests.helpers.valid_match import pair_set

# 15 digits printed.
RTOL = 1e-9


def covariate_specs(system, words):
    return [
        p
        for p in specs(system, slow=False)
        if any(word in records(system, p.values[0])[p.values[1]]["call"] for word in words)
    ]


MATCHIT = covariate_specs(
    "matchit", ["distance='mahalanobis'", "distance='scaled_euclidean'", "mahvars"]
)
MATCHING = covariate_specs("matching", ["X = covariates"])


def fitted_like_matchit(name, spec):
    data, record = study(name), records("matchit", name)[spec]
    call = record["call"]
    columns, options = record["covariates"], {}
    found = re.search(r"mahvars=~([\w+]+)", call)
    if found:
        columns = found[1].split("+")
        options = {"caliper": 0.2, "order": "largest", "score_scale": "probability"}
    matcher = MahalanobisMatcher(
        "pooled-diagonal" if "scaled" in call else "pooled", n_neighbors=1, segment=None,
        replacement="replace=TRUE" in call, **options,
    )  # fmt: skip
    matcher.fit(
        data.frame[columns], treatment=data.treatment, propensity=data.ps_tiefree if found else None
    )
    return data, record, matcher


def is_with_replacement(param):
    return "replace=TRUE" in records("matchit", param.values[0])[param.values[1]]["call"]


@pytest.mark.parametrize(("name", "spec"), [p for p in MATCHIT if is_with_replacement(p)])
def test_matchit_with_replacement_takes_one_of_our_ties(name, spec):
    data, record, matcher = fitted_like_matchit(name, spec)
    ours, theirs = pair_set(matcher.matched_), reference_pairs("matchit", name, spec)
    assert theirs <= ours
    points = matchit_call(data, record).points
    pairs = matcher.matched_.pairs
    wanted = [
        squared_distances(points, i)[j] for i, j in zip(pairs["focal"], pairs["match"], strict=True)
    ]
    np.testing.assert_allclose(pairs["distance"] ** 2, wanted, rtol=1e-7, atol=MATCHING_TIES)
    for focal, rows in pairs.groupby("focal"):
        if len(rows) == 1:
            assert (focal, rows["match"].item()) in theirs


@pytest.mark.parametrize(("name", "spec"), [p for p in MATCHIT if not is_with_replacement(p)])
def test_matchit_without_replacement_is_as_greedy_as_we_are(name, spec):
    data, record, matcher = fitted_like_matchit(name, spec)
    call = matchit_call(data, record)
    ours, theirs = pair_set(matcher.matched_), reference_pairs("matchit", name, spec)
    assert len(ours) == len(theirs) == record["n_pairs"]
    for found in (ours, theirs):
        excess = replay_excess(
            dict(found), call.score, data.treatment, order=call.order, points=call.points,
            caliper=call.options.get("caliper"),
        )  # fmt: skip
        assert excess <= MATCHING_TIES


@pytest.mark.parametrize(("name", "spec"), MATCHING)
def test_estimates_and_standard_errors_of_matching(name, spec, monkeypatch):
    monkeypatch.setattr("segcate.effects._matched.adjustment.DONORS_PER_PARAMETER", 0)
    data, record = study(name), records("matching", name)[spec]
    call = record["call"]
    model = SegmentMatching(
        MahalanobisMatcher(
            "sample" if "Weight=2" in call else "sample-diagonal", n_neighbors=record["M"]
        ),
        estimand=record["estimand"].lower(),
        adjustment="bias" if "BiasAdjust=TRUE" in call else None,
        std_error="abadie-imbens",
        n_variance_neighbors=record["var_calc_J"],
        segment=None,
    ).fit(data.frame[record["covariates"]], data.y, treatment=data.treatment)
    (result,) = [r for r in record["results"] if r["name"] == "AI"]
    row = model.effects_.loc["all"]
    scale = max(abs(result["estimate"]), result["se"])
    assert row["effect"] == pytest.approx(result["estimate"], abs=RTOL * scale)
    assert row["std_error"] == pytest.approx(result["se"], rel=RTOL)
    if record["estimand"] != "ATE":  # an ATE counts a pair once from either side
        assert model.matcher_.matched_.n_pairs == record["n_pairs"]


def test_the_records_cover_what_they_should():
    assert len(MATCHIT) >= 7  # the two studies with a copy alone have 7
    assert len(MATCHING) >= 10
    calls = [records("matching", p.values[0])[p.values[1]]["call"] for p in MATCHING]
    for asked in ("Weight=1", "Weight=2", "M=4", "BiasAdjust", '"ATT"', '"ATC"', '"ATE"'):
        assert any(asked in call for call in calls), asked


# --- Stata's nnmatch ------------------------------------------------------------------------------

# Left out: Euclidean distance, and exact columns without any distance; tests/effects/test_stata.py has them.
NNMATCH = [
    record
    for record in stata_records("teffects nnmatch")
    if "euclidean" not in record["command"] and "i.magecat" not in record["command"]
]


def nnmatch_call(record):
    """Return X, exact columns, covariates of the bias adjustment, y and treatment."""
    command, frame = record["command"], stata_frame(record["dataset"])
    outcome, *names = between(command, "nnmatch (").split()
    X, exact = frame[names], between(command, "ematch(").split()
    # a column that is matched exactly stays in the covariance
    cells = {f"cell_{name}": frame[name].astype(str) for name in exact}
    adjust_on = frame[between(command, "biasadj(").split()].to_numpy(float)
    treatment = frame["mbsmoke" if "mbsmoke" in command else "treat"].to_numpy()
    return X.assign(**cells), list(cells) or None, adjust_on, frame[outcome], treatment


@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared: data without an open licence")
@pytest.mark.parametrize("at", range(6))
def test_nnmatch(at, monkeypatch):
    """Bias adjustment on some of the covariates is no parameter: there the design is ours."""
    monkeypatch.setattr("segcate.effects._matched.adjustment.DONORS_PER_PARAMETER", 0)
    record = NNMATCH[at]
    command = record["command"]
    X, exact, adjust_on, y, treatment = nnmatch_call(record)
    matcher = MahalanobisMatcher(
        "sample-diagonal" if "ivariance" in command else "sample", exact=exact,
        n_neighbors=int(between(command, " nn(") or 1), segment=None,
    )  # fmt: skip
    estimand = "att" if "atet" in command else "ate"
    n_variance_neighbors = 0 if "vce(iid)" in command else 2
    if adjust_on.shape[1]:
        data = check_effect_data(matcher, X, y, treatment=treatment, segment=None)
        view = segment_view(matcher.match(data, estimand), y.to_numpy(float), 0, estimand)
        adjusted = adjust(view, adjust_on, "bias")
        found = matched_effect(view, adjusted)
        sigma2 = conditional_variances(view, n_variance_neighbors, "population")
        variance = abadie_imbens_variance(view, found, sigma2, "population")
        effect, std_error = found.effect, np.sqrt(variance)
    else:
        model = SegmentMatching(
            matcher, estimand=estimand, adjustment=None, std_error="abadie-imbens",
            n_variance_neighbors=n_variance_neighbors, segment=None,
        ).fit(X, y, treatment=treatment)  # fmt: skip
        effect, std_error = model.effects_.loc["all", ["effect", "std_error"]]
    digits = printing_error(record)
    assert effect == pytest.approx(record["estimate"], rel=RTOL, abs=digits[0])
    assert std_error == pytest.approx(record["se"], rel=RTOL, abs=digits[1])

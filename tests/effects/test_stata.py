"""Stata's teffects: psmatch end to end through our own logit, nnmatch through the variances alone.

nnmatch end to end: tests/matching/test_mahalanobis_references.py.

`teffects psmatch`: ``nn(J)`` counts the row itself among its J neighbours, so that ours is
``n_variance_neighbors = J - 1``. Left out: psmatch2's default standard error, which takes the
matching weights as given, and `teffects ipw`, which does not match.
"""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from segcate._inputs.effect_data import check_design_data
from segcate.effects import SegmentMatching
from segcate.effects._matched.abadie_imbens_2006 import (
    abadie_imbens_variance,
    common_variance,
    conditional_variances,
)
from segcate.effects._matched.abadie_imbens_2016 import (
    ScoreModel,
    estimated_score_correction,
    score_model,
)
from segcate.effects._matched.adjustment import Adjusted, adjust, matched_effect
from segcate.effects._matched.view import SegmentView, segment_view
from segcate.matching import PropensityMatcher
from tests.helpers.naive_effects import conditional_variance
from tests.helpers.naive_matching import (
    MATCHING_TIES,
    match_with_replacement,
    same_arm_sets,
    scale_columns,
    usage,
    whiten,
)
from tests.helpers.references import matching_file
from tests.helpers.shared import SHARED

# 15 digits printed.
RTOL = 1e-9
# Stata printed 7 significant digits.
STATA_RTOL = 5e-8
# One row came in full precision; Stata's logit stops earlier than Newton's last digit.
STATA_LOGIT_RTOL = 1e-7
# The program of 2004 kept its variables in single precision.
SINGLE_PRECISION_RTOL = 5e-7
# The command of this record is cut short; only this subset of the covariates gives its estimate.
CUT_SHORT = "teffects psmatch (re78) (treat age education black hispanic married re74 re75)"


def stata_records(word):
    text = matching_file("reference", "stata.json").read_text()
    return [record for record in json.loads(text)["records"] if word in record["command"]]


def stata_frame(name):
    return pd.read_csv(matching_file("data", f"{name}.csv"))


def between(text, start, end=")"):
    return text.split(start)[1].split(end)[0] if start in text else ""


def printing_error(record):
    """Half a unit of the last digit that Stata printed."""
    last = [
        10.0 ** (np.floor(np.log10(abs(record[name]))) + 1 - record["significant_digits"])
        for name in ("estimate", "se")
    ]
    return [0.5001 * unit for unit in last]


def assert_agrees(found, record, rtol):
    estimate, std_error = found
    digits = printing_error(record)
    assert estimate == pytest.approx(record["estimate"], rel=rtol, abs=digits[0])
    assert std_error == pytest.approx(record["se"], rel=rtol, abs=digits[1])


# --- psmatch --------------------------------------------------------------------------------------


def psmatch_records(link):
    seen = stata_records("teffects psmatch") + stata_records("..., atet vce(robust, nn(3))")
    return [r for r in seen if (", probit" in r["command"]) == (link == "probit")]


PSMATCH = [
    pytest.param(r, id=f"{r['dataset']}-{i}") for i, r in enumerate(psmatch_records("logit"))
]


def psmatch_call(record):
    """Return X, y, treatment, estimand, neighbours and J of a record."""
    command = record["command"].replace("...", CUT_SHORT)
    frame = stata_frame(record["dataset"])
    outcome = between(command, "psmatch (")
    treatment, *names = between(command.split(f"({outcome}) ")[1], "(").split(",")[0].split()
    if "c.mage##c.mage" in names:
        names[names.index("c.mage##c.mage")] = "mage"
        frame["mage2"] = frame["mage"] ** 2
        names.append("mage2")
    return (
        frame[names], frame[outcome].to_numpy(float), frame[treatment].to_numpy(),
        "att" if "atet" in command else "ate",
        int(between(command, "nneighbor(") or 1), int(between(command, " nn(") or 2),
    )  # fmt: skip


@pytest.mark.parametrize("record", PSMATCH)
def test_psmatch_with_our_logit(record):
    X, y, treatment, estimand, k, j = psmatch_call(record)
    model = SegmentMatching(
        PropensityMatcher(n_neighbors=k, score_scale="probability"),
        estimand=estimand,
        adjustment=None,
        std_error="abadie-imbens-2016",
        n_variance_neighbors=j - 1,
        segment=None,
    ).fit(X, y, treatment=treatment)
    row = model.effects_.loc["all"]
    rtol = STATA_RTOL if record["significant_digits"] == 7 else STATA_LOGIT_RTOL
    assert_agrees((row["effect"], row["std_error"]), record, rtol)


def test_psmatch_on_the_other_arm_is_the_att_of_the_swapped_arms():
    lalonde = [r for r in psmatch_records("logit") if r["dataset"] == "lalonde"]
    X, y, treatment, *_ = psmatch_call(lalonde[0])
    options = {
        "adjustment": None, "std_error": "abadie-imbens-2016", "n_variance_neighbors": 1,
        "segment": None,
    }  # fmt: skip
    matcher = PropensityMatcher(n_neighbors=1, score_scale="probability")
    atc = SegmentMatching(matcher, estimand="atc", **{"adjustment": "bias", **options}).fit(
        X, y, treatment=treatment
    )
    att = SegmentMatching(matcher, **{"adjustment": "bias", **options}).fit(
        X, y, treatment=1 - treatment
    )
    assert atc.effects_["effect"].item() == pytest.approx(-att.effects_["effect"].item(), rel=1e-9)
    assert atc.effects_["std_error"].item() == pytest.approx(
        att.effects_["std_error"].item(), rel=1e-9
    )


def test_psmatch_with_a_probit_through_the_correction():
    """We fit no probit; the correction takes any score with its slope and covariance."""
    (record,) = psmatch_records("probit")
    X, y, treatment, estimand, k, j = psmatch_call(record)
    Z = sm.add_constant(X.to_numpy(float))
    # one row of each pattern, so that equal covariates have equal scores to the last bit
    patterns, first, group = np.unique(Z, axis=0, return_index=True, return_inverse=True)
    group = group.ravel()
    fit = sm.Probit(treatment, Z).fit(disp=0, method="newton", maxiter=100, tol=1e-14)
    index = (patterns @ fit.params)[group]
    p, slope = sm.families.links.Probit().inverse(index), fit.model.pdf(index)
    design = design_of_score(p, treatment, estimand, k)
    view = segment_view(design, y, 0, estimand)
    adjusted = adjust(view, design.encoded.values, None)
    found = matched_effect(view, adjusted)
    model = ScoreModel(Z[view.rows], p[view.rows], slope[view.rows], fit.cov_params())
    sigma2 = conditional_variances(view, j - 1, "population")
    variance = abadie_imbens_variance(view, found, sigma2, "population")
    variance += estimated_score_correction(view, model, adjusted, found, k, j)
    assert_agrees((found.effect, np.sqrt(variance)), record, STATA_RTOL)
    assert len(first) < len(y)


def design_of_score(score, treatment, estimand, k):
    data = check_design_data(
        PropensityMatcher(), np.zeros((len(score), 1)), treatment=treatment, segment=None,
        propensity=score,
    )  # fmt: skip
    matcher = PropensityMatcher(n_neighbors=k, score_scale="probability")
    return matcher.match(data, estimand)


def test_no_correction_without_our_own_logit():
    rng = np.random.default_rng(0)
    score, treatment = rng.uniform(0.1, 0.9, 50), rng.integers(0, 2, 50)
    design = design_of_score(score, treatment, "att", 1)
    assert score_model(design, segment_view(design, np.zeros(50), 0, "att")) is None


# --- nnmatch --------------------------------------------------------------------------------------


def view_of(y, treatment, design, estimand):
    """Return the segment view of matched sets found elsewhere, rows in their own order."""
    sizes = np.array([len(found) for found in design])
    donors = np.concatenate(design).astype(np.int32)
    stop = np.cumsum(sizes).astype(np.int32)
    uses, squares = usage(design, len(y))
    return SegmentView(
        code=0, rows=np.arange(len(y), dtype=np.int32), y=y, score=np.zeros(len(y)),
        is_treated=treatment == 1, own=(sizes > 0).astype(float), uses=uses, squared_uses=squares,
        start=(stop - sizes).astype(np.int32), stop=stop, donors=donors, weight=np.empty(0),
        bounds=np.array([0, 0, 0]), tie_tolerance=np.zeros(1), estimand=estimand,
    )  # fmt: skip


def nnmatch_columns(record, frame):
    """Return points, exact columns and covariates of the bias adjustment."""
    command = record["command"]
    if "i.magecat" in command:  # exact on two columns, no distance; cut points: the record's text
        category = np.digitize(frame["mage"], [18.5, 22.5, 27.5, 34.5])
        return np.zeros(len(frame)), np.column_stack([frame["mmarried"], category]), None
    _, *names = between(command, "nnmatch (").split()
    X = frame[names].to_numpy(float)
    points = whiten(X)
    if "metric(euclidean)" in command:
        points = X
    if "metric(ivariance)" in command:
        points = scale_columns(X)
    exact = between(command, "ematch(").split()
    adjust_on = between(command, "biasadj(").split()
    return (
        points, frame[exact].to_numpy() if exact else None,
        frame[adjust_on].to_numpy(float) if adjust_on else None,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared: data without an open licence")
@pytest.mark.parametrize("at", range(8))
def test_nnmatch_through_our_variances(at, monkeypatch):
    """The matched sets are the naive code's; effect, bias adjustment and variance the package's.

    So also for Euclidean distance, which no matcher offers.
    """
    record = stata_records("teffects nnmatch")[at]
    monkeypatch.setattr("segcate.effects._matched.adjustment.DONORS_PER_PARAMETER", 0)
    command, frame = record["command"], stata_frame(record["dataset"])
    y = frame["bweight" if record["dataset"] == "cattaneo2" else "re78"].to_numpy(float)
    treatment = frame["mbsmoke" if "mbsmoke" in command else "treat"].to_numpy()
    points, exact, adjust_on = nnmatch_columns(record, frame)
    ties = {"tie_tolerance": MATCHING_TIES, "exact": exact}
    estimand = "att" if "atet" in command else "ate"
    design = match_with_replacement(
        points, treatment, int(between(command, " nn(") or 1),
        focal="treated" if estimand == "att" else "all", **ties,
    )  # fmt: skip
    view = view_of(y, treatment, design, estimand)
    Z = np.zeros((len(y), 1)) if adjust_on is None else adjust_on
    adjusted: Adjusted = adjust(view, Z, None if adjust_on is None else "bias")
    found = matched_effect(view, adjusted)
    if "vce(iid)" in command:
        sigma2 = common_variance(view, adjusted, found.effect)
    else:
        same_arm = same_arm_sets(points, treatment, 2, itself="extra", **ties)
        sigma2 = conditional_variance(y, same_arm, "extra")
    variance = abadie_imbens_variance(view, found, sigma2, "population")
    assert_agrees((found.effect, np.sqrt(variance)), record, RTOL)


# --- older programs -------------------------------------------------------------------------------


def test_the_match_program_of_2004():
    """Sample ATE, one variance for all; age itself, scaled into (0, 1), is the score."""
    (record,) = stata_records("match re78 t age")
    frame = stata_frame("nsw_dw")
    age = frame["age"].to_numpy(float)
    model = SegmentMatching(
        PropensityMatcher(n_neighbors=1, score_scale="probability"), estimand="ate",
        adjustment=None, std_error="abadie-imbens", inference="sample", n_variance_neighbors=0,
        segment=None,
    ).fit(
        frame[["age"]], frame["re78"], treatment=frame["treat"], propensity=age / 128
    )  # fmt: skip
    row = model.effects_.loc["all"]
    assert_agrees((row["effect"], row["std_error"]), record, SINGLE_PRECISION_RTOL)


def test_psmatch2_with_one_neighbour_variance():
    """ai(1) leaves the row itself out; with one neighbour both ways are (y_i - y_j)^2 / 2."""
    frame = stata_frame("psmatch2_ai_n40")
    (record,) = stata_records("ai(1)")
    model = SegmentMatching(
        PropensityMatcher(n_neighbors=1, score_scale="probability"), adjustment=None,
        std_error="abadie-imbens", inference="sample", n_variance_neighbors=1, segment=None,
    ).fit(
        frame[["x1", "x2"]], frame["y"], treatment=frame["d"], propensity=frame["_pscore"]
    )  # fmt: skip
    row = model.effects_.loc["all"]
    assert_agrees((row["effect"], row["std_error"]), record, RTOL)
